"""Classifying: what goes in, what a run says of itself, and what is refused before any work is done."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import defaultdict

import numpy as np
import pytest
from tests.runs.conftest import be_every_encoder

import kpl.runs.job
from kpl.embeddings import embed_pictures
from kpl.errors import EncoderError, FeaturesError, InputError, KnowledgeError, OutputError, UnknownNameError
from kpl.images import find_pictures
from kpl.knowledge import load_knowledge
from kpl.methods import METHODS
from kpl.runs import classify, is_run, open_run
from kpl.runs.prediction_files import read_predictions

from .conftest import SENTENCES, draw, tree


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def embed(job, out="features", **changes):
    found = find_pictures(job.pictures)
    encoder = changes.pop("encoder", job.encoder)
    return embed_pictures(found.pictures, encoder, job.folder / out, set_aside=found.set_aside, **changes).path


def test_a_run_is_told_and_written_alike(job):
    result = job.run()
    predictions = rows(job.out / "predictions.csv")
    assert result.n == len(predictions) == 10
    assert sum(result.counts.values()) == 10
    assert result.counts == job.summary["classes"]
    assert list(result.counts) == list(SENTENCES)
    assert result.path == job.out
    assert (result.method_name, result.encoder_name, result.set_aside) == ("kpl", "mini", ())
    assert 0 <= result.embed_seconds <= result.seconds
    assert [row["image"] for row in predictions] == [f"{n}.png" for n in range(10)]
    for row in predictions:
        chances = {key: float(row[f"p_{key}"]) for key in SENTENCES}
        first, second, _ = sorted(chances, key=chances.__getitem__, reverse=True)
        assert sum(chances.values()) == pytest.approx(1, abs=3e-6)
        assert float(row["confidence"]) == chances[row["label"]] == chances[first]
        assert chances[row["runner_up"]] == chances[second]
        assert float(row["margin"]) == pytest.approx(chances[first] - chances[second], abs=3e-6)
    assert sorted(path.name for path in job.out.iterdir()) == [
        "features",
        "knowledge.json",
        "log.json",
        "predictions.csv",
        "run.json",
        "scores.npy",
        "texts.safetensors",
        "thumbnails.safetensors",
    ]
    assert not job.partial.exists()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_a_run(job, method):
    assert job.run(method=method).method_name == method
    assert job.summary["plan"]["method"] == method
    assert (job.summary["estimated_prior"] is not None) == (method in ("kpl", "otter"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pictures", [1, 2])
def test_one_picture_or_the_same_twice_is_enough(job, method, pictures):
    shutil.rmtree(job.pictures)
    for number in range(pictures):
        draw(job.pictures / f"{number}.png", seed=0)
    result = job.run(method=method)
    found = rows(job.out / "predictions.csv")
    assert result.n == pictures
    assert len({tuple(list(row.values())[1:]) for row in found}) == 1, "the same picture, the same answer"
    assert np.isfinite([float(row["confidence"]) for row in found]).all()


def test_the_same_inputs_give_the_same_bytes_wherever_they_lie(job, tmp_path):
    job.run(with_evidence=True)
    elsewhere = tmp_path / "else" / "where"
    shutil.copytree(job.pictures, elsewhere / "scans")
    shutil.copy(job.knowledge, elsewhere / job.knowledge.name)
    job.run(elsewhere / "scans", knowledge=elsewhere / job.knowledge.name, out=elsewhere / "out", with_evidence=True)
    assert tree(job.out) == tree(elsewhere / "out")
    assert {"evidence.csv", "predictions.csv", "run.json"} < set(tree(job.out))


def test_no_place_on_this_machine_is_in_a_run(job, monkeypatch):
    (job.pictures / "broken.png").write_bytes(b"")
    (job.pictures / "scan.dcm").write_bytes(b"")
    words = [job.folder / "bin" / "kpl", "classify", job.pictures, f"--out={job.out}", f"-o{job.out}", "--explain"]
    monkeypatch.setattr("sys.argv", list(map(str, words)))
    job.run([job.pictures], with_evidence=True)
    for name, data in tree(job.out).items():
        assert str(job.folder).encode() not in data, name
        assert str(job.folder.parent).encode() not in data, name
    assert not re.search(r'"(/|[A-Za-z]:\\)', (job.out / "run.json").read_text()), "no absolute path"
    log = json.loads((job.out / "log.json").read_text())
    named = ["kpl", "classify", job.pictures.name, f"--out={job.out.name}", f"-o{job.out.name}", "--explain"]
    assert log["command"] == named
    assert log["seconds"]["embed"] <= log["seconds"]["all"]


def test_the_plan_hash_is_of_what_decides_the_numbers(job):
    def plan(**changes):
        job.run(out=job.folder / "other", overwrite=True, **changes)
        return json.loads((job.folder / "other" / "run.json").read_text())["plan_hash"]

    first = plan()
    assert plan() == first
    assert plan(with_evidence=True) == first, "evidence changes no number"
    assert plan(encoder="mini") == first
    assert plan(settings={"k": None}) == first, "None is a value: all descriptions, which is the default"
    seen = {first, plan(method="text"), plan(settings={"k": 2}), plan(settings={"temperature": 0.5})}
    job.knowledge.write_text(json.dumps(SENTENCES | {"platelet": ["a tiny purple body"]}))
    seen.add(plan())
    draw(job.pictures / "0.png", seed=77)
    seen.add(plan())
    job.encoder.card = job.encoder.card.model_copy(update={"files": {"fake.bin": "1" * 64}})
    seen.add(plan())
    assert len(seen) == 7


def test_the_temperature_is_the_encoders_unless_it_is_set(job):
    job.run()
    assert job.summary["plan"]["settings"]["temperature"] == pytest.approx(1 / job.encoder.logit_scale)
    job.run(settings={"temperature": 0.25}, overwrite=True)
    assert job.summary["plan"]["settings"]["temperature"] == 0.25


def test_features_give_what_pictures_give(job):
    job.run()
    folder = embed(job)
    before = list(job.encoder.image_batches)
    result = job.run(folder, out=job.folder / "again")
    assert result.n == 10
    assert result.embed_seconds is None, "there is no pace to tell of"
    assert job.encoder.image_batches == before, "no picture is embedded again"
    kept = {name: data for name, data in tree(job.out).items() if not name.startswith("features/")}
    assert kept.pop("thumbnails.safetensors")
    assert kept == {name: data for name, data in tree(job.folder / "again").items() if not name.startswith("features/")}


def test_the_features_of_a_run_can_be_classified_by_other_knowledge(job):
    job.run()
    job.run(job.out / "features", out=job.folder / "next", method="text")
    assert is_run(job.folder / "next")
    job.run(job.out / "features", overwrite=True, method="text")  # into the very run they lie in
    assert tree(job.out) == tree(job.folder / "next")


def test_half_features_are_classified_too(job):
    folder = embed(job, dtype="float16")
    job.run(folder)
    assert job.summary["pictures"] == 10


def test_only_the_files_of_the_features_are_copied(job):
    folder = embed(job)
    (folder / "notes.txt").write_text("mine")
    job.run(folder, out=folder / "run")  # a copy of the whole folder would hold itself
    assert sorted(path.name for path in (folder / "run" / "features").iterdir()) == [
        "images-00000.json",
        "images-00000.npy",
        "index.json",
    ]
    job.run(folder, out=folder / "run", overwrite=True)


def test_the_features_that_an_interrupted_run_left_can_be_used(job, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(kpl.runs.job, "write_knowledge", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            job.run()
    before = list(job.encoder.image_batches)
    job.run(job.partial / "features")
    assert job.encoder.image_batches == before
    assert job.summary["pictures"] == 10


def _interrupt(*_args, **_keywords):
    raise KeyboardInterrupt


def test_a_folder_of_pictures_may_have_an_index_of_its_own(job):
    (job.pictures / "index.json").write_text('{"gallery": true}')
    assert job.run().n == 10
    assert job.summary["other_files"] == 1


def test_features_do_not_mix_with_pictures(job):
    with pytest.raises(InputError, match="cannot be mixed"):
        job.run([embed(job), job.pictures])
    assert not job.out.exists()


def test_features_of_another_encoder_are_refused(job):
    other = type(job.encoder)("mini", image_size=9)
    folder = embed(job, encoder=other)
    with pytest.raises(EncoderError, match=r"made with mini:\w+, not with mini:\w+.*leave --encoder out"):
        job.run(folder, encoder="mini")
    assert not job.out.exists()


def test_the_encoder_of_the_features_is_the_default(job, monkeypatch):
    asked = []
    be_every_encoder(monkeypatch, job.encoder, asked)
    job.run(embed(job))
    job.run(out=job.folder / "two")
    job.run(out=job.folder / "three", encoder="other")
    assert asked == ["mini", "mini", "other"]


def test_another_modality_is_refused_unless_the_encoder_is_named(job):
    job.encoder.card = job.encoder.card.model_copy(update={"modalities": ("blood smear", "bone marrow", "more")})
    with pytest.raises(EncoderError, match=r"does not state its modality.*reads only blood smear, bone marrow:"):
        job.run()
    chest = load_knowledge(job.knowledge).with_task(modality="chest X-ray")
    with pytest.raises(EncoderError, match=r"is about 'chest X-ray'.*--encoder mini"):
        job.run(knowledge=chest)
    folder = embed(job)
    with pytest.raises(EncoderError, match="is about 'chest X-ray'"):
        job.run(folder, knowledge=chest)
    assert not job.out.exists()
    assert job.run(knowledge=chest, encoder="mini").n == 10
    assert job.run(knowledge=chest.with_task(modality="Blood smears"), overwrite=True).n == 10


def test_a_description_that_is_too_long_is_refused(job):
    job.encoder.context_length = 13
    with pytest.raises(KnowledgeError, match=r"'red_cell', description 4: 14 tokens"):
        job.run()
    assert not job.out.exists()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"method": "kpll"}, UnknownNameError, "did you mean 'kpl'"),
        ({"settings": {"tempeature": 1}}, UnknownNameError, "did you mean 'temperature'"),
        ({"knowledge": "blood-cels"}, UnknownNameError, "did you mean 'blood-cells'"),
        ({"method": "names", "with_evidence": True}, InputError, "no evidence by sentence"),
        ({"inputs": []}, InputError, "no folder or file"),
        ({"inputs": "nowhere"}, InputError, "no such folder or file: 'nowhere'"),
    ],
)
def test_what_cannot_be_is_refused_before_any_picture_is_read(job, changes, error, words):
    with pytest.raises(error, match=words):
        job.run(**changes)
    assert job.encoder.image_batches == []
    assert not job.out.exists()
    assert not job.partial.exists()


def test_pictures_that_cannot_be_read_are_counted_not_fatal(job):
    for name in ("zero.png", "broken.jpg", "scan.dcm"):
        (job.pictures / name).write_bytes(b"" if name == "zero.png" else b"no picture at all")
    (job.pictures / "notes.txt").write_text("not a picture")
    result = job.run()
    assert result.n == 10
    assert sorted(item.id for item in result.set_aside) == ["broken.jpg", "scan.dcm", "zero.png"]
    told = {item["image"]: item["reason"] for item in job.summary["set_aside"]}
    assert told == {item.id: item.reason for item in result.set_aside}
    assert told["zero.png"] == "empty file (0 bytes)"
    assert "DICOM" in told["scan.dcm"]
    assert job.summary["other_files"] == 1
    assert job.summary["pictures"] == 10


def test_when_no_picture_can_be_read_there_is_no_run(job):
    shutil.rmtree(job.pictures)
    job.pictures.mkdir()
    (job.pictures / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"not one of 1 pictures.*empty file"):
        job.run()
    assert not job.out.exists()


def test_two_pictures_of_one_name_are_two_rows(job):
    for folder in ("left", "right"):
        draw(job.folder / folder / "cell.png", seed=len(folder))
    job.run([job.folder / "left", job.folder / "right", job.folder / "left" / "cell.png"])
    assert [row["image"] for row in rows(job.out / "predictions.csv")] == ["left/cell.png", "right/cell.png"]
    (job.folder / "a").mkdir()
    shutil.copytree(job.folder / "left", job.folder / "a" / "left")
    job.run([job.folder / "left", job.folder / "a" / "left"], overwrite=True)
    assert [row["image"] for row in rows(job.out / "predictions.csv")] == ["left/cell.png", "left-2/cell.png"]


ODD_NAMES = [
    "a b.png",
    "a,b.png",
    'say "hi".png',
    "two\nlines.png",
    "carriage\rreturn.png",
    "=1+1.png",
    "täst 😀.png",
    "'quoted'.png",
    "semi;colon\ttab.png",
    "[red]markup[/red].png",
    " leading.png",
]


def test_odd_names_survive(job):
    shutil.rmtree(job.pictures)
    for seed, name in enumerate(ODD_NAMES):
        draw(job.pictures / "odd, folder" / name, seed)
    job.run(with_evidence=True)
    expected = sorted(f"odd, folder/{name}" for name in ODD_NAMES)
    said = read_predictions(job.out / "predictions.csv", list(SENTENCES))
    assert list(said.ids) == expected
    assert (said.probabilities.argmax(axis=1) == said.winners).all()
    assert {row["image"] for row in rows(job.out / "evidence.csv")} == set(expected)
    assert open_run(job.out).features.ids == tuple(expected)


def test_a_name_that_is_no_text_gets_one(job):
    broken = bytes(job.pictures) + b"/caf\xe9.png"
    try:
        shutil.copy(job.pictures / "0.png", broken)
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    assert job.run().n == 11
    assert r"caf\xe9.png" in [row["image"] for row in rows(job.out / "predictions.csv")]


def test_evidence_sums_to_the_text_margin(job):
    told = []
    job.run(with_evidence=True, settings={"k": 3}, progress=lambda *what: told.append(what))
    predicted = {row["image"]: row for row in rows(job.out / "predictions.csv")}
    texts = {key: set(sentences) for key, sentences in SENTENCES.items()}
    by_image = defaultdict(list)
    for row in rows(job.out / "evidence.csv"):
        by_image[row["image"]].append(row)
    assert set(by_image) == set(predicted)
    for image, sentences in by_image.items():
        first = sentences[0]
        assert first["label"] == predicted[image]["label"]
        assert first["runner_up"] == predicted[image]["runner_up"]
        total = sum(float(row["text_share"]) for row in sentences)
        assert total == pytest.approx(float(first["text_margin"]), abs=5e-7 * (len(sentences) + 1))
        assert len({row["text_margin"] for row in sentences}) == len({row["proxy_margin"] for row in sentences}) == 1
        for row in sentences:
            assert row["sentence"] in texts[row["class"]]
            assert row["side"] == ("for" if row["class"] == row["label"] else "against")
            assert row["proxy_effect"] == "" or np.isfinite(float(row["proxy_effect"]))
        assert 2 <= len(sentences) <= 6
    assert {stage for stage, _, _ in told} == {"pictures", "evidence"}
    for stage in ("pictures", "evidence"):
        done = [d for s, d, _ in told if s == stage]
        assert done == sorted(done)
        assert done[-1] == next(total for s, _, total in told if s == stage)


def test_descriptions_that_cannot_be_left_out_have_no_effect_column(job):
    job.knowledge.write_text(json.dumps({"a": ["only this"], "b": ["only that"]}))
    job.run(with_evidence=True)
    assert {row["proxy_effect"] for row in rows(job.out / "evidence.csv")} == {""}


def test_warnings_say_what_to_know(job):
    job.knowledge.write_text(
        json.dumps({"a": ["a dårk spöt", "a thin rim"], "b": ["a thin rim", "a dårk spöt"], "c": ["spöt ït ïs"]})
    )
    warnings = " ".join(job.run(method="text", settings={"k": 40}).warnings)
    said = "mini does not know more than a third of the words of 3 of 5 descriptions, and reads past them: spöt, dårk"
    assert said in warnings
    assert "10 pictures for 3 classes is little" in warnings
    assert tuple(job.summary["warnings"]) == job.run(method="text", overwrite=True).warnings


def test_classes_that_read_alike_are_named(job):
    base = {"knowledge": job.folder / "same.json"}
    base["knowledge"].write_text(
        json.dumps(
            {
                "kpl_knowledge": 1,
                "task": {"name": "alike", "template": "{description}"},
                "classes": [
                    {"key": "a", "name": "a", "descriptions": ["a thin rim"]},
                    {"key": "b", "name": "b", "descriptions": ["rim thin a"]},
                ],
            }
        )
    )
    warnings = " ".join(job.run(**base).warnings)
    assert "reads 1 pairs of classes as the same (a = b)" in warnings


def test_a_collapsed_result_is_told(job):
    shutil.rmtree(job.pictures)
    for number in range(20):
        draw(job.pictures / f"{number}.png", seed=1)
    assert any("20 of 20 pictures went to" in warning for warning in job.run().warnings)


def test_knowledge_is_kept_as_it_was_used(job):
    base = load_knowledge(job.knowledge).with_task(name="my cells", modality="toys", template="{description}: {class}")
    base = base.model_copy(update={"task": base.task.model_copy(update={"version": 7})})
    job.run(knowledge=base)
    assert open_run(job.out).knowledge == base
    told = job.summary["knowledge"]
    assert told == {"name": "my cells", "version": 7, "modality": "toys", "descriptions": 9, "reviewed": 0}
    assert job.summary["plan"]["knowledge"] == base.content_hash()


def test_a_run_with_provenance_opens_again(job):
    job.run(knowledge="blood-cells")
    assert open_run(job.out).knowledge == load_knowledge("blood-cells")


def test_a_run_keeps_the_permissions_of_new_files(job):
    job.run()
    probe = job.folder / "probe"
    probe.touch()
    modes = {path.stat().st_mode for path in job.out.iterdir() if path.is_file()}
    assert modes == {probe.stat().st_mode}


def test_single_inputs_may_be_text(job):
    assert classify(str(job.pictures), knowledge=str(job.knowledge), out=str(job.out)).n == 10


@pytest.mark.parametrize("name", ["run.json", "texts.safetensors", "knowledge.json"])
def test_a_damaged_run_is_refused(job, name):
    job.run()
    (job.out / name).write_bytes(b"\xff{")
    with pytest.raises(InputError):
        open_run(job.out)
    (job.out / name).unlink()
    with pytest.raises(InputError):
        open_run(job.out)


def test_a_run_whose_files_do_not_fit_is_refused(job):
    job.run()
    good = job.summary
    (job.out / "run.json").write_text(json.dumps({"kpl_run": 1}))
    with pytest.raises(FeaturesError, match=r"damaged \(plan: Field required\): classify again"):
        open_run(job.out)
    (job.out / "run.json").write_text("[]")
    with pytest.raises(FeaturesError, match=r"damaged .*: classify again"):
        open_run(job.out)
    assert not is_run(job.out)
    (job.out / "run.json").write_text(json.dumps(good))
    job.knowledge.write_text(json.dumps({**SENTENCES, "more": ["a thing"]}))
    shutil.copy(job.knowledge, job.out / "knowledge.json")
    with pytest.raises(FeaturesError, match=r"knowledge\.json was changed"):
        open_run(job.out)


def test_an_output_that_cannot_be_made_is_refused(job):
    (job.folder / "file").write_text("")
    with pytest.raises(OutputError, match="Not a directory"):
        job.run(out=job.folder / "file" / "run")
    with pytest.raises(OutputError, match="too long"):
        job.run(out=job.folder / ("x" * 250))
    assert job.encoder.image_batches == []
