"""The report of a multi-label run: whole, exact in its shares, the same every time, and hostile text stays text."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.special import logit
from sklearn.metrics import roc_auc_score
from tests.report.conftest import CLASSES, HOSTILE
from tests.report.test_report import ALLOWED, read

from kpl.errors import FeaturesError, InputError, LabelsError
from kpl.report import explain_classes, write_report
from kpl.report.multi_label_scores import score_multi_label
from kpl.runs import classify_multi_label, evaluate, open_run
from kpl.runs.thumbnails import kept_multi_label_rows, multi_label_rows


@pytest.fixture(scope="module")
def page(several, many_labels, tmp_path_factory):
    copy = tmp_path_factory.mktemp("scored") / "run"
    shutil.copytree(several.path, copy)
    return read(write_report(copy, labels=many_labels, by=["site"], replicates=50))


def test_it_tells_the_story_in_order(several):
    text = read(write_report(several.path)).text
    parts = ["What came out", "What occurs together", "Set aside", "class by class"]
    places = [text.rindex(part) for part in [*parts, "The knowledge in use", "What was run on what"]]
    assert places == sorted(places)
    assert "Against the labels" not in text
    assert f"{several.empty} of 18 pictures have none of these classes" in text
    assert "absence not stated" in text
    for key, sentences in CLASSES.items():
        assert f"{key} {HOSTILE}" in text
        assert all(sentence in text for sentence in sentences)


def test_text_from_users_stays_text_and_can_be_read_without_eyes(several, page):
    for shown in (read(write_report(several.path)), page):
        assert {tag for tag, _ in shown.tags} <= ALLOWED
        ids = [a["id"] for _, a in shown.tags if "id" in a]
        assert len(ids) == len(set(ids))
        for tag, attributes in shown.tags:
            assert not [name for name in attributes if name.startswith("on")]
            assert tag not in ("a", "use") or (attributes["href"] or "")[1:] in ids
            assert tag != "image" or (attributes["href"] or "").startswith("data:image/webp;base64,")
            assert tag != "th" or attributes["scope"] in ("row", "col")
        assert HOSTILE in shown.text
        assert "49}}" not in shown.text
        assert shown.count("image") == 18, "each picture once"


def test_labels_say_right_and_wrong_and_score_each_value(page):
    for said in ("Against the labels", "average precision", "sensitivity", "prevalence", "majority", "ROC", "By site"):
        assert said in page.text
    assert "✓ right" in page.text
    assert page.text.count("✗") == page.text.count("✗ label: ")
    assert page.text.rindex("The knowledge in use") < page.text.rindex("Against the labels")
    assert re.search(r"50 resamples over .*(pictures|images)\.", page.text)


def test_labels_say_whether_to_believe_the_probabilities_and_what_absence_brings(several, many_labels):
    seen = open_run(several.path)
    scored = score_multi_label(seen, many_labels, replicates=0)
    truth = scored.truth
    texts = np.stack([np.mean(rows, axis=0) for rows in seen.descriptions])
    cosines = seen.images @ texts.T
    areas = [
        [roc_auc_score(truth[:, c], by[:, c]) for c in range(3)] for by in (seen.predictions.probabilities, cosines)
    ]
    rankings = scored.context["rankings"]
    assert [figures[0][0] for _, _, figures in rankings] == pytest.approx([*np.mean(areas, axis=1), 0.5])
    wrong = np.mean(seen.predictions.present != (truth == 1))
    assert f"Of all decisions {wrong:.1%} are wrong" in scored.context["figures"][2][0]
    assert "as often as they are held probable" in scored.context["figures"][1][0]


def test_shares_sum_to_the_margin_exactly_and_its_sign_is_the_decision(several):
    seen = open_run(several.path)
    for row in range(seen.n):
        image, classes = explain_classes(seen, seen.ids[row])
        assert image == seen.ids[row]
        assert [each.present for each in classes] == sorted((each.present for each in classes), reverse=True)
        for each in classes:
            assert sum(said.share for said in each.sentences) == each.margin
            assert each.margin == pytest.approx(logit(each.probability) - logit(each.threshold), abs=2e-5)
            assert each.present == (each.margin >= 0)


def test_a_threshold_of_zero_is_held_against_an_even_chance(several, knowledge, tmp_path):
    classify_multi_label(several.path / "features", knowledge=knowledge, out=tmp_path / "run", threshold=0)
    page = read(write_report(tmp_path / "run"))
    assert "was given features, not pictures" in page.text
    _, classes = explain_classes(tmp_path / "run", open_run(tmp_path / "run").ids[0])
    assert all(each.present and np.isfinite(each.margin) for each in classes)


def test_pictures_can_be_put_in_later(several, knowledge, pictures, tmp_path):
    classify_multi_label(several.path / "features", knowledge=knowledge, out=tmp_path / "run")
    assert read(write_report(tmp_path / "run", pictures=pictures)).count("image") == 18


def test_the_same_run_gives_the_same_bytes(several, tmp_path):
    shutil.copytree(several.path, tmp_path / "copy")
    first = write_report(several.path).read_bytes()
    assert first == write_report(tmp_path / "copy").read_bytes()
    assert str(several.path).encode() not in first


def test_what_cannot_be_is_refused(several, run, tmp_path):
    with pytest.raises(FeaturesError, match="no multi-label run"):
        explain_classes(run, "cell-04.png")
    with pytest.raises(InputError, match="has no maps"):
        write_report(several.path, maps=1, pictures=Path())
    (tmp_path / "labels.csv").write_text("image,label\nother.png,platelet\n")
    with pytest.raises(LabelsError, match="none of the 1 labels"):
        write_report(several.path, labels=tmp_path / "labels.csv")
    shutil.copytree(several.path, tmp_path / "copy")
    texts = load_file(tmp_path / "copy" / "texts.safetensors")
    kept = {name: rows for name, rows in texts.items() if "absent" not in name}
    save_file(kept, tmp_path / "copy" / "texts.safetensors")
    with pytest.raises(FeaturesError, match="earlier version"):
        write_report(tmp_path / "copy")


@pytest.mark.parametrize("n_classes", [1, 4, 300])
def test_what_is_shown_is_bounded_and_in_order(n_classes):
    rng = np.random.default_rng(n_classes)
    chances, least = rng.random((900, n_classes)), rng.uniform(0.3, 0.999, n_classes)
    there = chances >= least
    pairs = multi_label_rows(chances, there, least)
    assert sum(len(rows) for pair in pairs for rows in pair) <= max(480, 2 * n_classes)
    for c, (surest, near) in enumerate(pairs):
        assert there[surest, c].all()
        assert not set(surest.tolist()) & set(near.tolist())
        assert (np.diff(chances[surest, c]) <= 0).all()
        assert (np.diff(chances[near, c]) <= 0).all()
    kept = kept_multi_label_rows(chances, there, least)
    assert {kept[row] for pair in pairs for rows in pair for row in rows.tolist()} == {320}
    assert len(kept) == 900


def test_probabilities_that_six_decimals_round_are_told_apart(pictures, knowledge, many_labels, tmp_path, monkeypatch):
    monkeypatch.setattr("kpl.runs.multi_label_classifying.multi_label_probabilities", lambda *_args, **_more: chances)
    chances = 1 - 1e-7 * np.random.default_rng(0).random((18, 3))
    result = classify_multi_label(pictures, knowledge=knowledge, out=tmp_path / "run")
    seen = open_run(result.path)
    np.testing.assert_allclose(1 - seen.predictions.probabilities, 1 - chances, rtol=1e-5)
    order = np.argsort(-chances[:, 0], kind="stable")
    assert (
        multi_label_rows(seen.predictions.probabilities, seen.predictions.present, seen.thresholds)[0][0].tolist()
        == order[:12].tolist()
    )
    assert evaluate(result.path, labels=many_labels, replicates=0).multi_label.mean["auroc"] != 0.5
    (result.path / "scores.npy").unlink()
    scored = evaluate(result.path, labels=many_labels, replicates=0)
    old, notices = scored.multi_label, scored.notices
    assert old.mean["auroc"] == 0.5
    assert any("rounded to six decimals only" in notice for notice in notices)
    assert any("rounded to six decimals only" in warning for warning in open_run(result.path).warnings)


@pytest.mark.parametrize("asked", [{"methods": ["text"]}, {"ordered": True}, {"ignore_unknown": True}])
def test_what_several_labels_have_no_use_for_is_refused(several, many_labels, asked):
    with pytest.raises(InputError, match="compares no methods, orders no classes"):
        write_report(several.path, labels=many_labels, **asked)
