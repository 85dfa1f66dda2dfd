"""What a user gets wrong: one line on stderr that says what to do, an exit code that is not zero, nothing written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .conftest import SENTENCES


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


GOOD = """\
kpl_knowledge: 1
task: {name: small, modality: blood smear}
classes:
  - key: neutrophil
    name: neutrophil
    descriptions: [a dark nucleus split into lobes]
  - key: platelet
    name: platelet
    descriptions: [a tiny purple body]
"""

BAD_KNOWLEDGE = {
    "a typo in a key": (GOOD.replace("descriptions: [a tiny", "descripions: [a tiny"), ["descripions", "descriptions"]),
    "a class list of one": (GOOD[: GOOD.index("  - key: platelet")], ["class"]),
    "a class without descriptions": (GOOD.replace("[a tiny purple body]", "[]"), ["platelet"]),
    "broken YAML": (GOOD.replace("classes:", "classes"), ["line"]),
    "too many tokens": (GOOD.replace("a tiny purple body", "a body " * 200), ["tokens", "platelet"]),
    "nothing": ("", ["knowledge.yaml"]),
}


@pytest.mark.parametrize("fault", BAD_KNOWLEDGE)
def test_faults_of_knowledge_are_named(quick, features, tmp_path, fault):
    text, words = BAD_KNOWLEDGE[fault]
    path = tmp_path / "knowledge.yaml"
    path.write_text(text)
    error = quick("classify", features, "--knowledge", path, "--out", "run").error
    for word in words:
        assert word in error
    if fault != "too many tokens":
        assert "knowledge.yaml" in error
    assert [found.name for found in tmp_path.iterdir()] == ["knowledge.yaml"]


def test_the_same_fault_in_json(quick, features, tmp_path):
    (tmp_path / "k.json").write_text(json.dumps(SENTENCES)[:-1])
    assert "k.json" in quick("classify", features, "-k", "k.json", "-o", "run").error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-k", "blood-cels"], "did you mean 'blood-cells'? Known: "),
        (["-k", "{knowledge}", "--encoder", "mni"], "unknown encoder 'mni': did you mean 'mini'? Known: "),
        (["-k", "{knowledge}", "--method", "KLP"], "unknown method 'KLP': did you mean 'kpl'? Known: "),
    ],
)
def test_unknown_names_suggest_the_nearest(quick, features, knowledge, tmp_path, arguments, words):
    given = [argument.format(knowledge=knowledge) for argument in arguments]
    assert words in quick("classify", features, *given, "-o", "run").error
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_elsewhere(quick, cells, finished, tmp_path):
    assert "did you mean 'mini'" in quick("embed", cells, "--encoder", "minni", "--out", "f").error
    assert "did you mean 'mini'" in quick("encoders", "show", "minni").error
    job = ("classify", finished / "features", "-k", "blood-cells", "-o", "run")
    assert "no evidence by sentence to explain" in quick(*job, "--method", "names", "--explain").error
    assert "unknown setting of kpl 'retrieval'" in quick(*job, "--set", "retrieval=image").error
    assert "nowhere.yaml" in quick(*job[:2], "-k", "nowhere.yaml", "-o", "run").error
    assert "did you mean 'kpl'" in quick("evaluate", finished, "--labels", cells, "--methods", "cupl,kpll").error
    assert "name at least one of names, cupl" in quick("evaluate", finished, "--labels", cells, "--methods", ",").error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["classify", "embed"])
def test_pictures_that_are_not_there(quick, knowledge, tmp_path, command):
    given = ["-k", knowledge] if command == "classify" else []
    error = quick(command, "nowhere", *given, "-o", "out").error
    assert error.startswith("no such folder or file: 'nowhere'. Check the spelling")
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists_is_refused_and_overwrite_allows(quick, features, finished, knowledge, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    before = files(tmp_path)
    command = ("classify", features, "-k", knowledge, "--method", "text", "--out", "run")
    assert quick(*command).error == "'run' exists: give another --out, or replace that run with --overwrite"
    assert files(tmp_path) == before
    told = quick(*command, "--overwrite").plain
    assert "12 pictures by text with mini" in told
    assert json.loads((tmp_path / "run" / "run.json").read_text())["plan"]["method"] == "text"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert not (tmp_path / "run" / "evidence.csv").exists()


def test_overwrite_never_takes_what_is_no_run(quick, features, knowledge, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "run.json").write_text('{"mine": true}')
    command = ("classify", features, "-k", knowledge, "--out", "thesis", "--overwrite")
    assert "is no run of KPL: it is not replaced" in quick(*command).error
    assert files(tmp_path) == {"thesis/run.json": b'{"mine": true}'}


def test_embed_refuses_a_folder_of_something_else(quick, cells, features, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("1")
    for more in ([], ["--overwrite"]):
        assert "is no feature folder" in quick("embed", cells, "--out", "thesis", *more).error
    assert files(tmp_path) == {"thesis/chapter.txt": b"1"}
    shutil.copytree(features, tmp_path / "features")
    before = files(tmp_path)
    one = cells / "platelet"
    assert "replace these features with --overwrite" in quick("embed", one, "--out", "features").error
    assert files(tmp_path) == before
    assert "4 pictures" in quick("embed", one, "--out", "features", "--overwrite").plain


def test_knowledge_of_another_modality_is_refused_unless_the_encoder_is_named(
    kpl, quick, features, knowledge, tmp_path
):
    chest = json.loads(knowledge.read_text())
    chest["task"]["modality"] = "chest X-ray"
    (tmp_path / "chest.json").write_text(json.dumps(chest))
    error = kpl("classify", features, "-k", "chest.json", "-o", "run").error
    assert "is about 'chest X-ray', and 'mini' reads only" in error
    assert "insist with --encoder mini" in error
    assert not (tmp_path / "run").exists()
    told = quick("classify", features, "-k", "chest.json", "--encoder", "mini", "-o", "run").plain
    assert "12 pictures" in told
    assert "mini is made for blood smear" in told
    assert "is about 'chest X-ray'" in told


def test_plain_sentences_do_not_state_their_modality(quick, features, tmp_path):
    (tmp_path / "plain.json").write_text(json.dumps(SENTENCES))
    assert "does not state its modality" in quick("classify", features, "-k", "plain.json", "-o", "run").error


def test_features_that_do_not_fit_are_refused(quick, features, knowledge, cells, tmp_path):
    command = ("classify", "features", "-k", knowledge, "-o", "run")
    shutil.copytree(features, tmp_path / "features")
    index = tmp_path / "features" / "index.json"
    good = index.read_text()
    index.write_text(good.replace('"encoder": "mini:', '"encoder": "mini:0'))
    assert "was made with mini:0" in quick(*command).error
    index.write_text(good.replace('"encoder_name": "mini"', '"encoder_name": "clip"'))
    assert "encoder 'clip', with which this was made, is none that is kept here" in quick(*command).error
    index.write_text(good)
    array = tmp_path / "features" / "images-00000.npy"
    whole = array.read_bytes()
    array.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "hash differs" in quick(*command).error
    assert "cannot be mixed" in quick("classify", "features", cells, "-k", knowledge, "-o", "run").error
    assert [path.name for path in tmp_path.iterdir()] == ["features"]


def test_a_run_inside_its_features(quick, features, knowledge, tmp_path):
    shutil.copytree(features, tmp_path / "features")
    assert "12 pictures" in quick("classify", "features", "-k", knowledge, "-o", "features/run").plain
    assert sorted(path.name for path in (tmp_path / "features" / "run" / "features").iterdir()) == [
        "images-00000.json",
        "images-00000.npy",
        "index.json",
    ]


def test_what_cannot_be_scored_is_refused(quick, finished, cells, tmp_path):
    def error(*arguments):
        return quick("evaluate", *arguments).error

    (tmp_path / "labels.csv").write_text("image,label\nneutrophil/cell-0.png,neutrofil\n")
    (tmp_path / "noise.csv").write_bytes(b"image,label\na.png,h\x81\x8dm\n")
    assert "did you mean 'neutrophil'" in error(finished, "--labels", "labels.csv")
    assert "not a text in UTF-8, UTF-16 or Windows-1252" in error(finished, "--labels", "noise.csv")
    assert "give --labels" in error(finished)
    assert "neither a run of `kpl classify` nor a feature bundle" in error(cells, "--labels", cells)


def test_figures_that_cannot_be_written(quick, finished, cells, tmp_path):
    (tmp_path / "folder").mkdir()
    for target in ("nowhere/figures.json", "folder"):
        command = ("evaluate", finished, "--labels", cells, "--methods", "cupl", "--replicates", 0, "--json", target)
        told = quick(*command)
        assert "majority" in told.out, "the table is printed first"
        assert told.error.startswith("cannot write ")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_the_demo_refuses_a_folder_in_use(quick, tmp_path):
    (tmp_path / "drawn" / "pictures").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    assert "exists and is no demo" in quick("demo", "--out", "drawn").error
    assert "exists and is no demo" in quick("demo", "--out", "file").error


@pytest.mark.parametrize(
    "arguments",
    [
        ["classify"],
        ["classify", "scans", "-k", "blood-cells"],
        ["classify", "scans", "-k", "blood-cells", "-o", "run", "--k", "0"],
        ["classify", "scans", "-k", "blood-cells", "-o", "run", "--batch-size", "0"],
        ["clasify", "scans"],
        ["embed", "scans", "--out", "f", "--dtype", "float64"],
        ["demo", "--count", "20"],
    ],
)
def test_a_wrong_command_line_is_exit_code_two(quick, tmp_path, arguments):
    told = quick(*arguments)
    assert told.code == 2
    assert told.out == ""
    assert "Usage: kpl" in told.err
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []


def test_an_empty_word_is_not_the_current_folder(quick, knowledge):
    assert "name at least one" in quick("classify", "", "-k", knowledge, "--out", "run").error
    assert "name at least one" in quick("embed", "", "--out", "features").error


def test_features_that_were_not_finished_say_so(quick, features, knowledge, tmp_path):
    half = tmp_path / "half"
    half.mkdir()
    for path in Path(features).glob("images-*"):
        shutil.copy(path, half)
    assert "no finished feature folder" in quick("classify", half, "-k", knowledge, "--out", "run").error
