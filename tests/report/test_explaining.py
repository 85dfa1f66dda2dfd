"""The evidence for one picture: exact shares, true refits, real neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from kpl.errors import InputError, UnknownNameError
from kpl.methods import make_method
from kpl.proxies.sums import sum_images
from kpl.report import explain_picture
from kpl.runs import classify, fit, open_run


def test_the_shares_sum_to_the_text_margin(run):
    for image in ("cell-01.png", "cell-02.png"):
        found = explain_picture(run, image, top=0)
        assert sum(s.share for s in found.sentences) == pytest.approx(found.text_margin, abs=1e-6)
        assert [s.excess for s in found.sentences] == sorted((s.excess for s in found.sentences), reverse=True)
        assert found.method_margin is None
        assert found.not_fitted == "not asked for"


def learnt_from(seen, texts):
    """Scores of the run's method learnt from other texts, believed as far as with its own."""
    method = make_method(seen.plan["method"], **seen.plan["settings"]).fit(seen.images, seen.descriptions)
    return method.learnt_again(seen.images, sum_images(seen.images), texts).scores(seen.images)


def test_a_sentence_is_left_out_by_learning_again(run):
    told = []
    found = explain_picture(run, "cell-04.png", top=1, progress=lambda *said: told.append(said))
    assert told == [("fits", done, len(told)) for done in range(1, len(told) + 1)]
    assert len(told) == 2 + len(found.together)
    seen = open_run(run)
    row = seen.ids.index("cell-04.png")
    first = found.sentences[0]
    c = seen.class_names.index(first.class_name)
    j = [d.text for d in seen.knowledge.classes[c].descriptions].index(first.text)
    texts = [np.delete(rows, j, axis=0) if k == c else rows for k, rows in enumerate(seen.descriptions)]
    scores = learnt_from(seen, texts)[row]
    winner, runner = seen.predictions.winners[row], seen.predictions.runners[row]
    assert first.without.margin == pytest.approx(scores[winner] - scores[runner], abs=1e-9)
    assert first.without.effect == pytest.approx(found.method_margin - first.without.margin, abs=1e-9)
    assert first.without.label == seen.class_names[int(scores.argmax())]
    assert [s.without is None for s in found.sentences] == [False, *[True] * (len(found.sentences) - 2), False]


def test_the_loudest_of_a_class_are_also_left_out_together(run):
    found, seen = explain_picture(run, "cell-04.png", top=2), open_run(run)
    row = seen.ids.index("cell-04.png")
    assert found.together
    for name, count, without in found.together:
        c = seen.class_names.index(name)
        texts = [d.text for d in seen.knowledge.classes[c].descriptions]
        gone = [texts.index(s.text) for s in found.sentences if s.class_name == name and s.without is not None]
        assert 1 < len(gone) == count < len(texts)
        less = [np.delete(rows, gone, axis=0) if k == c else rows for k, rows in enumerate(seen.descriptions)]
        scores = learnt_from(seen, less)[row]
        assert without.margin == pytest.approx(
            scores[seen.predictions.winners[row]] - scores[seen.predictions.runners[row]], abs=1e-9
        )
        assert without.label == seen.class_names[int(scores.argmax())]


def test_the_neighbours_are_the_nearest_of_their_class(run):
    found, seen = explain_picture(run, "cell-07.png", top=0), open_run(run)
    row = seen.ids.index("cell-07.png")
    for name, near in found.nearest:
        rows = [
            r for r in np.flatnonzero(seen.predictions.winners == seen.class_names.index(name)).tolist() if r != row
        ]
        expected = sorted((seen.images[rows] @ seen.images[row]).tolist(), reverse=True)[:3]
        assert [cosine for _, cosine in near] == pytest.approx(expected)
        assert "cell-07.png" not in [image for image, _ in near]


def test_a_run_by_a_model_is_not_learnt_again(pictures, knowledge, run, tmp_path):
    fit(run / "features", knowledge=knowledge, out=tmp_path / "cells.kpl")
    classify(pictures, model=tmp_path / "cells.kpl", out=tmp_path / "run")
    found = explain_picture(tmp_path / "run", "cell-01.png")
    assert "used a model" in found.not_fitted
    assert found.sentences


def test_a_method_of_names_has_no_sentences(run, knowledge, tmp_path):
    classify(run / "features", knowledge=knowledge, out=tmp_path / "run", method="names")
    found = explain_picture(tmp_path / "run", "cell-01.png")
    assert found.sentences == ()
    assert "reads no descriptions" in found.not_fitted


def test_each_image_may_choose_its_own_sentences(run, knowledge, tmp_path):
    settings = {"k": 1, "retrieval": "image"}
    classify(run / "features", knowledge=knowledge, out=tmp_path / "run", method="text", settings=settings)
    assert len(explain_picture(tmp_path / "run", "cell-01.png", top=0).sentences) == 2


def test_what_cannot_be_explained_is_refused(run, cells_in_folders):
    with pytest.raises(UnknownNameError, match=r"cell-1\.png"):
        explain_picture(run, "cell-1.png")
    with pytest.raises(InputError, match="at least 0"):
        explain_picture(run, "cell-01.png", top=-1)
    assert explain_picture(cells_in_folders, "b.png", top=0).image == "one/b.png"
    with pytest.raises(InputError, match="2 pictures of the run end in"):
        explain_picture(cells_in_folders, "a.png")


@pytest.fixture(scope="module")
def cells_in_folders(pictures, knowledge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("folders")
    for number, name in enumerate(("one/a.png", "two/a.png", "one/b.png"), start=1):
        path = folder / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((pictures / f"cell-{number:02d}.png").read_bytes())
    classify(folder / "scans", knowledge=knowledge, out=folder / "run")
    return folder / "run"
