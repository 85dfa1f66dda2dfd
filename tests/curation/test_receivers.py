"""Exports as the receiving libraries read them; FiftyOne's by its documented layout, as it wants a database."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kpl.curation import export
from kpl.runs import SingleLabelRun, classify
from kpl.runs.corrections import add_corrections
from rendered import cell_of_class, draw_cell

KEYS = ("neutrophil", "normal_red_cell", "platelet")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(9):
        rng = np.random.default_rng(number)
        place = folder / f"ward {number % 2}" / f"cell-{number}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(draw_cell(cell_of_class(KEYS[number % 3], rng), rng)).save(place)
    return folder


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> SingleLabelRun:
    made = classify(pictures, knowledge="blood-cells", out=tmp_path_factory.mktemp("run") / "run")
    add_corrections(made, {made.ids[0]: "platelet", made.ids[1]: "none of these"}, by="Ann")
    return made


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the receiving libraries
@pytest.mark.receivers
def test_datasets_reads_an_imagefolder(run: SingleLabelRun, pictures: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    done = export(run, "imagefolder", tmp_path / "made", pictures=pictures)
    assert done.pictures == run.n
    found = load_dataset("imagefolder", data_dir=str(tmp_path / "made"), cache_dir=str(tmp_path / "cache"))["train"]
    rows = {row["image_id"]: row for row in found}
    assert set(rows) == set(run.ids)
    assert (rows[run.ids[0]]["label"], rows[run.ids[0]]["corrected"]) == ("platelet", True)
    assert rows[run.ids[1]]["label"] == ""
    for said in run.predictions[2:]:
        assert rows[said.id]["label"] == said.label
        with Image.open(pictures / said.id) as own:
            assert rows[said.id]["image"].size == own.size


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the receiving libraries
@pytest.mark.receivers
def test_label_studio_takes_every_task(run: SingleLabelRun, tmp_path: Path) -> None:
    from label_studio_sdk.label_interface import LabelInterface

    choices = "".join(f'<Choice value="{key}"/>' for key in run.keys)
    interface = LabelInterface(
        f'<View><Image name="image" value="$image"/><Choices name="label" toName="image">{choices}</Choices></View>'
    )
    export(run, "label-studio", tmp_path / "tasks.json")
    tasks = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    assert len(tasks) == run.n
    for task in tasks:
        assert interface.validate_task({"data": task["data"]})
        assert all(interface.validate_prediction(each) for each in task["predictions"])
        assert all(interface.validate_annotation(each) for each in task.get("annotations", []))
        assert " " not in task["data"]["image"], "a path as Label Studio's own local storage writes it"
    wrong = {
        **tasks[2]["predictions"][0],
        "result": [{**tasks[2]["predictions"][0]["result"][0], "from_name": "other"}],
    }
    assert not interface.validate_prediction(wrong), "the check tells a wrong one"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the receiving libraries
@pytest.mark.receivers
def test_parquet_is_a_table_of_datasets(run: SingleLabelRun, tmp_path: Path) -> None:
    from datasets import Dataset

    export(run, "parquet", tmp_path / "made.parquet")
    found = Dataset.from_parquet(str(tmp_path / "made.parquet"), cache_dir=str(tmp_path / "cache"))
    assert found["image"][:] == list(run.ids)
    assert found["label"][:2] == ["platelet", ""]


def test_fiftyone_has_its_documented_layout(run: SingleLabelRun, pictures: Path, tmp_path: Path) -> None:
    """https://docs.voxel51.com: data/ holds the media, labels.json classes and, by the stem of a file, its label."""
    export(run, "fiftyone", tmp_path / "made", pictures=pictures)
    told = json.loads((tmp_path / "made" / "labels.json").read_text(encoding="utf-8"))
    assert set(told) == {"classes", "labels"}
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"data", "labels.json"}
    assert {path.stem for path in (tmp_path / "made" / "data").iterdir()} == set(told["labels"])
    for label in told["labels"].values():
        if label is not None:
            assert set(label) == {"label", "confidence", "attributes"}
            assert told["classes"][label["label"]] in run.keys
            assert 0 <= label["confidence"] <= 1
