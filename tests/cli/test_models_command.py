"""`kpl fit`, `kpl classify --model` and `kpl update` in real processes, with the shipped encoder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kpl as package
from kpl import demo


@pytest.fixture(scope="module")
def model(features, knowledge, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "cells.kpl"
    package.fit(features, knowledge=knowledge, out=path)
    return path


@pytest.mark.long
def test_a_model_saved_in_one_process_predicts_the_same_in_another(kpl, features, knowledge, finished, tmp_path):
    told = kpl("fit", features, "-k", knowledge, "-o", "cells.kpl").plain
    assert "kpl learnt 3 classes from 12 pictures with mini" in told
    assert "kpl classify NEW/ --model cells.kpl" in told
    assert kpl("classify", features, "--model", "cells.kpl", "-o", "run").plain
    assert (tmp_path / "run/predictions.csv").read_bytes() == (finished / "predictions.csv").read_bytes()


def test_one_picture_from_python_is_what_the_run_says(model, cells, finished):
    run = package.open_run(finished)
    said = package.load_model(model).predict(cells / run.features.ids[0])
    whole = package.load_model(model).method.predict_proba(run.features)[0]
    np.testing.assert_allclose(list(said.probabilities.values()), whole, atol=1e-3)


def test_more_pictures_later(quick, model, cells, features, tmp_path):
    shutil.copy(model, tmp_path / "cells.kpl")
    told = quick("update", "cells.kpl", cells / "neutrophil", "--against", features, "-o", "new.kpl").plain
    assert "4 pictures added, 16 in all; written to new.kpl" in told
    assert "Approximate" in told
    assert "From a fit on all 16 pictures" in told
    assert "How much: give the features" in quick("update", "cells.kpl", cells / "neutrophil").plain
    assert (tmp_path / "cells.kpl").read_bytes() == (tmp_path / "new.kpl").read_bytes()
    package.fit(features, knowledge=package.load_model(model).knowledge, out=tmp_path / "cupl.kpl", method="cupl")
    assert "Exact" in quick("update", "cupl.kpl", cells / "neutrophil").plain


def dimmed(picture, place):
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.open(picture).convert("RGB").point(lambda value: round(0.8 * value)).save(place)


@pytest.mark.long
def test_a_model_at_another_place_says_so(kpl, tmp_path):
    """Real cells as they are shipped: half to learn from, the others as they are, and under a dimmer lamp."""
    for number, picture in enumerate(sorted(Path(demo.__file__).parent.glob("pictures/**/*.jpg"))):
        if number % 2:
            dimmed(picture, tmp_path / "elsewhere" / f"{picture.stem}.png")
        place = tmp_path / ("own" if number % 2 else "learnt") / picture.name
        place.parent.mkdir(exist_ok=True)
        shutil.copy(picture, place)
    kpl("fit", "learnt", "-k", "blood-cells", "-o", "cells.kpl").plain  # noqa: B018
    told = kpl("classify", "own", "--model", "cells.kpl", "-o", "here").plain
    assert "Against what the model learnt from: shifted by 0.0" in told
    assert "another stain, scanner or preparation" not in told
    told = kpl("classify", "elsewhere", "--model", "cells.kpl", "-o", "there").plain
    assert "these are not pictures as the model learnt from" in told
    report = (tmp_path / "there" / "report.html").read_text("utf-8")
    assert "another stain, scanner or preparation" in report
    assert "Against what the model learnt from" in report


def test_what_cannot_be_used_is_one_line(quick, model, features, cells, tmp_path):
    (tmp_path / "cut.kpl").write_bytes(model.read_bytes()[:-9])
    assert "no model, or a damaged one" in quick("classify", features, "--model", "cut.kpl", "-o", "run").error
    assert "no such model" in quick("update", "none.kpl", cells).error
    assert "learnt from these 12 pictures already" in quick("update", model, features, "-o", "new.kpl").error
    assert "neither knowledge nor a model" in quick("classify", features, "-o", "run").error
    assert (
        "leave the knowledge out"
        in quick("classify", features, "--model", model, "-k", "blood-cells", "-o", "run").error
    )
    assert not (tmp_path / "run").exists()
