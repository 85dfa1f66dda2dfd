"""Units of several pictures, from features to a scored run: what is decided on is the unit."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kpl.curation import CorrectedKPL, export, learn, search
from kpl.embeddings import embed_pictures, open_features
from kpl.errors import InputError, LabelsError
from kpl.images import BURNED_IN, Asked, Instance, Unit
from kpl.knowledge import load_knowledge
from kpl.methods import METHODS, make_method
from kpl.proxies.arrays import log_odds, softmax
from kpl.proxies.outside import text_fits, unlike_fits
from kpl.proxies.pooling import Pool, centred
from kpl.report import explain_picture, write_report
from kpl.report.layout import Sprite
from kpl.report.mapping import map_rows
from kpl.report.slices import Slices
from kpl.runs import evaluate, fit, load_model, open_run, update
from kpl.runs.corrections import add_corrections, learnt_from, read_verdicts
from kpl.runs.warnings import UNLIKE

from .conftest import draw


def study(folder: Path, name: str, seeds: list[int], patient: str) -> Unit:
    instances = []
    for place, seed in enumerate(seeds):
        path = folder / "slices" / f"{seed}.png"
        if not path.exists():
            draw(path, seed)
        instances.append(Instance(f"{name}#{place:03d}", path, unit=name, group=patient))
    return Unit(name, "series", tuple(instances), patient=patient, reading={"slices": [len(seeds), len(seeds)]})


STUDIES = [("unit-0001", [0, 1, 2], "p1"), ("unit-0002", [3], "p1"), ("unit-0003", [4, 5], "p2"), *(
    (f"unit-{n:04d}", [10 * n, 10 * n + 1], f"p{n}") for n in range(4, 12))]  # fmt: skip


def embedded(job: Any, out: str = "features", studies: Any = None) -> Path:
    units = [study(job.folder, *each) for each in studies or STUDIES]
    embed_pictures([i for u in units for i in u.instances], job.encoder, job.folder / out, units=units)
    return job.folder / out


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("pool", ["mean", "max", "top-2", "top-50%"])
def test_a_unit_is_decided_by_the_pooled_scores_of_its_instances(job, pool):
    features = embedded(job)
    run = job.run(features, pool=pool)
    method = run.fresh_method()
    rows = open_features(features)
    method.fit(rows, run.texts(method), weights=rows.weights)
    logits = method.logits(rows)
    expected = softmax(Pool(pool)(centred(logits), rows.of_units.sizes))
    np.testing.assert_allclose(run.predictions.probabilities, expected, atol=1e-6)
    assert run.ids == tuple(name for name, _, _ in STUDIES)
    assert run.plan["pool"] == pool
    told = table(run.predictions_file)
    assert [(t["unit"], t["kind"], t["patient"], t["instances"]) for t in told[:3]] == [
        ("unit-0001", "series", "p1", "3"), ("unit-0002", "series", "p1", "1"), ("unit-0003", "series", "p2", "2"),
    ]  # fmt: skip
    odds = log_odds(logits)
    for unit, (first, size) in enumerate([(0, 3), (3, 1), (4, 2)]):
        own = odds[first : first + size, run.predictions.winners[unit]]
        assert told[unit]["key_instance"] == f"unit-{unit + 1:04d}#{own.argmax():03d}"
    instances = table(run.path / "instances.csv")
    assert [row["instance"] for row in instances] == list(rows.ids)
    found = np.array([[float(row[f"p_{key}"]) for key in run.keys] for row in instances])
    np.testing.assert_allclose(found, softmax(logits), atol=1e-6)
    assert [unit["instances"] for unit in job.summary["units"]] == [len(seeds) for _, seeds, _ in STUDIES]
    assert sum(run.counts.values()) == len(STUDIES)


def test_the_label_by_the_other_pool_is_told_where_it_differs(job):
    features = embedded(job)
    mean, most = (job.run(features, pool=pool, out=job.folder / pool) for pool in ("mean", "max"))
    for run, other, column in ((most, mean, "by_mean"),):
        for row, theirs in zip(table(run.predictions_file), other.predictions, strict=True):
            assert row[column] == ("" if row["label"] == theirs.label else theirs.label)


def test_the_order_of_a_units_instances_changes_no_score(job):
    shuffled = [(name, seeds[::-1], patient) for name, seeds, patient in STUDIES]
    one = job.run(embedded(job, "one"), out=job.folder / "a")
    other = job.run(embedded(job, "other", shuffled), out=job.folder / "b")
    np.testing.assert_allclose(one.predictions.probabilities, other.predictions.probabilities, atol=1e-9)


def test_many_repeated_slices_of_one_study_do_not_outvote_the_others(job):
    """600 slices in one unit and 30 in each of twenty come to the proxies of one slice each."""
    once = [(f"u{n:02d}", [n], f"p{n}") for n in range(21)]
    often = [(name, seeds * (600 if name == "u00" else 30), patient) for name, seeds, patient in once]
    few, many = (open_features(embedded(job, out, which)) for out, which in (("few", once), ("many", often)))
    assert (few.n, many.n) == (21, 1200)
    base = job.run(few, out=job.folder / "run")
    for name in (name for name, method in METHODS.items() if not method.unweighted):
        one, other = (make_method(name), make_method(name))
        texts = base.texts(one)
        one.fit(few, texts, weights=few.weights)
        other.fit(many, texts, weights=many.weights)
        assert one.state().keys() == other.state().keys()
        for held, learnt in one.state().items():
            if held.startswith("groups_"):  # a summary of the pictures for later updates, no proxy
                continue
            np.testing.assert_allclose(other.state()[held], learnt, rtol=1e-10, atol=1e-10, err_msg=f"{name} {held}")
    np.testing.assert_allclose(
        Pool("top-5")(centred(other.logits(many)), many.of_units.sizes), centred(one.logits(few)), atol=1e-8
    )


def test_evaluation_is_of_units(job):
    run = job.run(embedded(job))
    labels = job.folder / "labels.csv"
    names = [prediction.label for prediction in run.predictions]
    labels.write_text("image,label\n" + "".join(f"{i},{label}\n" for i, label in zip(run.ids, names, strict=True)))
    found = evaluate(run, labels=labels, replicates=50)
    assert found.table.scores["kpl"].accuracy == 1
    assert found.table.majority.n == len(STUDIES)


def test_a_model_learns_units_and_predicts_what_the_run_does(job):
    features = embedded(job)
    run = job.run(features)
    fit(features, knowledge=job.knowledge, out=job.folder / "cells.kpl")
    again = job.run(features, model=job.folder / "cells.kpl", knowledge=None, out=job.folder / "by-model")
    np.testing.assert_array_equal(again.predictions.probabilities, run.predictions.probabilities)
    assert load_model(job.folder / "cells.kpl").method.moments_.count == pytest.approx(len(STUDIES))


@pytest.mark.parametrize("pool", ["mean", "top-2"])
def test_a_unit_is_none_of_these_where_even_its_best_pictures_are(job, pool, tmp_path):
    features = embedded(job)
    run = job.run(features, pool=pool, other=True)
    rows = open_features(features)
    fits = text_fits(rows, run.text_proxies, run.plan["settings"]["temperature"], rows.weights)
    expected = unlike_fits(Pool(pool)(fits[:, None], rows.of_units.sizes)[:, 0], len(run.keys))
    assert run.predictions.unlike == pytest.approx(expected, abs=1e-6)
    assert [row["label"] == "none of these" for row in table(run.predictions_file)] == (expected >= 1).tolist()
    assert run.none_of_these == (expected >= 1).sum()
    model = fit(features, knowledge=job.knowledge, out=tmp_path / "m.kpl")
    others = embedded(job, "others", [("unit-0001", [70, 71], "a"), ("unit-0002", [72], "b")])
    far = job.run(others, knowledge=None, model=tmp_path / "m.kpl", pool=pool, other=True, out=job.folder / "far")
    distances = model.method.distances(open_features(others))
    assert far.predictions.unlike[1] == pytest.approx(distances[2] / UNLIKE, abs=1e-6)
    assert far.predictions.unlike[0] == pytest.approx(distances[:2].mean() / UNLIKE, abs=1e-6)


def test_pool_is_refused_where_there_is_nothing_to_pool(job):
    with pytest.raises(InputError, match="every picture here stands for itself"):
        job.run(pool="mean")
    with pytest.raises(InputError, match="mean, max, top-K"):
        job.run(embedded(job), pool="median")


def test_evidence_and_explanations_are_of_the_key_instance(job):
    run = job.run(embedded(job), with_evidence=True)
    keys = [row["key_instance"] for row in table(run.predictions_file)]
    rows = open_features(job.folder / "features")
    np.testing.assert_array_equal(run.images, rows.load()[[rows.ids.index(key) for key in keys]])
    assert {row["image"] for row in table(run.path / "evidence.csv")} == set(run.ids)


def test_what_the_knowledge_says_of_its_finding_chooses_the_pool(job):
    features, base = embedded(job), load_knowledge(job.knowledge)
    pools = {}
    for finding in (None, "local", "everywhere"):
        task = base.task.model_copy(update={"finding": finding})
        said = base.model_copy(update={"task": task})
        pools[finding] = job.run(features, knowledge=said, overwrite=True).summary["plan"]["pool"]
    assert pools == {None: "top-5", "local": "top-5", "everywhere": "mean"}
    assert job.run(features, pool="max", overwrite=True).summary["plan"]["pool"] == "max"


def test_pictures_that_look_all_but_the_same_are_named_and_count_each(job):
    whole = np.random.default_rng(1).integers(0, 256, (20, 20, 3), np.uint8)
    picture = Image.fromarray(whole).resize((46, 46), Image.Resampling.BICUBIC)
    picture.save(job.pictures / "scan.png")
    picture.save(job.pictures / "scan-again.jpg", quality=90)
    run = job.run()
    near = "1 of 12 pictures look all but the same as another (scan-again.jpg ~ scan.png)"
    assert any(warning.startswith(near) for warning in run.warnings), run.warnings
    assert open_features(run.path / "features").weights is None
    assert near in write_report(run).read_text()
    one, other = run.keys[:2]
    rows = [f"scan.png,{one},P1", f"scan-again.jpg,{other},P2", f"0.png,{one},P1"]
    (job.folder / "labels.csv").write_text("\n".join(["image,label,patient", *rows]))
    told = evaluate(run, labels=job.folder / "labels.csv", methods="text", replicates=0).notices
    assert "1 picture is there under several labels (scan-again.jpg ~ scan.png): one of them is wrong" in told
    assert (
        "1 picture is there under several values of 'patient' (scan-again.jpg ~ scan.png): look whose they are" in told
    )
    again = write_report(run, labels=job.folder / "labels.csv", replicates=0).read_text()
    assert "there under several labels" in again
    (job.folder / "cohort.csv").write_text("image,patient\nscan.png,P1\nscan-again.jpg,P2\n0.png,P1\n1.png,P1")
    cohort = job.run(table=job.folder / "cohort.csv", out=job.folder / "cohort").warnings
    assert any("there under several patients (scan-again.jpg ~ scan.png)" in each for each in cohort), cohort
    assert not any("several patients" in each for each in run.warnings)


def test_what_was_found_when_pictures_were_read_is_counted_and_kept_with_the_features(job):
    for n in range(2):
        Image.fromarray(np.arange(144, dtype=np.uint16).reshape(12, 12) + 4000 * n).save(job.pictures / f"x{n}.png")
    Image.new("RGB", (12, 12), "white").save(job.pictures / "blank.png")
    said = job.run().warnings
    assert any(warning.startswith("2 of 13 pictures: 16 bits of which less than a quarter") for warning in said)
    assert "1 of 13 pictures: of one colour alone" in said
    again = job.run(job.out / "features", out=job.folder / "again").warnings
    assert [w for w in again if " of 13 pictures: " in w] == [w for w in said if " of 13 pictures: " in w]


def test_copies_are_named_and_count_once(job):
    for name in ("0", "1"):
        draw(job.pictures / f"copy-{name}.png", int(name))
    run = job.run()
    assert "2 of 12 pictures are byte for byte the same as another (0.png = copy-0.png; 1.png = copy-1.png)" in (
        "\n".join(run.warnings)
    )
    clean = open_features(run.path / "features")
    assert clean.weights.sum() == pytest.approx(10)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_takes_units(job, name):
    run = job.run(embedded(job), method=name)
    assert np.isfinite(run.predictions.probabilities).all()
    assert open_run(run.path).ids == run.ids
    assert json.loads((run.path / "run.json").read_text())["pictures"] == 22


def test_a_correction_of_a_unit_is_one_of_all_its_instances(job, tmp_path):
    run = job.run(embedded(job))
    add_corrections(run, {"unit-0001": "platelet", "unit-0004": "none of these"}, by="A")
    learnt = learn(run, tmp_path / "learnt").run
    rows, method = run.features, CorrectedKPL(**run.plan["settings"])
    said = {0: 2, 1: 2, 2: 2, 6: None, 7: None}
    method.fit_corrected(rows.load().astype(np.float64), list(run.descriptions), said, weights=rows.of_units.weights)
    expected = softmax(Pool(run.plan["pool"])(centred(method.logits(rows)), rows.of_units.sizes))
    np.testing.assert_allclose(learnt.predictions.probabilities, expected, atol=1e-6)
    assert learnt.ids == run.ids
    assert learnt_from(learnt) == {"unit-0001", "unit-0004"}
    assert export(learnt, "csv", tmp_path / "table.csv").pictures == len(STUDIES)
    with pytest.raises(InputError, match="units of several"):
        export(learnt, "folders", tmp_path / "sorted", pictures=job.folder / "slices")


@pytest.fixture
def studied(job, monkeypatch):
    """A run of five series, two of them of one patient, with what each file says of itself."""
    made_dicom = pytest.importorskip("tests.images.made_dicom")
    monkeypatch.setenv("KPL_HOME", str(job.folder / "home"))
    said = []
    for series, patient in enumerate((0, 0, 1, 2, 3)):
        for z in range(2):
            path = f"MRN-{patient}/{series}/{z}.dcm"
            values = np.random.default_rng([series, z]).integers(0, 255, (12, 12)).astype(np.int16)
            elements = {
                "Modality": "MR",
                "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4",
                "PatientID": f"MRN-{patient}",
                "StudyInstanceUID": f"9.9.1.{patient}",
                "SeriesInstanceUID": f"9.9.2.{series}",
                "SOPInstanceUID": f"9.9.3.{series}.{z}",
                "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
                "ImagePositionPatient": ["0", "0", str(z)],
            }
            issuer = {"IssuerOfPatientID": "Ward MRN"} if patient == 2 else {}
            (job.folder / "studies" / path).parent.mkdir(parents=True, exist_ok=True)
            (job.folder / "studies" / path).write_bytes(
                made_dicom.packed(made_dicom.dataset(values, **elements, **issuer))
            )
            said.append((series, patient, {"path": path, **elements}))
    return job.run(job.folder / "studies"), said


def labelled(folder: Path, said: Any, *columns: str, label: Any) -> Path:
    rows = dict.fromkeys(",".join([*(s[c] for c in columns), label(series, of)]) for series, of, s in said)
    (folder / "joined.csv").write_text("\n".join([",".join([*columns, "label"]), *rows]) + "\n")
    return folder / "joined.csv"


@pytest.mark.parametrize("by", [
    ["PatientID"], ["StudyInstanceUID"], ["SeriesInstanceUID"], ["SOPInstanceUID"], ["path"],
    ["PatientID", "SOPInstanceUID"], ["StudyInstanceUID", "SeriesInstanceUID"],
])  # fmt: skip
def test_a_table_joins_by_identifiers_a_row_a_patient_a_study_or_a_slice(job, studied, by):
    run, said = studied
    of_series = {"SeriesInstanceUID", "SOPInstanceUID", "path"} & set(by)
    wanted = [0, 1, 1, 2, 0] if of_series else [0, 0, 1, 2, 0]
    number = (lambda series, _: run.keys[wanted[series]]) if of_series else lambda _, of: run.keys[[0, 1, 2, 0][of]]
    table = labelled(job.folder, said, *by, label=number)
    assert run.labels(table).labels.tolist() == wanted
    found = evaluate(run, labels=table, replicates=20).table.scores["kpl"]
    assert found.accuracy == np.mean(run.predictions.winners == wanted)
    verdicts, _ = read_verdicts(run, table)
    assert verdicts == {unit: run.keys[c] for unit, c in zip(run.ids, wanted, strict=True)}


def test_messages_about_medical_runs_quote_no_identifier(job, studied):
    run, said = studied
    slices = iter(range(100))
    for by, label, part in (
        (["PatientID"], lambda series, _: run.keys[series % 2], r"unit-0001' is labelled twice, as '.*' \(line 2\)"),
        (["SOPInstanceUID", "PatientID"], lambda *_: run.keys[next(slices) % 2], r"labelled twice, .* \(line 3\)"),
    ):
        with pytest.raises(LabelsError, match=part) as caught:
            run.labels(labelled(job.folder, said, *by, label=label))
        assert "MRN" not in str(caught.value)
        assert "9.9." not in str(caught.value)
    table = job.folder / "others.csv"
    table.write_text("image,label\nMRN-77,platelet\n")
    with pytest.raises(LabelsError, match="none of the 1 labels") as caught:
        run.labels(table)
    assert "MRN" not in str(caught.value)
    (job.folder / "home" / "pseudonyms.key").unlink()
    with pytest.raises(LabelsError, match="its key is not in KPL_HOME") as caught:
        run.labels(table)
    assert "MRN" not in str(caught.value)


def test_pictures_are_found_again_as_they_were_read(job, studied):
    first, _ = studied
    pictures = job.folder / "studies"
    asked = Asked(window="100/50", slices=1, ids="files")
    run = job.run(pictures, asked=asked, out=job.folder / "other")
    assert json.loads((run.path / "run.json").read_text())["asked"] == {"window": "100/50", "slices": 1, "ids": "files"}
    assert "asked" not in json.loads((first.path / "run.json").read_text())
    for each in (first, run, job.run(run.features.path, out=job.folder / "third")):
        kept = dict(open_run(each.path).thumbnails)
        found = each.found_again(pictures, range(each.n))
        assert sorted(found) == list(range(each.n))
        (each.path / "thumbnails.safetensors").unlink(missing_ok=True)
        again = open_run(each.path).with_pictures(pictures).thumbnails
        assert sorted(again) == list(range(each.n))
        assert again == (kept or again)
        assert map_rows(each, [0, 1], pictures, 2).keys() == {0, 1}
    table = pictures / "table.csv"
    table.write_text("image,unit,window,frame\n" + "MRN-0/0/0.dcm,a,80/20,\nMRN-0/0/1.dcm,a,80/20,\nMRN-1/2/0.dcm,,,\n")
    listed = job.run(table, out=job.folder / "listed")
    assert sorted(listed.found_again(table, range(listed.n))) == [0, 1]


def test_a_folder_of_class_folders_labels_medical_units_wherever_they_are_in_it(job, studied):
    run, _ = studied
    wanted = [0, 1, 1, 2, 0]
    for series, patient in enumerate((0, 0, 1, 2, 3)):
        into = job.folder / "sorted" / run.keys[wanted[series]] / f"{9 - series}"
        shutil.copytree(job.folder / "studies" / f"MRN-{patient}" / str(series), into)
    assert run.labels(job.folder / "sorted").labels.tolist() == wanted


def test_evidence_of_a_unit_is_for_its_own_label_and_as_it_was_learnt(job):
    run = job.run(embedded(job), with_evidence=True)
    written = {}
    for row in table(run.path / "evidence.csv"):
        written.setdefault(row["image"], row)
    for number, unit in enumerate(run.ids):
        said, row = run.predictions[number], written[unit]
        assert (row["label"], row["runner_up"]) == (said.label, said.runner_up)
        explained = explain_picture(run, unit, top=1)
        assert explained.method_margin == pytest.approx(float(row["proxy_margin"]), abs=1e-5)
        assert explained.text_margin == pytest.approx(float(row["text_margin"]), abs=1e-5)
        loudest = explained.sentences[0]
        same = next(r for r in table(run.path / "evidence.csv") if (r["image"], r["sentence"]) == (unit, loudest.text))
        assert loudest.excess == pytest.approx(float(same["text_excess"]), abs=1e-5)
        if loudest.without and same["proxy_effect"]:
            assert loudest.without.effect == pytest.approx(float(same["proxy_effect"]), abs=1e-5)


def test_the_report_shows_a_class_over_the_slices_and_the_key_slice_with_its_neighbours(job, studied):
    run, _ = studied
    told = Slices(run)
    chances = [float(row[f"p_{run.keys[1]}"]) for row in table(run.path / "instances.csv")[:2]]
    found = told(0, 1, Sprite(run))
    assert found["points"] == " ".join(f"{300 * at:.1f},{60 * (1 - p):.1f}" for at, p in enumerate(chances))
    assert found["instance"] == f"unit-0001#{found['key'] - 1:03d}" == table(run.predictions_file)[0]["key_instance"]
    assert [bool(picture) for picture in found["shown"]] == [True, True]
    page = write_report(run).read_text()
    assert page.count('class="slices"') >= run.n
    assert f"{run.n} units of 10 pictures" in page
    assert "burnt in" not in page
    plain = job.run(out=job.folder / "plain")
    assert 'class="slices"' not in write_report(plain).read_text()


@pytest.mark.parametrize(("modality", "said", "warned"), [("US", None, True), ("US", "NO", False), ("CR", "YES", True)])
def test_a_report_on_text_that_may_be_burnt_in_begins_with_a_banner(job, monkeypatch, modality, said, warned):
    made_dicom = pytest.importorskip("tests.images.made_dicom")
    monkeypatch.setenv("KPL_HOME", str(job.folder / "home"))
    values = np.random.default_rng(0).integers(0, 255, (12, 12)).astype(np.uint8)
    elements = {"Modality": modality} | ({} if said is None else {"BurnedInAnnotation": said})
    (job.folder / "one.dcm").write_bytes(made_dicom.packed(made_dicom.dataset(values, **elements)))
    run = job.run(job.folder / "one.dcm")
    assert ("burnt in that names the patient" in write_report(run).read_text()) == warned
    assert any(BURNED_IN in warning for warning in run.warnings) == warned


def test_search_and_updates_count_units(job):
    features = open_features(embedded(job))
    found = search(features, "a dark nucleus", n=4, encoder=job.encoder)
    assert len({name.partition("#")[0] for name, _ in found}) == len(found) == 4
    fit(features, knowledge=job.knowledge, out=job.folder / "m.kpl")
    more = embedded(job, "more", [("unit-0001", [301, 302], "q1"), ("unit-0002", [303], "q2")])
    told = update(job.folder / "m.kpl", more, against=features.path)
    assert ([lot.rows for lot in told.model.learnt_from], told.added) == ([len(STUDIES), 2], 2)
    assert told.drift.n == len(STUDIES) + 2
