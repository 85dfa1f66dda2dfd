"""Models: fitted once, saved, used on other pictures, taught more; and what is no model is refused."""

from __future__ import annotations

import html
import json
import re
import struct
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save, save_file
from tests.runs.conftest import be_every_encoder

import kpl.runs.models
from kpl.embeddings import embed_pictures, recorded, recorded_encoder
from kpl.encoders import load_card
from kpl.errors import AlreadyThereError, EncoderError, InputError, ModelError, OutputError, UnknownNameError
from kpl.images import find_pictures
from kpl.knowledge import load_knowledge
from kpl.methods import METHODS
from kpl.proxies.sums import ClassSums
from kpl.report import write_report
from kpl.runs import classify, fit, is_model, load_model, open_run, update

from .conftest import SENTENCES, draw


@pytest.fixture
def world(job, monkeypatch):
    """The job of this room, with its encoder in the place of every other wherever a model loads one."""
    be_every_encoder(monkeypatch, job.encoder)
    return job


def fitted(world, name="model.kpl", inputs=None, **changes):
    given = {"knowledge": world.knowledge, "out": world.folder / name, **changes}
    return fit(world.pictures if inputs is None else inputs, **given)


def more_pictures(world, count=6):
    for number in range(count):
        draw(world.folder / "more" / f"{number}.png", 100 + number)
    return world.folder / "more"


def embedded(world, source, out, encoder=None):
    return embed_pictures(
        find_pictures(source).pictures, encoder or world.encoder, world.folder / out, shard_size=4
    ).path


@pytest.mark.parametrize("method", [name for name in METHODS if not METHODS[name].batch_only])
def test_a_model_predicts_what_the_run_predicted_bit_for_bit(world, method):
    world.run(method=method, settings={"k": 2})
    fitted(world, method=method, settings={"k": 2})
    classify(world.pictures, model=world.folder / "model.kpl", out=world.folder / "again")
    first, again = open_run(world.out), open_run(world.folder / "again")
    assert again.predictions_file.read_bytes() == first.predictions_file.read_bytes()
    assert load_model(world.folder / "model.kpl").method.predict_proba(first.features).tobytes() == (
        fitted(world, "twice.kpl", method=method, settings={"k": 2}).method.predict_proba(first.features).tobytes()
    )
    plans = [run.summary["plan"] for run in (first, again)]
    assert "model" not in plans[0]
    assert re.fullmatch("[0-9a-f]{64}", plans[1].pop("model"))
    assert plans[0] == plans[1]


def test_the_same_inputs_give_the_same_bytes_and_features_do_as_well_as_pictures(world):
    fitted(world)
    fitted(world, "again.kpl")
    fitted(world, "features.kpl", inputs=embedded(world, world.pictures, "features"))
    files = {(world.folder / name).read_bytes() for name in ("model.kpl", "again.kpl", "features.kpl")}
    assert len(files) == 1
    assert sorted(path.name for path in world.folder.iterdir() if path.name.startswith(".")) == [".features.seen"]


def test_one_picture_at_a_time(world):
    fitted(world)
    world.run()
    run, model = open_run(world.out), load_model(world.folder / "model.kpl")
    expected = model.method.predict_proba(run.features)
    for number, name in enumerate(run.features.ids[:3]):
        said = model.predict(world.pictures / name)
        assert list(said.probabilities) == list(SENTENCES) == list(model.keys)
        np.testing.assert_allclose(list(said.probabilities.values()), expected[number], atol=1e-6)
        assert said.confidence == said.probabilities[said.label] == max(said.probabilities.values())
    pixels = np.asarray(Image.open(world.pictures / "0.png").convert("RGB"))
    assert replace(model.predict(pixels), id="0.png") == model.predict(str(world.pictures / "0.png"))


def test_evidence_of_a_model_is_of_the_text(world):
    fitted(world)
    classify(world.pictures, model=world.folder / "model.kpl", out=world.out, with_evidence=True)
    lines = (world.out / "evidence.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 1
    assert all(line.endswith(",") for line in lines[1:])  # nothing is learnt again without a sentence


def test_a_model_brings_its_knowledge_and_refuses_another(world):
    fitted(world)
    again = load_model(world.folder / "model.kpl")
    assert again.knowledge == load_knowledge(world.knowledge)
    classify(world.pictures, model=again, knowledge=world.knowledge, out=world.out)
    other = world.folder / "other.json"
    other.write_text(json.dumps({**SENTENCES, "platelet": ["something else"]}), encoding="utf-8")
    with pytest.raises(ModelError, match="fitted with other knowledge"):
        classify(world.pictures, model=again, knowledge=other, out=world.folder / "run2")
    with pytest.raises(InputError, match="neither knowledge nor a model"):
        classify(world.pictures, out=world.folder / "run2")
    for extra in ({"method": "cupl"}, {"settings": {"k": 3}}):
        with pytest.raises(InputError, match="has its method and settings already"):
            classify(world.pictures, model=again, out=world.folder / "run2", **extra)


def test_another_encoder_is_refused(world, monkeypatch):
    fitted(world)
    other = type(world.encoder)("other")
    features = embedded(world, world.pictures, "features", other)
    with pytest.raises(ModelError, match=r"fitted on features of mini:\w+, these are of other:\w+"):
        classify(features, model=world.folder / "model.kpl", out=world.out)
    be_every_encoder(monkeypatch, other)
    with pytest.raises(ModelError, match="use that encoder"):
        classify(world.pictures, model=world.folder / "model.kpl", out=world.out)
    with pytest.raises(ModelError, match="use that encoder"):
        load_model(world.folder / "model.kpl", encoder=other)
    assert load_model(world.folder / "model.kpl", encoder=world.encoder).predict(world.pictures / "1.png")
    assert not world.out.exists()


def test_a_method_of_the_batch_at_hand_is_refused_before_any_work(world, monkeypatch):
    monkeypatch.setattr(METHODS["inmap"], "batch_only", "it judges a batch as a whole")
    with pytest.raises(ModelError, match=r"'inmap' cannot be saved: it judges a batch as a whole\. Fit one of .*kpl"):
        fitted(world, method="inmap")
    with pytest.raises(UnknownNameError, match="did you mean 'kpl'"):
        fitted(world, method="kpll")
    assert world.encoder.image_batches == []


def test_what_is_there_is_not_lost(world):
    fitted(world)
    with pytest.raises(AlreadyThereError, match="is there already, made from the same"):
        fitted(world)
    with pytest.raises(OutputError, match="--overwrite"):
        fitted(world, settings={"k": 1})
    fitted(world, overwrite=True)
    (world.folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is no model of KPL"):
        fitted(world, "notes.txt", overwrite=True)
    with pytest.raises(OutputError, match="is no model of KPL"):
        fitted(world, "pictures", overwrite=True)
    with pytest.raises(OutputError, match="make it first"):
        fitted(world, "none/model.kpl")


def test_a_stopped_fit_goes_on_where_it_was(world, monkeypatch):
    def stop(_model, _path, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kpl.runs.fitting.save_model", stop)
        with pytest.raises(KeyboardInterrupt):
            fitted(world)
    assert not (world.folder / "model.kpl").exists()
    world.encoder.image_batches.clear()
    fitted(world)
    assert world.encoder.image_batches == []
    assert not (world.folder / ".model.kpl.partial").exists()


def test_what_a_later_version_adds_is_passed_over_with_a_note(world):
    fitted(world)
    path, models = world.folder / "model.kpl", kpl.runs.models
    said, arrays = models._read(path)
    later = models._Head.model_validate({**said.model_dump(), "colours": 3, "arrays": ""})
    later = later.model_copy(update={"arrays": models._hash(later, arrays)})
    path.write_bytes(save(arrays, {"kpl_model": later.model_dump_json()}))
    run = classify(world.pictures, model=path, out=world.folder / "later")
    assert "the model also states colours" in run.warnings[-1]
    summary = json.loads((world.folder / "later" / "run.json").read_text())
    (world.folder / "later" / "run.json").write_text(json.dumps({**summary, "colours": 3}))
    assert "the run.json also states colours" in open_run(world.folder / "later").warnings[-1]


# What is no model


def header(data):
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(data, change):
    head, rest = header(data)
    told = json.loads(head["__metadata__"]["kpl_model"])
    change(told)
    head["__metadata__"]["kpl_model"] = json.dumps(told, separators=(",", ":"))
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + rest


def told(key, value):
    return lambda said: said.__setitem__(key, value)


DAMAGED = {
    "no model, or a damaged one": [
        lambda data: data[:0],
        lambda data: data[:5],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"PK\x03\x04" + data,
    ],
    "was changed after it was written": [
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[: -len(data) // 3] + bytes([data[-len(data) // 3] ^ 64]) + data[-len(data) // 3 + 1 :],
        lambda data: with_header(data, told("encoder", "mini:0")),
        lambda data: with_header(data, lambda said: said["settings"].__setitem__("temperature", 1.0)),
        lambda data: with_header(data, told("exact", False)),
        lambda data: with_header(data, told("surprise", 1)),
    ],
    "version 2, this KPL reads version 1": [lambda data: with_header(data, told("kpl_model", 2))],
    "is a damaged model": [
        lambda data: with_header(data, lambda said: said.pop("method")),
        lambda data: with_header(data, lambda said: said.pop("kpl_model")),
    ],
}


@pytest.mark.parametrize(("message", "spoil"), [(m, f) for m, many in DAMAGED.items() for f in many])
def test_a_damaged_model_is_refused_in_one_line(world, message, spoil):
    fitted(world)
    path = world.folder / "model.kpl"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ModelError, match=message) as refused:
        load_model(path)
    assert "\n" not in str(refused.value)


def test_any_changed_byte_is_noticed(world):
    fitted(world)
    path = world.folder / "model.kpl"
    data = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(data), 60).tolist():
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(ModelError):
            load_model(path)


def resealed(world, change):
    """A whole model, with its hash, that says something else."""
    model = fitted(world, "base.kpl", overwrite=True)
    state = model.method.state()
    said = kpl.runs.models._head(model, state)
    said = change(said, state) or said
    said = said.model_copy(update={"arrays": kpl.runs.models._hash(said, state)})
    save_file(state, world.folder / "made.kpl", {"kpl_model": said.model_dump_json()})
    return world.folder / "made.kpl"


def test_a_model_of_an_unknown_method_or_of_other_arrays_is_refused(world):
    with pytest.raises(ModelError, match="method 'novel', which is not known here"):
        load_model(resealed(world, lambda said, _: said.model_copy(update={"method": "novel"})))
    with pytest.raises(ModelError, match="does not hold what method 'kpl' needs"):
        load_model(resealed(world, lambda _, state: state.__delitem__("text_.proxies")))
    with pytest.raises(ModelError, match="does not hold what method 'kpl' needs"):
        load_model(resealed(world, lambda said, _: said.model_copy(update={"settings": {"labels": 1}})))


def test_foreign_files_are_no_models(world):
    assert not is_model(world.folder)
    with pytest.raises(ModelError, match="no such model"):
        load_model(world.folder / "none.kpl")
    with pytest.raises(ModelError, match="no such model"):
        load_model(world.folder)
    save_file({"a": np.eye(2)}, world.folder / "foreign.safetensors", {"made": "elsewhere"})
    with pytest.raises(ModelError, match="a safetensors file but no model of KPL"):
        load_model(world.folder / "foreign.safetensors")
    fitted(world)
    assert is_model(world.folder / "model.kpl")


# More pictures, later


def test_an_update_says_whether_it_is_exact_and_how_far_it_drifted(world):
    more = more_pictures(world)
    first, second = embedded(world, world.pictures, "features"), embedded(world, more, "more-features")
    for name, settings, exact in (("kpl", {}, False), ("kpl-closed", {}, True), ("cupl", {}, True)):
        path = world.folder / "model.kpl"
        fitted(world, inputs=first, method=name, settings=settings, overwrite=True)
        before = path.read_bytes()
        result = update(path, second, out=world.folder / "new.kpl", against=[first], overwrite=True)
        assert (result.added, result.exact, result.model.exact) == (6, exact, exact)
        assert path.read_bytes() == before
        assert result.drift.n == 16
        assert 0 <= result.drift.mean <= result.drift.largest
        if exact:
            assert result.drift.changed == 0
            assert result.drift.largest < 1e-6
        reread = load_model(world.folder / "new.kpl")
        assert [lot.rows for lot in reread.learnt_from] == [10, 6]
        assert reread.exact is exact
        again = update(path, more)
        assert again.drift is None
        assert (again.moved is not None) is (name == "kpl")
        assert path.read_bytes() == (world.folder / "new.kpl").read_bytes()
        for said in ({}, {"against": [world.folder / "features"]}):  # killed after it was written, before it said so
            with pytest.raises(AlreadyThereError):
                update(path, more, **said)


def test_what_an_update_cannot_use_is_refused_and_changes_nothing(world):
    more = more_pictures(world)
    first, second = embedded(world, world.pictures, "features"), embedded(world, more, "more-features")
    fitted(world, inputs=first)
    path = world.folder / "model.kpl"
    before = path.read_bytes()
    for expected, call in {
        "learnt from these 10 pictures already": partial(update, path, first),
        "0 of these and 1 others": partial(update, path, second, against=[second]),
        "no such model": partial(update, world.folder / "none.kpl", second),
    }.items():
        with pytest.raises(ModelError, match=expected):
            call()
    other = embedded(world, more, "other", type(world.encoder)("other"))
    with pytest.raises(ModelError, match="use that encoder"):
        update(path, other)
    with pytest.raises(ModelError, match="use that encoder"):
        update(path, second, against=[other])
    with pytest.raises(OutputError, match="--overwrite"):
        update(path, second, out=first / "index.json")
    assert path.read_bytes() == before
    fitted(world, "inmap.kpl", inputs=first, method="inmap", settings={"steps": 5})
    with pytest.raises(InputError, match="cannot learn from images one after the other"):
        update(world.folder / "inmap.kpl", second)


def test_numbers_that_are_not_finite_are_refused_though_the_hash_fits(world):
    model = fitted(world)
    for value in (np.nan, np.inf):
        model.method.text_.proxies[0, 0] = value
        model.save(world.folder / "bad.kpl", overwrite=True)
        with pytest.raises(ModelError, match="not finite"):
            load_model(world.folder / "bad.kpl")


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "a/" * 3000])
def test_a_name_that_no_file_can_have_is_one_line(name):
    with pytest.raises(ModelError, match="no such model") as told:
        load_model(name)
    assert len(str(told.value)) < 400


@pytest.mark.parametrize("named", ["./evil", "/evil", "evil.kplenc", "hf:some/one", "../mini", "mini\0"])
def test_what_a_file_names_is_loaded_by_name_only_and_only_if_it_is_the_same(tmp_path, monkeypatch, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "config.json").write_text("{}")
    loaded = []
    monkeypatch.setattr(recorded, "load_encoder", loaded.append)
    monkeypatch.setattr(recorded, "load_card", lambda place: loaded.append(place) or load_card("mini"))
    with pytest.raises(EncoderError, match="not followed"):
        recorded_encoder(named, lambda _identity: None)
    assert loaded == []

    def refuse(identity):
        raise ModelError(f"another: {identity}")

    with pytest.raises(ModelError, match="another: mini:"):
        recorded_encoder("mini", refuse)
    assert loaded == ["mini"], "its card was read, and nothing was loaded"


def test_a_run_by_a_model_says_how_far_its_pictures_are_from_those_learnt_from(world):
    model = fitted(world)
    own = classify(world.pictures, model=world.folder / "model.kpl", out=world.folder / "own")
    assert world.run().site is None
    assert own.site is not None
    assert (own.site.far, own.site.prior) == (False, 0.0)
    assert own.site.pictures == round(model.seen.mass.sum())
    assert json.loads((own.path / "run.json").read_text())["site"] == own.site.to_json()
    write_report(own)
    assert own.site.told in html.unescape((own.path / "report.html").read_text("utf-8"))
    assert not any("another stain" in each for each in own.warnings)


def test_what_is_remembered_grows_with_the_model_and_an_earlier_one_has_none(world):
    model = fitted(world)
    assert 0 < model.seen.mass.sum() <= model.learnt_from[0].rows
    update(world.folder / "model.kpl", more_pictures(world))
    seen = load_model(world.folder / "model.kpl").seen
    assert seen.mass.sum() <= model.learnt_from[0].rows + 6
    for mass in (seen.mass, model.seen.mass):
        assert not ((mass > 0) & (mass < 5)).any(), "no mean is of a few"
    model.seen = None
    model.save(world.folder / "earlier.kpl")
    assert classify(world.pictures, model=world.folder / "earlier.kpl", out=world.folder / "without").site is None
    model.seen = ClassSums(2, 3)
    model.save(world.folder / "wrong.kpl")
    with pytest.raises(ModelError, match="does not hold what method"):
        load_model(world.folder / "wrong.kpl")
