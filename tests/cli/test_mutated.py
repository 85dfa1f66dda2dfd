"""Files that were changed by hand or by chance: what comes is a result, or an error of KPL's own."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kpl.curation import audit, compare_runs, export, learn, queue, search
from kpl.embeddings import open_bundle, open_features
from kpl.errors import KplError
from kpl.files import remove
from kpl.report import explain_classes, explain_picture, write_report
from kpl.runs import calibrate, classify_multi_label, evaluate, load_model, open_run
from kpl.runs.corrections import NONE_OF_THESE, add_corrections
from kpl.runs.notebook import result_html

TRIES = int(os.environ.get("KPL_FUZZ", "60"))
_MEMORY = 1 << 20  # KiB that may be added to the process
VALUES = (None, True, -1, 0, 1e308, float("nan"), 2**70, "", "../../x", "/dev/zero", "\x1b[31m", [], [[]], {}, {"a": 1})


def edited(data: bytes, rng: random.Random) -> bytes:
    """Change one value of JSON, or drop it."""
    tree = json.loads(data)
    place = tree
    while isinstance(place, dict | list) and place:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.3:
            if rng.random() < 0.3:
                del place[key]
            else:
                place[key] = rng.choice(VALUES)
            break
        place = place[key]
    return json.dumps(tree).encode()


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Change, cut, double or blow up a few bytes."""
    bad = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = min(rng.choice([rng.randrange(200), rng.randrange(len(bad) + 1)]), len(bad))
        kind = rng.randrange(5)
        if kind == 0 and at < len(bad):
            bad[at] = rng.randrange(256)
        elif kind == 1:
            del bad[at : at + rng.randint(1, 40)]
        elif kind == 2:
            bad[at:at] = bad[max(0, at - 30) : at]
        elif kind == 3:
            bad[at:at] = rng.choice([b"9" * 30, b"[" * 5000, b"\xff\xfe", b"\0", b",,\n", b'"'])
        else:
            del bad[at:]
    return bytes(bad)


def arrays(rng: random.Random, like: np.ndarray) -> bytes:
    """An array of another shape, type, order or content in the place of one."""
    buffer = io.BytesIO()
    made = rng.choice(
        [
            np.asfortranarray(like),
            like.astype(">f4"),
            like.astype(np.complex64),
            np.array([{"a": 1}], dtype=object),
            np.full(like.shape, np.nan, np.float32),
            like[:-1],
            like[..., :1],
            like.reshape(-1),
            like[None],
            np.zeros((0, 3), np.float32),
            np.array(["a"]),
            np.array(1.0),
            np.zeros(3, dtype=[("a", "f4")]),
            like.astype(np.float16),
        ]
    )
    np.save(buffer, made, allow_pickle=True)
    return buffer.getvalue()


def survive(folder: Path, use: Callable[[], object], seed: int) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else [folder]
    whole = {path: path.read_bytes() for path in files}
    rng, before, refused = random.Random(seed), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0  # noqa: S311 - the same every time
    for _ in range(TRIES):
        path = rng.choice(files)
        data = whole[path]
        kinds: list[Callable[[], bytes]] = [lambda data=data: damaged(data, rng)]
        if path.suffix == ".json":
            kinds = [kinds[0], *[lambda data=data: edited(data, rng)] * 3]
        if path.suffix == ".npy":
            kinds.append(lambda path=path: arrays(rng, np.load(path)))
        changed = rng.choice(kinds)()
        path.write_bytes(changed)
        try:
            use()
        except KplError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"{path.name}: {type(error).__name__} {error}; {changed[:200]!r}") from error
        finally:
            for kept, content in whole.items():
                if not kept.exists() or kept.read_bytes() != content:
                    kept.write_bytes(content)
    assert refused > TRIES // 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _MEMORY


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_run_folder(finished, tmp_path):
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    (run / "report.html").unlink()

    def use() -> None:
        write_report(run)
        (run / "report.html").unlink(missing_ok=True)

    for path in (run / "log.json", run / "evidence.csv"):
        path.unlink(missing_ok=True)
    survive(run, use, 1)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
def test_a_corrected_run_and_all_who_read_it(finished, cells, tmp_path):
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    for path in (run / "log.json", run / "evidence.csv", run / "report.html"):
        path.unlink(missing_ok=True)
    whole = Path(shutil.copytree(run, tmp_path / "whole"))
    ids = open_run(run).ids
    add_corrections(open_run(run), {ids[0]: "platelet", ids[1]: NONE_OF_THESE}, by="A")
    labels = tmp_path / "labels.csv"
    labels.write_text("image,label,site\n" + "".join(f"{i},{Path(i).parent.name},{n % 2}\n" for n, i in enumerate(ids)))
    readers: list[Callable[[], object]] = [
        lambda: queue(open_run(run), 3, by=("coverage", "doubt", "disagreement")),
        lambda: evaluate(run, labels=labels, methods="text", replicates=0),
        lambda: compare_runs(open_run(run), open_run(whole), labels=labels, replicates=0),
        lambda: export(open_run(run), "folders", tmp_path / "out", pictures=cells),
        lambda: explain_picture(run, ids[0], top=1),
        lambda: search(run, "a round disc"),
        lambda: result_html(open_run(run)),
        lambda: learn(open_run(run), tmp_path / "learnt"),
        lambda: calibrate(run, labels=labels, out=tmp_path / "cal.json"),
        lambda: audit(open_run(run), labels),
    ]
    dice = random.Random(9)  # noqa: S311 - the same every time

    def use() -> None:
        dice.choice(readers)()
        for made in (tmp_path / "out", tmp_path / "learnt", tmp_path / "cal.json"):
            remove(made)

    survive(run, use, 5)


@pytest.mark.long
def test_a_run_of_several_labels(features, knowledge, tmp_path):
    run = tmp_path / "run"
    classify_multi_label(features, knowledge=knowledge, out=run)
    image = open_run(run).ids[0]

    def use() -> None:
        explain_classes(open_run(run), image)
        write_report(run)
        (run / "report.html").unlink(missing_ok=True)

    (run / "log.json").unlink(missing_ok=True)
    (run / "report.html").unlink(missing_ok=True)
    survive(run, use, 6)


def test_a_feature_folder(features, tmp_path):
    folder = Path(shutil.copytree(features, tmp_path / "features"))
    survive(folder, lambda: [list(open_features(folder, verify=v)) for v in (True, False)], 2)


def test_a_feature_bundle(tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    rows = np.eye(6, 8, dtype=np.float32)
    np.save(folder / "images.npy", rows)
    np.save(folder / "descriptions.npy", np.stack([rows[:3], rows[3:]]))
    np.save(folder / "labels.npy", np.array([0, 1, 0, 1, 0, 1]))
    (folder / "bundle.json").write_text(json.dumps({"classes": ["a", "b"], "templates": ["{}"], "encoder": "x"}))
    survive(folder, lambda: open_bundle(folder).images.load(), 3)


def test_a_model(finished, features, knowledge, tmp_path):
    from kpl.runs import fit

    fit(features, knowledge=knowledge, out=tmp_path / "m.kpl")
    survive(tmp_path / "m.kpl", lambda: load_model(tmp_path / "m.kpl"), 4)


@pytest.mark.parametrize("name", ["run.json", "predictions.csv", "scores.npy", "knowledge.json"])
def test_a_link_to_nowhere_or_to_a_folder_is_one_line(finished, tmp_path, name):
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    for target in (tmp_path / "nowhere", tmp_path, Path("/dev/null")):
        (run / name).unlink()
        (run / name).symlink_to(target)
        with pytest.raises(KplError):
            list(open_run(run))
