"""A run from Python: pictures as people have them, objects for names, and a result that answers."""

from __future__ import annotations

import gc
import importlib
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import kpl
from kpl.errors import EncoderError, InputError, OutputError, PictureError
from kpl.images import find_given, picture_bytes, pixels_of
from kpl.methods import METHODS, CuPL
from kpl.runs import classify, classify_multi_label, evaluate, fit, load_model, open_run


class DataSet:
    """What `datasets.Dataset` is to us: rows that are decoded when they are asked for."""

    column_names = ("image", "label")
    features = ("image", "label")

    def __init__(self, pictures: list[Any]) -> None:
        self.pictures = pictures
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, row: int) -> dict[str, Any]:
        if not 0 <= row < len(self):
            raise IndexError(row)
        self.read.append(row)
        return {"image": self.pictures[row], "label": 0}


def held(job, kind: str) -> Any:
    files = sorted(job.pictures.glob("*.png"))
    opened = [Image.open(file).convert("RGB") for file in files]
    return {
        "pillow": opened,
        "arrays": [np.asarray(each) for each in opened],
        "batch": np.stack([np.asarray(each) for each in opened]),
        "bytes": [file.read_bytes() for file in files],
        "files": [io.BytesIO(file.read_bytes()) for file in files],
        "data set": DataSet(opened),
        "column": (each for each in opened),
        "undecoded": [{"bytes": file.read_bytes(), "path": None} for file in files],
    }[kind]


@pytest.mark.parametrize("kind", ["pillow", "arrays", "batch", "bytes", "files", "data set", "column", "undecoded"])
def test_pictures_in_memory_are_classified_as_their_files_are(job, kind):
    wanted = job.run()
    result = classify(held(job, kind), knowledge=job.knowledge)
    assert result.ids == tuple(f"{n:06d}" for n in range(10))
    np.testing.assert_array_equal(result.predictions.winners, wanted.predictions.winners)
    assert len(result.thumbnails) == 10


def test_without_a_folder_the_run_is_kept_as_long_as_it_is_used(job, tmp_path):
    result = classify(job.pictures, knowledge=job.knowledge)
    place, said = result.path, list(result)
    assert said == list(result.save(tmp_path / "kept"))
    assert list(open_run(tmp_path / "kept")) == said
    with pytest.raises(OutputError, match="exists"):
        result.save(tmp_path / "kept")
    result.save(tmp_path / "kept", overwrite=True)
    del result
    gc.collect()
    assert not place.exists(), "nothing stays behind"
    assert list(open_run(tmp_path / "kept")) == said


def test_a_result_answers(job):
    result = job.run(coverage=0.5)
    first = result.predictions[0]
    assert first == next(iter(result)) == result.predictions[:2][0]
    assert first.id == result.ids[0]
    assert set(first.probabilities) == set(result.keys)
    assert first.confidence == max(first.probabilities.values())
    assert first.margin == pytest.approx(first.confidence - first.probabilities[first.runner_up])
    assert sum(each.label is None for each in result) == result.abstained > 0
    columns = result.predictions.columns()
    assert columns["label"] == [each.label for each in result]
    assert list(columns)[:5] == ["image", "label", "confidence", "margin", "runner_up"]


def test_a_multi_label_result_answers(job):
    result = classify_multi_label(job.pictures, knowledge=job.knowledge)
    for said in result:
        assert said.labels == tuple(key for key in result.keys if said.probabilities[key] >= 0.5)
    assert result.predictions.columns()["labels"][0] == "|".join(result.predictions[0].labels)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_a_result_becomes_a_table(job, name):
    library, result = importlib.import_module(name), job.run()
    table = result.to_pandas() if name == "pandas" else result.to_polars()
    assert isinstance(table, library.DataFrame)
    assert list(table["label"]) == [each.label for each in result]
    paths = library.Series([str(path) for path in sorted(job.pictures.glob("*.png"))])
    assert classify(paths, knowledge=job.knowledge).counts == result.counts
    frame = library.DataFrame({"path": list(paths), "site": ["a"] * len(paths)})
    assert classify(frame, knowledge=job.knowledge).counts == result.counts


def test_a_table_without_its_library_is_refused(job, monkeypatch):
    result = job.run()
    for name in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(InputError, match=f"pip install {name}"):
            getattr(result, f"to_{name}")()


@pytest.mark.torch
def test_tensors_are_pictures():
    torch = importlib.import_module("torch")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    channels_first = torch.tensor(pixels).permute(2, 0, 1)
    np.testing.assert_array_equal(pixels_of(channels_first), pixels)
    np.testing.assert_array_equal(pixels_of(channels_first.float() / 255), pixels)
    assert len(find_given(torch.stack([channels_first] * 3)).pictures) == 3


def test_pixels_of_every_kind():
    grey = (23 * np.arange(12, dtype=np.uint8)).reshape(3, 4)
    for values in (grey, grey[..., None], grey.astype(np.uint16) << 8, grey / 255.0):
        np.testing.assert_array_equal(pixels_of(values), np.repeat(grey[..., None], 3, axis=2))
    clear = np.dstack([np.zeros((3, 4, 3), np.uint8), np.zeros((3, 4), np.uint8)])
    assert (pixels_of(clear) == 255).all(), "transparency is laid on white"
    for wrong in (np.zeros((2, 3, 5)), np.zeros((2, 2), np.int64), np.full((2, 2), 7.0), np.zeros((0, 2), np.uint8)):
        with pytest.raises(PictureError):
            picture_bytes(wrong)


def test_one_bad_picture_stops_nothing(job):
    result = classify([*held(job, "bytes"), b"no picture", np.zeros((2, 2), np.int64)], knowledge=job.knowledge)
    assert [item.id for item in result.set_aside] == ["000010", "000011"]
    assert result.n == 10


@pytest.mark.parametrize("wrong", [[], 3, {"a": 1}, [Path("a.png"), b"x"], DataSet([])])
def test_what_holds_no_pictures_is_refused(job, wrong):
    with pytest.raises(InputError):
        classify(wrong, knowledge=job.knowledge)


class Mine(CuPL):
    """A third party's method, which is in no registry."""

    name = "mine"
    summary = "as CuPL"


def test_a_method_is_given_as_an_object(job, tmp_path):
    named = job.run(settings={"k": None})
    given = classify(job.pictures, knowledge=job.knowledge, method=kpl.KPL(k=None))
    assert list(given) == list(named)
    own = classify(job.pictures, knowledge=job.knowledge, method=Mine(k=1))
    assert own.method_name == "mine"
    assert "mine" not in METHODS
    (tmp_path / "labels.csv").write_text("image,label\n0.png,platelet\n1.png,red_cell\n", encoding="utf-8")
    scored = evaluate(named, labels=tmp_path / "labels.csv", methods=[Mine(k=1), "kpl"], replicates=0)
    assert list(scored.table.scores) == ["mine", "kpl"]
    one = evaluate(named, labels=tmp_path / "labels.csv", methods="cupl", replicates=0)
    assert list(one.table.scores) == ["cupl"], "a string is one name, never its letters"
    model = fit(job.pictures, knowledge=job.knowledge, method=kpl.KPL(k=2), out=tmp_path / "m.kpl")
    assert load_model(tmp_path / "m.kpl").method.k == model.method.k == 2
    with pytest.raises(InputError, match="settings already"):
        classify(job.pictures, knowledge=job.knowledge, method=kpl.KPL(), settings={"k": 2})
    with pytest.raises(InputError, match="a method is a name"):
        classify(job.pictures, knowledge=job.knowledge, method=3)


def test_knowledge_is_given_as_a_dict(job):
    sentences = {"disc": ["a pale disc"], "box": ("a dark box", "straight sides")}
    result = classify(job.pictures, knowledge=sentences)
    assert result.keys == ("disc", "box")
    with pytest.raises(InputError, match="the dict"):
        classify(job.pictures, knowledge={"disc": [""], "box": ["a dark box"]})
    with pytest.raises(InputError, match="got list"):
        classify(job.pictures, knowledge=["disc"])


def test_a_sentence_is_not_its_letters():
    mini = kpl.load_encoder("mini")
    with pytest.raises(InputError, match="come as a list"):
        mini.encode_texts("a large cell")
    with pytest.raises(InputError, match="come as a list"):
        kpl.embed_texts(["a large cell"], mini)


def test_an_encoder_is_named_or_there(tmp_path):
    with pytest.raises(EncoderError, match="folder of no encoder"):
        kpl.load_encoder(tmp_path)
    with pytest.raises(EncoderError, match="got int"):
        kpl.load_encoder(3)
