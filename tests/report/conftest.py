"""Runs to report on: drawn cells under names that would break a careless page."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kpl.runs import MultiLabelRun, classify, classify_multi_label
from rendered import cell_of_class, draw_cell

HOSTILE = "\"><img src=x onerror=alert(1)><script>alert('x')<&{{7*7}}"
CLASSES = {
    "neutrophil": ["a dark nucleus split into several lobes", "pale pink cytoplasm", f"fine granules {HOSTILE}"],
    "normal_red_cell": ["a round pink disc without a nucleus", "a pale centre", "no granules"],
    "platelet": ["a tiny purple body without a nucleus", "much smaller than the red cells around it"],
}


@pytest.fixture(scope="session")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knowledge file with hostile names and sentences."""
    entries = [{"key": key, "name": f"{key} {HOSTILE}", "descriptions": d} for key, d in CLASSES.items()]
    task = {"name": f"small {HOSTILE}", "version": 7, "modality": "blood smear", "template": "{description}"}
    path = tmp_path_factory.mktemp("knowledge") / "small.json"
    path.write_text(json.dumps({"kpl_knowledge": 1, "task": task, "classes": entries}), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighteen cells of three classes; some names are hostile, one file is no picture."""
    folder = tmp_path_factory.mktemp("pictures") / "scans"
    folder.mkdir()
    for number in range(18):
        rng = np.random.default_rng([11, number])
        cell = draw_cell(cell_of_class(list(CLASSES)[number % 3], rng), rng)
        name = f"{number:02d}{HOSTILE}.png" if number % 6 in (0, 5) or number == 9 else f"cell-{number:02d}.png"
        Image.fromarray(cell).save(folder / name)
    (folder / f"bad{HOSTILE}.png").write_bytes(b"not a picture")
    return folder


@pytest.fixture(scope="session")
def labels(pictures: Path) -> Path:
    """The true classes, with a column of sites."""
    path = pictures.parent / "labels.csv"
    names = sorted(p.name for p in pictures.iterdir() if not p.name.startswith("bad"))
    keys = list(CLASSES)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "site"])
        for name in names:
            number = int(name.removeprefix("cell-")[:2])
            writer.writerow([name, keys[number % 3], f"site {number % 2} {HOSTILE}"])
    return path


@pytest.fixture(scope="session")
def run(pictures: Path, knowledge: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the pictures, with evidence."""
    out = tmp_path_factory.mktemp("run") / "run"
    classify(pictures, knowledge=knowledge, out=out, with_evidence=True)
    return out


@pytest.fixture(scope="session")
def several(pictures: Path, knowledge: Path, tmp_path_factory: pytest.TempPathFactory) -> MultiLabelRun:
    """A multi-label run of the pictures."""
    out = tmp_path_factory.mktemp("several") / "run"
    thresholds = {"neutrophil": 0.05, "normal_red_cell": 0.1, "platelet": 0.03}
    return classify_multi_label(pictures, knowledge=knowledge, out=out, thresholds=thresholds)


@pytest.fixture(scope="session")
def many_labels(labels: Path) -> Path:
    """Which classes each picture has, a column each: the true one, and now and then platelets beside it."""
    path = labels.parent / "many.csv"
    with labels.open(encoding="utf-8", newline="") as source, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *CLASSES, "site"])
        for number, (name, label, site) in enumerate(list(csv.reader(source))[1:]):
            flags = [int(key == label or (key == "platelet" and number % 5 == 0)) for key in CLASSES]
            writer.writerow([name, *flags, site])
    return path


@pytest.fixture(scope="session")
def bare_run(run: Path, knowledge: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the same pictures' features, without thumbnails."""
    out = tmp_path_factory.mktemp("bare") / "run"
    classify(run / "features", knowledge=knowledge, out=out)
    return out
