"""Tables of labels in public layouts: from every command, and from the service, the scores that the same labels have in
our own form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from starlette.testclient import TestClient
from tests.server.conftest import finish, serving  # noqa: F401 - a fixture

from kpl.runs import classify, classify_multi_label

from .conftest import Run

NUMBERS = ("--label-numbers", "order")
BARE = ("--image-column", "1", "--label-column", "2")


class Layout(NamedTuple):
    """A case: its pictures, its tables with their options, and whether several labels a picture are there."""

    pictures: str
    tables: dict[str, tuple[str, ...]]
    several: bool = False


_FORMS = (
    "comment-line.csv excel-unicode-text.txt german-semicolon-cp1252.csv index-column.csv labels.json mac-cr.csv "
    "sep-line.csv spaces.csv tf-imagefolder.tsv trailing-comma.csv upper.csv utf8-bom.csv windows-abs.csv"
)
LAYOUTS = {
    "01-nih14": Layout("data", {"Data_Entry_2017.csv": ("--none", "No Finding")}, several=True),
    "02-chexpert": Layout("CheXpert-v1.0-small", {"train.csv": ("--blank", "absent")}, several=True),
    "02b-chexpert-normals": Layout("CheXpert-v1.0-small", {"train.csv": ("--none", "No Finding")}, several=True),
    "03-rsna": Layout("stage_2_train_images_png", {"stage_2_detailed_class_info.csv": ()}),
    "04-isic2018": Layout("ISIC2018_Task3_Training_Input", {"ISIC2018_Task3_Training_GroundTruth.csv": ()}),
    "05-ham10000": Layout("data", {"HAM10000_metadata.csv": ()}),
    "06-aptos": Layout("train_images", {"train.csv": NUMBERS}),
    "14-hf-imagefolder": Layout("data", {"data": ()}),
    "15-label-studio": Layout("scans", {"project-1-at-2026-03-01-csv.csv": (), "project-1-local-files.csv": ()}),
    "16-split-folders": Layout("chest_xray", {"chest_xray": ()}),
    "18-mimic-cxr-jpg": Layout("files", {"mimic-cxr-2.0.0-chexpert.csv": ()}, several=True),
    "21-spreadsheet-forms": Layout(
        "scans", {**dict.fromkeys(_FORMS.split(), ()), "no-header.csv": BARE, "imagenet-list.txt": (*BARE, *NUMBERS)}
    ),
    "23-mixed-naming": Layout("scans", {"labels.csv": ()}),
}
FEW = ("15-label-studio", "21-spreadsheet-forms", "23-mixed-naming")
SHOWN = ("01-nih14", "02-chexpert", "03-rsna", "04-isic2018", "05-ham10000", "06-aptos", "15-label-studio")
SHOWN += ("18-mimic-cxr-jpg", "14-hf-imagefolder", "16-split-folders")
PAGE = " ".join((Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8").split())
ALL = [(case, table) for case, layout in LAYOUTS.items() for table in layout.tables]
_IN_FULL = pytest.mark.long
"""Tables of a case after its first are read the same way by whatever command: the quick tests take one of each."""


def shorter(cases: Iterable[str] = LAYOUTS, without: Sequence[str] = (), quick: Iterable[str] = LAYOUTS) -> list[Any]:
    return [
        pytest.param(case, table, marks=() if case in quick and table == next(iter(LAYOUTS[case].tables)) else _IN_FULL)
        for case, table in ALL
        if case in cases and table not in without
    ]


@pytest.fixture(scope="module")
def cases(shared: Path) -> Path:
    return shared.parent / "cases" / "labels"


@pytest.fixture(scope="module")
def run_of(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Classify the pictures of a case, once."""
    folder = tmp_path_factory.mktemp("layouts")

    def run(case: str) -> Path:
        out = folder / case
        if not out.exists():
            work = classify_multi_label if LAYOUTS[case].several else classify
            work(cases / case / LAYOUTS[case].pictures, knowledge=cases / case / "knowledge.yaml", out=out)
        return out

    return run


@pytest.fixture(scope="module")
def normalised() -> dict[object, Any]:
    """What the labels in our own form gave, by command and case."""
    return {}


def both(case: str, table: str, of: Callable[..., Any], known: dict[object, Any], key: str) -> tuple[Any, Any]:
    """What a command makes of a table, and of the same labels in our own form."""
    if (key, case) not in known:
        known[key, case] = of("labels_normalised.csv", ())
    return of(table, LAYOUTS[case].tables[table]), known[key, case]


@pytest.mark.parametrize(("case", "table"), ALL)
def test_evaluate(case, table, cases, run_of, quick: Run, tmp_path, normalised):
    def of(labels: str, options: tuple[str, ...]) -> tuple[Any, str]:
        methods = () if LAYOUTS[case].several else ("--methods", "kpl")
        told = quick("evaluate", run_of(case), "--labels", cases / case / labels, "--replicates", 20, "--json",
                     tmp_path / "scores.json", *methods, *options)  # fmt: skip
        return json.loads((tmp_path / "scores.json").read_text()), told.plain

    (raw, told), (plain, _) = both(case, table, of, normalised, "evaluate")
    assert raw == plain
    assert "columns: image" in told or (cases / case / table).is_dir()
    unit = (raw["multi-label"] if LAYOUTS[case].several else raw["kpl"])["unit"]
    assert re.search(rf"95 % interval over {unit.split()[0]} \w+", told)
    if case in SHOWN and table == next(iter(LAYOUTS[case].tables)):
        said = re.search(r"Note: (?:columns: |the class is ).*?(?= Note: | Figures )", told)
        assert said is not None
        assert said[0] in PAGE
        assert f"$ kpl evaluate run/ --labels {table}{'/' * (cases / case / table).is_dir()}" in PAGE


def test_what_was_right_already_stays_right(cases, quick: Run, tmp_path):
    pictures = cases / "09-pbc" / "PBC_dataset_normal_DIB"
    classify(pictures, knowledge="blood-cells", out=tmp_path / "09")
    told = quick("evaluate", "09", "--labels", pictures, "--replicates", 20, "--json", "09.json").plain
    assert "16 labelled images" in told
    assert "not in the knowledge" not in told
    assert sum(each["n"] for each in json.loads(Path("09.json").read_text())["kpl"]["per_class"].values()) == 16
    odd = cases / "20-odd-names"
    classify(odd / "scans", knowledge=odd / "knowledge.yaml", out=tmp_path / "20")
    told = quick("evaluate", "20", "--labels", odd / "labels.csv", "--replicates", 20).plain
    assert "22 labelled images" in told
    assert "not used" not in told


@pytest.mark.parametrize(("case", "table"), shorter())
def test_calibrate(case, table, cases, run_of, quick: Run, tmp_path, normalised):
    def of(labels: str, options: tuple[str, ...]) -> Any:
        out = tmp_path / "calibration.json"
        told = quick("calibrate", run_of(case), "--labels", cases / case / labels, "--out", out, *options)
        if case in FEW:
            return told.error
        assert "columns: image" in told.plain or (cases / case / table).is_dir()
        found = json.loads(out.read_text())
        del found["unit"]  # groups or patients, as the column is called
        return found

    raw, plain = both(case, table, of, normalised, "calibrate")
    assert raw == plain
    if case in FEW:
        assert raw == "9 labelled images are too few to calibrate on: label at least 10"
    else:
        assert ("thresholds" in raw) == LAYOUTS[case].several


@pytest.mark.parametrize(("case", "table"), shorter(quick=("01-nih14", "05-ham10000", "16-split-folders")))
def test_report(case, table, cases, run_of, quick: Run, normalised):
    def of(labels: str, options: tuple[str, ...]) -> list[str]:
        own = () if LAYOUTS[case].several else ("--methods", "kpl")
        told = quick("report", run_of(case), "--labels", cases / case / labels, "--replicates", 20, *own, *options)
        assert told.code == 0, told
        page = (run_of(case) / "report.html").read_text(encoding="utf-8")
        return re.findall(r"<table.*?</table>", page[page.index("Against the labels") :], re.DOTALL)

    raw, plain = both(case, table, of, normalised, "report")
    assert raw == plain
    assert raw


@pytest.fixture(scope="module")
def session_of(
    cases: Path,
    run_of: Callable[[str], Path],
    serving: Callable[..., TestClient],  # noqa: F811
) -> Iterator[Callable[[str], tuple[TestClient, str]]]:
    """A session of the service with the pictures of a case, classified once; of several labels with the run."""
    of_several = [run_of(case) for case, layout in LAYOUTS.items() if layout.several]
    client, made = serving(runs=of_several), {}

    def session(case: str) -> tuple[TestClient, str]:
        if case not in made and LAYOUTS[case].several:
            made[case] = f"/api/sessions/{client.post('/api/sessions', json={'run': case}).json()['id']}"
        elif case not in made:
            address = made[case] = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
            root = cases / case / LAYOUTS[case].pictures
            files = [
                ("files", (path.relative_to(root).as_posix(), path.read_bytes()))
                for path in sorted(root.rglob("*"))
                if path.is_file() and path.suffix in (".png", ".jpg", ".jpeg")
            ]
            base = yaml.safe_load((cases / case / "knowledge.yaml").read_text(encoding="utf-8"))
            assert client.put(f"{address}/knowledge", json={"knowledge": base}).status_code == 200
            assert client.post(f"{address}/pictures", files=files).json()["left_out"] == []
            assert finish(client, client.post(f"{address}/jobs", json={}).json())["state"] == "done"
        return client, made[case]

    yield session
    for address in made.values():
        client.delete(address)


@pytest.mark.parametrize(("case", "table"), shorter())
def test_the_service(case, table, cases, session_of, normalised):
    client, address = session_of(case)

    def of(labels: str, options: tuple[str, ...]) -> Any:
        how = {
            name.removeprefix("--").replace("-", "_"): value
            for name, value in zip(options[::2], options[1::2], strict=True)
        }
        how = {"numbers" if name == "label_numbers" else name: value for name, value in how.items()}
        told = client.post(f"{address}/scores", files=sent(cases / case / labels), params=how)
        assert told.status_code == 200, told.json()
        assert "columns: image" in " ".join(told.json()["notices"]) or (cases / case / labels).is_dir()
        return {name: told.json()[name] for name in ("labelled", "methods", "classes", "majority", "chance", "truth")}

    raw, plain = both(case, table, of, normalised, "service")
    assert raw == plain
    assert bool(raw["classes"]) == LAYOUTS[case].several


def sent(labels: Path) -> list[tuple[str, tuple[str, bytes]]]:
    """A table as it is sent; of a folder the paths of its files, and the tables in it."""
    if labels.is_file():
        return [("file", (labels.name, labels.read_bytes()))]
    inside = {path.relative_to(labels).as_posix(): path for path in sorted(labels.rglob("*")) if path.is_file()}
    tables = [("file", (name, path.read_bytes())) for name, path in inside.items() if path.stem == "metadata"]
    return [("folder", ("folder", "\n".join(inside).encode())), *tables]
