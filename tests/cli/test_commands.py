"""The commands as a newcomer meets them: help with examples, version, tables, pipes, terminals of every kind."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys

import pytest
import typer.main

from kpl.cli.main import app
from kpl.knowledge import load_knowledge

from .conftest import script, start


def walk(command, path=()):
    """Every command below a group, by what one types after `kpl`."""
    children = getattr(command, "commands", {})
    if not children:
        yield path, command
    for name, child in children.items():
        yield from walk(child, (*path, name))


COMMANDS = dict(walk(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_help_shows_an_example(path):
    typed = "kpl " + " ".join(path)
    text = COMMANDS[path].help
    assert re.search(rf"Examples?:\n(\n +{typed}.*\n)+", text + "\n"), "an example that begins as one types it"
    options = {name for parameter in COMMANDS[path].params for name in parameter.opts}
    for line in re.findall(rf"^ +{typed}.*$", text, flags=re.MULTILINE):
        assert set(re.findall(r" (--[a-z0-9-]+)", line)) <= options


def test_help_in_a_process(kpl):
    told = kpl("classify", "--help").plain
    assert "kpl classify SCANS/ --knowledge my-classes.yaml --out run/" in told
    assert "--overwrite" in told
    assert "Start with: kpl demo" in kpl("--help").plain


def test_without_arguments_the_help_is_shown(quick):
    told = quick()
    assert "classify" in told.out + told.err
    assert told.code in (0, 2)


def test_version_is_the_distributions(kpl):
    from importlib.metadata import version

    assert kpl("--version").plain == version("knowledge-proxy-learning")


def test_python_m_or_script_the_command_is_the_same(tmp_path):
    code = "from kpl.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "methods", "list"], capture_output=True, text=True, encoding="utf-8", check=True
    )
    for name in ("names", "cupl", "text", "inmap", "kpl-official", "kpl"):
        assert f"│ {name} " in done.stdout


def test_lists_and_cards(quick):
    told = quick("encoders", "list").plain
    assert "mini" in told
    assert json.loads(quick("encoders", "show", "mini").out)["name"] == "mini"


def test_the_main_job(kpl, cells, knowledge, tmp_path):
    told = kpl("classify", cells, "--knowledge", knowledge, "--out", "run").plain
    assert "12 pictures by kpl with mini" in told
    names = {entry.key: entry.name for entry in load_knowledge(knowledge).classes}
    for key, count in json.loads((tmp_path / "run" / "run.json").read_text())["classes"].items():
        assert re.search(rf"{names[key]} │ +{count} │ +{count / 12:.1%}", told)
    assert re.search(r"\d+\.\d s; pictures read and embedded at \d+ a second", told)
    assert "Written to run/: predictions.csv, run.json" in told
    assert "set aside" not in told


def test_explain_writes_the_evidence(finished):
    with (finished / "evidence.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for image in {row["image"] for row in rows}:
        mine = [row for row in rows if row["image"] == image]
        total = sum(float(row["text_share"]) for row in mine)
        assert total == pytest.approx(float(mine[0]["text_margin"]), abs=5e-7 * (len(mine) + 1))


def test_evaluate_prints_and_writes_the_figures(kpl, finished, cells, tmp_path):
    command = ("evaluate", finished, "--labels", cells, "--methods", "names, cupl ,kpl", "--replicates", 20)
    told = kpl(*command, "--json", "figures.json").plain
    assert "12 labelled images" in told
    assert "Guessing evenly: 33.3%" in told
    assert "Figures written to figures.json" in told
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {"names", "cupl", "kpl", "majority"} <= set(figures)
    for name in ("names", "cupl", "kpl"):
        assert 0 <= figures[name]["accuracy"] <= 1
        assert 0 <= figures[name]["balanced_accuracy"] <= 1
        assert re.search(rf"{name} │ +{figures[name]['accuracy']:.3f}", told)


def test_evaluate_tells_what_was_left_out(quick, tmp_path, finished, cells):
    import numpy as np

    (tmp_path / "labels.csv").write_text("image,label\nneutrophil/cell-0.png,neutrophil\nplatelet/cell-2.png,\n")
    told = quick("evaluate", finished, "--labels", "labels.csv", "--methods", "kpl", "--replicates", 0).plain
    assert "Note: not scored, no label: 11 of 12 images" in told
    assert re.search(r"kpl │ .* - ", told), "AUROC of a single class is no number"
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    np.save(bundle / "images.npy", np.eye(3, dtype=np.float32))
    np.save(bundle / "descriptions.npy", np.eye(3, dtype=np.float32)[:, None])
    np.save(bundle / "labels.npy", np.arange(3))
    (bundle / "bundle.json").write_text('{"classes": ["a", "b", "c"]}')
    assert "Note: names was left out: names needs class names" in quick("evaluate", "bundle", "--replicates", 0).plain
    asked = quick("evaluate", "bundle", "--methods", "names,cupl", "--replicates", 0).error
    assert "'names' cannot be scored here: names needs class names" in asked
    assert "brings its own" in quick("evaluate", "bundle", "--labels", "labels.csv").error


@pytest.mark.long
def test_the_demo_from_nothing(kpl, tmp_path):
    told = kpl("demo", "--out", "demo").plain
    assert "200 pictures by kpl with mini" in told
    assert "200 labelled images" in told
    assert "no label was used to classify them" in told
    for name in ("predictions.csv", "evidence.csv", "run.json"):
        assert (tmp_path / "demo" / "run" / name).is_file()
        assert f"demo/run/{name}" in told


@pytest.mark.skipif(os.name == "nt", reason="pipes of a POSIX shell")
@pytest.mark.parametrize("arguments", [["knowledge", "show", "blood-cells"], ["knowledge", "schema"]])
def test_a_reader_that_goes_away_hears_nothing(arguments, tmp_path):
    read, write = os.pipe()
    os.close(read)  # as `head` does when it has enough
    process = start(*arguments, cwd=tmp_path, stdout=write)
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode == 1


@pytest.mark.skipif(os.name == "nt", reason="pipes of a POSIX shell")
def test_head(tmp_path):
    command = f"'{' '.join(script())}' knowledge show blood-cells | head -n 1" if len(script()) == 1 else "echo blood"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stdout.startswith("blood")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_old_terminal_loses_characters_and_nothing_else(kpl, features, knowledge, tmp_path, encoding):
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    told = kpl("classify", features, "-k", knowledge, "-o", "täst 😀", env=env, encoding=encoding)
    assert told.code == 0
    assert told.err == ""
    assert "12 pictures by kpl" in told.out


@pytest.mark.skipif(sys.platform != "linux", reason="a pseudo-terminal is asked for as Linux does")
def test_bars_are_drawn_where_somebody_looks(cells, knowledge, tmp_path):
    import pty

    ours, theirs = pty.openpty()
    env = {"TERM": "xterm-256color"}
    process = start("classify", cells, "-k", knowledge, "-o", "run", "--explain", cwd=tmp_path, stderr=theirs, env=env)
    os.close(theirs)
    drawn = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end was closed
            break
        if not part:
            break
        drawn += part
    out = process.communicate(timeout=60)[0]
    os.close(ours)
    assert process.returncode == 0
    assert b"pictures" in drawn
    assert b"12/12" in drawn
    assert b"evidence" in drawn
    assert "12 pictures by kpl" in out
    assert "evidence.csv" in out
