"""`kpl knowledge`, run as a command with its errors left typed; the main command turns them into one line."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

import kpl.encoders
from kpl.cli.knowledge import app
from kpl.errors import AlreadyThereError, EncoderError, OutputError, UnknownNameError
from kpl.knowledge import load_knowledge

PLAIN = {"disc": ["a round [b]outline[/b]", "."], "box": ["four corners"]}


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False).stdout


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "shapes.json"
    path.write_text(json.dumps(PLAIN))
    return path


@pytest.fixture
def tidy(plain, tmp_path):
    path = tmp_path / "tidy.yaml"
    run("import", plain, "--as", path, "--tidy", "--modality", "toys", "--title", "my shapes")
    return path


@pytest.fixture
def encoder(monkeypatch):
    fake = SimpleNamespace(
        card=SimpleNamespace(modalities=("blood smear",)),
        context_length=12,
        count_tokens=lambda sentence: len(sentence.split()),
        encode_texts=lambda sentences: np.eye(len(sentences), dtype=np.float32),
        unknown_words=lambda sentence: [word for word in sentence.split() if word == "corners"],
    )
    monkeypatch.setattr(kpl.encoders, "load_encoder", lambda _name: fake, raising=False)
    return fake


def test_schema_is_json(tmp_path):
    assert json.loads(run("schema"))["title"] == "KnowledgeBase"
    assert "wrote" in run("schema", "--out", tmp_path / "knowledge.schema.json")
    assert (tmp_path / "knowledge.schema.json").read_text() == run("schema")


def test_packs_lists_the_shipped_ones():
    told = run("packs")
    assert re.search(r"blood-cells .* 10 .* 262 ", told)
    assert re.search(r"food-101 .* 101 .* names only", told)


def test_show_prints_prompts_as_they_are(tidy):
    everything = run("show", tidy)
    assert "a photo of a disc, which has a round [b]outline[/b]" in everything
    assert "four corners" in everything
    assert "four corners" not in run("show", tidy, "DISC")
    assert "buffy" not in run("show", "blood-cells", "neutrophils")
    with pytest.raises(UnknownNameError, match="did you mean 'disc'"):
        run("show", tidy, "disk")


def test_a_list_of_names_can_be_seen_checked_and_copied(tmp_path):
    assert "a photo of apple pie." in run("show", "food-101", "apple_pie")
    assert "K406 notice" in run("lint", "food-101")
    run("import", "food-101", "--as", tmp_path / "mine.yaml")
    mine, pack = load_knowledge(tmp_path / "mine.yaml"), load_knowledge("food-101")
    assert (mine.kpl_knowledge, mine.content_hash()) == (2, pack.content_hash())
    assert "# The 101 dishes" in (tmp_path / "mine.yaml").read_text()


def test_lint_tells_and_fails_or_not(tidy, plain):
    told = CliRunner().invoke(app, ["lint", str(plain)])
    assert told.exit_code == 1
    assert "K101 error: class 'disc', description 2: no letter in it" in told.stdout
    assert "K401" in told.stdout
    assert "2 classes, 3 descriptions: 1 errors" in told.stdout
    assert CliRunner().invoke(app, ["lint", "blood-cells"]).exit_code == 0
    report = json.loads(CliRunner().invoke(app, ["lint", str(plain), "--json"]).stdout)
    assert report["failed"]
    assert report["counts"]["K101"] == 1


def test_lint_mends(tidy):
    tidy.write_text(tidy.read_text().replace("[b]", "<b>").replace("[/b]", "</b>"))
    told = run("lint", tidy, "--fix")
    assert "mended K107 (markup): 1 markup removed" in told
    assert load_knowledge(tidy).classes[0].descriptions[0].text == "a round outline"


def test_lint_with_an_encoder(tidy, encoder):
    told = run("lint", tidy, "--encoder", "mini")
    assert "the modality is toys, but mini is made for blood smear" in told
    assert "words that mini does not know: corners (1)" in told
    encoder.context_length = 9
    assert "10 tokens with the template, mini reads at most 9" in run("lint", tidy, "--encoder", "mini")


def test_lint_without_its_encoder_runs_the_other_rules(tidy, plain, monkeypatch):
    def refuse(name):
        raise EncoderError(f"encoder {name!r} is known but its files are not here")

    monkeypatch.setattr(kpl.encoders, "load_encoder", refuse, raising=False)
    told = CliRunner().invoke(app, ["lint", str(plain), "--encoder", "far"])
    assert told.exit_code == 2
    assert "K101 error: class 'disc', description 2: no letter in it" in told.stdout
    assert "not run (K501 to K503): encoder 'far' is known but its files are not here" in told.stderr
    report = json.loads(CliRunner().invoke(app, ["lint", str(tidy), "--encoder", "far", "--json"]).stdout)
    assert "files are not here" in report["not_run"]


def test_lint_of_what_cannot_be_read_is_no_finding(tmp_path):
    told = CliRunner().invoke(app, ["lint", str(tmp_path / "none.yaml")])
    assert told.exit_code == 2
    assert told.stderr.startswith("kpl: ")


def test_lint_shortens_long_lists(tmp_path):
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"a": [f"isThe thing{i}" for i in range(30)], "b": ["fine"]}))
    assert "... and 10 more of K105 (glued): --limit 0 prints all" in run("lint", path)
    assert "more of" not in run("lint", path, "--limit", "0")


def test_rules_are_listed():
    assert "K301" in run("rules")


def test_convert_tells_what_it_dropped(plain, tmp_path):
    out = tmp_path / "out.yaml"
    told = run("import", plain, "--as", out, "--tidy", "--template", "{description}")
    assert "dropped 1 entries: 1 empty" in told
    assert "2 classes" in told
    assert load_knowledge(out).prompts()[1] == ["four corners"]
    with pytest.raises(OutputError, match="exists already"):
        run("import", plain, "--as", out, "--tidy")
    assert "wrote" in run("import", "blood-cells", "--as", out, "--overwrite")
    assert "read as: KPL's own format, version 2" in run("import", out, "--as", out.with_suffix(".json"))


def test_import_says_what_it_took_a_file_for(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("label,prompt,size\n0,a photo of a 0,1\n1,a photo of a 1,1\n")
    told = run("import", table, "--as", tmp_path / "a.yaml").splitlines()
    assert told[0] == "read as: a table, class in 'label', sentence in 'prompt'"
    assert told[1] == "not taken, for knowledge has no place for it: size"
    assert told[2].startswith("2 of 2 sentences name their class")
    assert told[3].endswith("a.yaml: 2 classes, 2 descriptions")
    assert "name their class" not in run("import", table, "--as", tmp_path / "b.yaml", "--template", "{description}")


def test_a_command_given_again_finds_its_own_file(plain, tmp_path):
    for words in (
        ("new", tmp_path / "new.yaml", "--classes", "a,b"),
        ("import", plain, "--as", tmp_path / "imported.yaml", "--tidy"),
        ("import", "blood-cells", "--as", tmp_path / "copy.yaml"),
        ("merge", "blood-cells", "blood-cells", "-o", tmp_path / "merged.yaml"),
    ):
        assert "wrote" in run(*words)
        with pytest.raises(AlreadyThereError, match="is there already"):
            run(*words)
    (tmp_path / "new.yaml").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        run("new", tmp_path / "new.yaml", "--classes", "a,b")
