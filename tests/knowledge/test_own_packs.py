"""Packs of the user's own: a file of one folder stands for a name, before the pack that ships; no other file does."""

from __future__ import annotations

import shutil

import pytest
from typer.testing import CliRunner

from kpl.authoring import copy_pack
from kpl.cli.knowledge import app
from kpl.cli.main import app as every
from kpl.errors import KnowledgeError, UnknownNameError
from kpl.knowledge import (
    load_knowledge,
    own_pack,
    own_packs_folder,
    pack_names,
    read_pack_head,
    shipped_packs,
    write_knowledge,
)
from kpl.knowledge.packs import read_pack


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "home"))
    assert own_packs_folder() == tmp_path / "home" / "packs"
    own_packs_folder().mkdir(parents=True)
    return own_packs_folder()


@pytest.fixture
def base():
    kb = load_knowledge("malaria-cells")
    return kb.model_copy(update={"task": kb.task.model_copy(update={"name": "mine", "version": 7})})


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_the_users_file_stands_for_the_name(folder, base):
    assert pack_names() == shipped_packs()
    write_knowledge(base, folder / "blood-cells.yaml")
    assert pack_names() == shipped_packs()
    assert load_knowledge("blood-cells") == base
    assert read_pack("blood-cells") == (folder / "blood-cells.yaml").read_bytes()
    assert own_pack("blood-cells") == folder / "blood-cells.yaml"
    assert load_knowledge("malaria-cells") != base


def test_the_users_file_may_bring_a_new_name(folder, base):
    write_knowledge(base, folder / "my-cells.yaml")
    assert set(pack_names()) - set(shipped_packs()) == {"my-cells"}
    assert load_knowledge("my-cells") == base
    with pytest.raises(UnknownNameError, match="did you mean 'my-cells'"):
        load_knowledge("my-cell")


def test_a_file_in_the_working_folder_stands_for_no_name(folder, base, tmp_path, monkeypatch):
    shipped = load_knowledge("blood-cells")
    monkeypatch.chdir(tmp_path)
    for name in ("blood-cells", "blood-cells.yaml"):
        write_knowledge(base, tmp_path / "saved.yaml", overwrite=True)
        shutil.copyfile("saved.yaml", name)
    assert load_knowledge("blood-cells") == shipped
    assert load_knowledge("./blood-cells.yaml") == load_knowledge("blood-cells.yaml") == base
    assert load_knowledge(tmp_path / "blood-cells.yaml") == base


def test_a_path_is_no_name(folder, base):
    write_knowledge(base, folder.parent / "outside.yaml")
    (folder / "deeper").mkdir()
    write_knowledge(base, folder / "deeper" / "x.yaml")
    assert own_pack("../outside") is own_pack("deeper/x") is own_pack("") is None
    assert pack_names() == shipped_packs()


def test_the_head_of_a_users_pack_is_read_in_any_layout(folder, base):
    (folder / "plain.yaml").write_text('{disc: ["a round outline"], box: ["four corners", "straight sides"]}')
    write_knowledge(base, folder / "malaria-cells.yaml")
    head = read_pack_head("plain")
    assert (head.classes, head.descriptions, head.own) == (2, 3, folder / "plain.yaml")
    head = read_pack_head("malaria-cells")
    assert (head.task, head.descriptions) == (base.task, sum(len(entry.descriptions) for entry in base.classes))
    assert read_pack_head("blood-cells").own is None


def test_a_fault_in_the_users_file_names_the_file(folder):
    (folder / "blood-cells.yaml").write_text("kpl_knowledge: 1\ntask: {name: x}\nclasses: []\n")
    with pytest.raises(KnowledgeError, match=r"packs.blood-cells\.yaml"):
        load_knowledge("blood-cells")


def test_commands_say_which_file_a_name_stands_for(folder, base):
    assert run("show", "blood-cells", "platelet").stderr == ""
    write_knowledge(base, folder / "blood-cells.yaml")
    write_knowledge(base, folder / "mine.yaml")
    told = run("show", "blood-cells", "uninfected")
    assert told.stderr.startswith("knowledge 'blood-cells' is your own pack in the place of the one that ships: ")
    assert str(folder / "blood-cells.yaml") in told.stderr
    assert run("show", "mine", "uninfected").stderr.startswith("knowledge 'mine' is your own pack: ")
    assert run("lint", folder / "mine.yaml").stderr == ""


@pytest.mark.parametrize("command", ["classify", "fit"])
def test_runs_say_it_too(folder, base, tmp_path, command):
    write_knowledge(base, folder / "blood-cells.yaml")
    asked = [command, str(tmp_path / "nothing"), "--knowledge", "blood-cells", "--out", str(tmp_path / "out")]
    assert "knowledge 'blood-cells' is your own pack" in CliRunner().invoke(every, asked).stderr


def test_the_list_of_packs_marks_the_users_own_and_tells_versions(folder, base):
    write_knowledge(base, folder / "blood-cells.yaml")
    told = run("packs").stdout
    (own,) = [line for line in told.splitlines() if "blood-cells" in line]
    (shipped,) = [line for line in told.splitlines() if "brain-mri" in line]
    assert "(own)" in own
    assert " 7 " in own
    assert "own" not in shipped
    assert f" {load_knowledge('brain-mri').task.version} " in shipped
    assert str(folder) in told.replace("\n", "")


def test_a_pack_is_written_on_where_it_is_the_users_own(folder, tmp_path, monkeypatch):
    """With a number of descriptions that is there already nothing is asked, so no model is needed."""
    monkeypatch.chdir(tmp_path)
    command = ("write", "malaria-cells", "--model", "none", "--replay", "--per-class", "1")
    run(*command)
    assert (tmp_path / "malaria-cells.yaml").exists()
    told = run("lint", "malaria-cells", "--fix")
    assert told.exit_code == 2
    assert "is a pack: copy it" in told.stderr
    copy_pack("malaria-cells", folder / "malaria-cells.yaml")
    assert f"{folder / 'malaria-cells.yaml'}: every class" in run(*command).stdout
    assert run("lint", "malaria-cells", "--fix").exit_code == 0
