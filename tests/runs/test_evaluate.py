"""Scoring a run and a bundle: the labels, the methods, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

import kpl.runs.evaluating
from kpl.errors import FeaturesError, InputError, LabelsError, UnknownNameError
from kpl.evaluation import Predicted, Reading, Resampling, compare
from kpl.methods import make_method
from kpl.runs import EVALUATED, evaluate, open_run
from kpl.runs.prediction_files import read_predictions, write_predictions

from .conftest import SENTENCES, draw

KEYS = list(SENTENCES)


def label(number):
    return KEYS[number % 3]


@pytest.fixture
def labels(job):
    path = job.folder / "labels.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *((f"{n}.png", label(n)) for n in range(10))])
    return path


@pytest.fixture
def bundle(tmp_path):
    """Twelve images of three classes around their descriptions; two templates, the plainest second."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    rng = np.random.default_rng(0)

    def unit(rows):
        return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)

    centres = np.eye(3, 8)
    truth = np.arange(30) % 3
    np.save(folder / "images.npy", unit(centres[truth] + 0.2 * rng.normal(size=(30, 8))))
    np.save(folder / "descriptions.npy", unit(centres[:, None] + 0.1 * rng.normal(size=(3, 2, 8))))
    np.save(folder / "labels.npy", truth)
    told = {"classes": ["a", "b", "c"], "templates": ["a blurry photo of a {}.", "a photo of a {}."]}
    (folder / "bundle.json").write_text(json.dumps(told))
    return folder


def test_a_run_is_scored_by_its_own_predictions(job, labels):
    job.run(settings={"k": 2})
    told = []
    result = evaluate(job.out, labels=labels, replicates=20, progress=lambda *what: told.append(what))
    assert tuple(result.table.scores) == EVALUATED
    said = read_predictions(job.out / "predictions.csv", KEYS)
    truth = [KEYS.index(label(int(name.removesuffix(".png")))) for name in said.ids]
    right = np.mean(said.winners == truth)
    assert result.table.scores["kpl"].accuracy == pytest.approx(right)
    assert told == [("methods", done, 6) for done in range(7)]
    assert result.left_out == {}


def test_the_table_is_the_same_in_every_form(job, labels):
    job.run()
    scores = evaluate(job.out, labels=labels, methods=["cupl"], replicates=20)
    by_name = {row["method"]: row for row in scores.rows()}
    assert set(by_name) == {*scores.methods.scores, "majority", "chance"}
    low, high = scores.methods.scores["cupl"].intervals["accuracy"]
    assert (by_name["cupl"]["accuracy_low"], by_name["cupl"]["accuracy_high"]) == (low, high)
    cell = f"{by_name['cupl']['accuracy']:.3f} ({low:.3f}-{high:.3f})"
    lines = scores.to_markdown().splitlines()
    assert len(lines) == 2 + len(by_name)
    assert any(line.startswith(f"| cupl | {cell} |") for line in lines)
    latex = scores.to_latex()
    assert f"cupl & {cell.replace('-', '--')} & " in latex
    assert latex.count(r"\\") == 1 + len(by_name)
    assert latex.startswith(r"\begin{tabular}{lr")


def test_other_methods_are_those_of_the_library_at_the_runs_temperature(job, labels):
    job.run(method="cupl", settings={"temperature": 0.3})
    run = open_run(job.out)
    chosen = make_method("text", temperature=0.3).fit(run.features, run.descriptions)
    truth = np.array([KEYS.index(label(n)) for n in range(10)])
    scores = evaluate(job.out, labels=labels, methods=["text", "names"], replicates=0).table.scores
    assert scores["text"].accuracy == pytest.approx(np.mean(chosen.predict(run.features) == truth))
    names = make_method("names").fit(run.features, [row[None] for row in run.name_features])
    assert scores["names"].accuracy == pytest.approx(np.mean(names.predict(run.features) == truth))


def test_a_folder_of_class_folders_labels_a_run(job):
    for number in range(9):
        draw(job.folder / "scans" / label(number).upper() / f"cell {number}.png", number)
    job.run(job.folder / "scans")
    result = evaluate(job.out, labels=job.folder / "scans", methods=["kpl"], replicates=0)
    assert result.table.majority.n == 9
    assert result.table.majority.accuracy == pytest.approx(1 / 3)
    assert result.notices == ()


def test_what_is_not_scored_is_told(job, labels):
    with labels.open("a", encoding="utf-8") as file:
        file.write("gone.png,platelet\n")
    text = labels.read_text().replace("3.png,red_cell", "3.png,blob").replace("4.png,lymphocyte\n", "")
    labels.write_text(text)
    job.run()
    with pytest.raises(LabelsError, match="'blob'"):
        evaluate(job.out, labels=labels, methods=["kpl"], replicates=0)
    result = evaluate(job.out, labels=labels, methods=["kpl"], replicates=0, ignore_unknown=True)
    told = " / ".join(result.notices)
    assert result.table.majority.n == 8
    assert "no label: 1 of 10" in told
    assert "not used, their image is not in the run: 1" in told
    assert "class not in the knowledge: 1 of 10 images ('blob')" in told


def test_labels_with_groups_reach_the_intervals(job, labels):
    text = labels.read_text().splitlines()
    grouped = ["image,label,patient", *(f"{line},p{n % 2}" for n, line in enumerate(text[1:]))]
    labels.write_text("\n".join(grouped))
    job.run()
    result = evaluate(job.out, labels=labels, methods=["cupl"], replicates=50)
    assert "accuracy" in result.table.scores["cupl"].intervals


def test_no_label_reaches_what_is_learnt(job, labels, monkeypatch):
    job.run(method="cupl")
    seen = []
    real = make_method("kpl")

    class Spy(type(real)):
        def fit(self, images, descriptions, *, weights=None):
            seen.append((images, descriptions))
            return super().fit(images, descriptions, weights=weights)

    monkeypatch.setattr(kpl.runs.evaluating, "as_method", lambda _name: Spy())
    first = evaluate(job.out, labels=labels, methods=["kpl"], replicates=0)
    turned = labels.with_name("turned.csv")
    turned.write_text("image,label\n" + "".join(f"{n}.png,platelet\n" for n in range(10)))
    second = evaluate(job.out, labels=turned, methods=["kpl"], replicates=0)
    assert len(seen) == 2
    for images, descriptions in seen:
        assert images.n == 10
        assert [rows.shape for rows in descriptions] == [(4, 49), (3, 49), (2, 49)]
    assert first.table.scores["kpl"].n == second.table.scores["kpl"].n == 10


def test_a_bundle_brings_its_labels(bundle):
    result = evaluate(bundle, replicates=10)
    assert tuple(result.table.scores) == EVALUATED
    assert result.table.scores["cupl"].accuracy == 1.0
    assert result.table.majority.accuracy == pytest.approx(1 / 3)
    assert result.left_out == {}
    assert result.notices == ()


def test_the_plain_template_stands_for_the_names(bundle):
    descriptions = np.load(bundle / "descriptions.npy")
    descriptions[:, 0] = descriptions[[1, 2, 0], 0]  # the other template is wrong about every class
    np.save(bundle / "descriptions.npy", descriptions)
    assert evaluate(bundle, methods=["names"], replicates=0).table.scores["names"].accuracy == 1.0


def test_without_templates_the_names_are_left_out(bundle):
    (bundle / "bundle.json").write_text(json.dumps({"classes": ["a", "b", "c"]}))
    result = evaluate(bundle, replicates=0)
    assert list(result.left_out) == ["names"]
    assert "no templates" in result.left_out["names"]
    assert set(result.table.scores) == {"cupl", "text", "inmap", "kpl-official", "kpl"}
    with pytest.raises(InputError, match=r"'names' cannot be scored here: .* no templates"):
        evaluate(bundle, methods=["names", "cupl"], replicates=0)


def test_what_cannot_be_scored_is_refused(job, labels, bundle):
    job.run()
    with pytest.raises(LabelsError, match="brings its own"):
        evaluate(bundle, labels=labels)
    for unused in ({"encoder": "mini"}, {"ignore_unknown": True}, {"reading": Reading(image_column="image")}):
        with pytest.raises(LabelsError, match="neither an encoder nor a table"):
            evaluate(bundle, replicates=0, **unused)
    (bundle / "labels.npy").unlink()
    with pytest.raises(LabelsError, match=r"no labels\.npy"):
        evaluate(bundle)
    with pytest.raises(LabelsError, match="give --labels"):
        evaluate(job.out)
    with pytest.raises(LabelsError, match="no such labels"):
        evaluate(job.out, labels=job.folder / "none.csv")
    with pytest.raises(LabelsError, match="holds predictions, not labels"):
        evaluate(job.out, labels=job.out / "predictions.csv")
    with pytest.raises(FeaturesError, match="neither a run of `kpl classify` nor a feature bundle"):
        evaluate(job.pictures, labels=labels)
    with pytest.raises(UnknownNameError, match="did you mean 'cupl'"):
        evaluate(job.out, labels=labels, methods=["kpl", "culp"])
    with pytest.raises(InputError, match="no method to score: name at least one of names, cupl"):
        evaluate(job.out, labels=labels, methods=[])


def test_predictions_of_other_pictures_are_refused(job, labels):
    job.run()
    write_predictions(job.out / "predictions.csv", ["x.png"], KEYS, [np.array([[0.5, 0.3, 0.2]])])
    with pytest.raises(FeaturesError, match="of different pictures"):
        evaluate(job.out, labels=labels)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _text: "",
        lambda text: text.replace("p_platelet", "p_thrombocyte"),
        lambda text: text.replace("runner_up", "second"),
        lambda text: text + "more.png,unheard,1,1,red_cell,1,0,0\r\n",
        lambda text: text + "more.png,red_cell,1,1,red_cell,1,0\r\n",
        lambda text: text + "more.png,red_cell,1,1,red_cell,1,0,high\r\n",
        lambda text: text + "more.png\r\n",
        lambda text: text.splitlines()[0],
    ],
)
def test_a_damaged_predictions_file_is_refused(job, labels, damage):
    job.run()
    path = job.out / "predictions.csv"
    path.write_bytes(damage(path.read_bytes().decode()).encode())
    with pytest.raises(FeaturesError, match="not the predictions file of this run: classify again"):
        evaluate(job.out, labels=labels)
    path.unlink()
    with pytest.raises(FeaturesError, match="classify again"):
        evaluate(job.out, labels=labels)


def test_a_run_without_its_features_is_refused(job, labels):
    job.run()
    shutil.rmtree(job.out / "features")
    with pytest.raises(FeaturesError, match="no finished feature folder"):
        evaluate(job.out, labels=labels)


def test_the_runs_own_method_is_scored_as_it_would_be_anew(job, labels):
    job.run(method="inmap", settings={"temperature": 0.002})
    scored = evaluate(job.out, labels=labels, methods=["inmap"], replicates=0)
    run = open_run(job.out)
    method = make_method("inmap", temperature=0.002).fit(run.features, run.descriptions)
    truth = np.array([KEYS.index(label(int(name.removesuffix(".png")))) for name in run.features.ids])
    said = Predicted.of_logits(method.logits(run.features))
    anew = compare(truth, {"inmap": said}, n_classes=3, classes=KEYS, resampling=Resampling(0))
    own = scored.table.details["inmap"]
    assert scored.table.scores["inmap"].auroc == anew.scores["inmap"].auroc
    assert scored.table.scores["inmap"].average_precision == anew.scores["inmap"].average_precision
    assert own.coverage == anew.details["inmap"].coverage
    assert own.risk == anew.details["inmap"].risk
    (job.out / "scores.npy").unlink()
    old = evaluate(job.out, labels=labels, methods=["inmap"], replicates=0)
    assert any("rounded to six decimals only" in notice for notice in old.notices)
    assert not any("rounded" in notice for notice in scored.notices)
