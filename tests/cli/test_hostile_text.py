"""Names, labels and knowledge that would steer a terminal, turn a page around or be a formula in a spreadsheet."""

from __future__ import annotations

import ast
import csv
import json
import re
import shutil
from pathlib import Path

import pytest

import kpl.cli
from kpl.cli.terminal import Console, LogFormatter, say_json
from kpl.runs.tables import read_csv
from kpl.visible import visible

STEERING = "\x1b\x07\x00\x7f\x9b\u202e\u2066\u200f\u061c\u2028"
NAMES = {
    "neutrophil": "neutro\x1b[31mphil\x9b2J\x07 $x_{$",
    "normal_red_cell": '=HYPERLINK("http://x")\u202e red',
    "platelet": "@platelet\u2066 <script>alert(1)</script>",
}


def is_clean(text: str) -> bool:
    return not any(mark in text for mark in STEERING)


@pytest.fixture(scope="module")
def hostile(cells, tmp_path_factory) -> Path:
    """Pictures, knowledge and labels of which every name is hostile."""
    from tests.cli.conftest import SENTENCES

    folder = tmp_path_factory.mktemp("hostile")
    entries = [
        {"key": NAMES[key], "name": f"{NAMES[key]} title", "descriptions": [f"{text}\x1b[2J\u202e" for text in texts]}
        for key, texts in SENTENCES.items()
    ]
    task = {"name": "small\x1b]0;mine\x07\u202e", "modality": "blood smear", "template": "{description}"}
    (folder / "k.json").write_text(json.dumps({"kpl_knowledge": 1, "task": task, "classes": entries}))
    rows = []
    for number, path in enumerate(sorted(cells.rglob("*.png"))):
        name = f"{['=1+1', '-2', '@x', '+', chr(9)][number % 5]}\x1b[31m\u202e {number}\n.png"
        (folder / "scans").mkdir(exist_ok=True)
        shutil.copy(path, folder / "scans" / name)
        rows.append((name, NAMES[path.parent.name], f"ward\x1b[5m\u202e{number % 2}"))
    (folder / "scans" / "bad\x1b[31m\u202e.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "label", "group"), *rows])
    return folder


@pytest.fixture(scope="module")
def hostile_run(hostile) -> Path:
    from tests.cli.conftest import start

    process = start("classify", "scans", "-k", "k.json", "--explain", "-o", "run", cwd=hostile)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out, err)
    assert is_clean(out + err)
    return hostile / "run"


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "run", "--labels", "labels.csv", "--methods", "all", "--replicates", "20", "--figure", "f.svg"),
        ("explain", "run", "=1+1\x1b[31m\u202e 0\n.png"),
        ("explain", "run", "no\x1b[31m\u202e.png"),
        ("classify", "no\x1b[31m\u202e", "-k", "k.json", "-o", "x"),
        ("classify", "scans", "-k", "no\x1b[31m\u202e", "-o", "x"),
        ("classify", "scans", "-k", "k.json", "-o", "x\x1b[31m\u202e", "--method", "\x1b[31m\u202e"),
        ("classify", "scans", "--o\x1b[31m\u202e"),
        ("classify", "scans", "--k", "\x1b[31m\u202e"),
        ("no\x1b[31m\u202e",),
        ("embed", "scans", "-o", "e\x1b[31m\u202e"),
        ("fit", "scans", "-k", "k.json", "-o", "m\x1b[31m\u202e.kpl"),
        ("knowledge", "show", "k.json"),
        ("knowledge", "show", "k.json", "--features", "run/features"),
        ("knowledge", "lint", "k.json", "--json"),
        ("encoders", "info", "no\x1b[31m\u202e"),
        ("report", "run", "--labels", "labels.csv", "--replicates", "20", "--methods", "text,kpl"),
        ("report", "run", "--pictures", "scans", "--maps", "1"),
        ("calibrate", "run", "--labels", "labels.csv", "-o", "c\x1b[31m\u202e.json"),
    ],
)
def test_no_command_lets_a_name_steer_the_terminal(quick, hostile, hostile_run, tmp_path, arguments):
    for name in ("run", "scans", "labels.csv", "k.json"):
        (tmp_path / name).symlink_to(hostile / name)
    told = quick(*arguments)
    assert is_clean(told.out + told.err)
    assert "Traceback" not in told.err
    if arguments[0] == "report":
        page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
        assert told.code == 0, told.err
        assert is_clean(page)
        assert "<script>alert" not in page
        assert "\\x1b[31m" in page


def test_names_are_the_same_in_what_is_read_back(hostile, hostile_run):
    rows = read_csv(hostile_run / "predictions.csv")[1:]
    assert {row[0] for row in rows} == {path.name for path in (hostile / "scans").iterdir()} - {"bad\x1b[31m\u202e.png"}
    assert {row[1] for row in rows} <= set(NAMES.values())


@pytest.mark.parametrize("name", ["predictions.csv", "evidence.csv"])
def test_no_cell_is_a_formula_and_numbers_stay_numbers(hostile_run, name):
    with (hostile_run / name).open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert [cell for cell in cells if re.match(r"[=+\-@\t\r]", cell) and not re.fullmatch(r"[-+]?\d+\.\d+", cell)] == []
    assert sum(cell.startswith("'") for cell in cells) > 10


def test_notebooks_show_it_without_steering(hostile_run):
    from kpl.report import explain_picture
    from kpl.runs import open_run
    from kpl.runs.notebook import result_html

    name = read_csv(hostile_run / "predictions.csv")[1][0]
    page = explain_picture(hostile_run, name, top=0)._repr_html_()
    page += result_html(open_run(hostile_run))
    assert is_clean(page)
    assert "<script" not in page
    assert "\\x1b[31m" in page


def test_json_for_programs_says_the_same(capsys):
    told = {"a\u202e": ["\x1b[31m", "\x9b2J", "é", "\x7f"]}
    say_json(told)
    out = capsys.readouterr().out
    assert is_clean(out)
    assert "é" in out
    assert json.loads(out) == told


def test_a_console_keeps_its_own_colours(capsys):
    Console(force_terminal=True, color_system="standard").print("[red]own[/red] \x1b[32mtheirs")
    assert "\x1b[31mown" in (out := capsys.readouterr().out)
    assert "\x1b[32m" not in out


def test_a_log_is_text():
    import logging

    record = logging.LogRecord("kpl", logging.WARNING, "f", 1, "%s", ("a\x1b[31m\u202e",), None)
    assert LogFormatter("%(message)s").format(record) == r"a\x1b[31m\u202e"


def test_there_is_one_way_to_the_terminal():
    """What is shown goes through `kpl.cli.terminal`; a command that prints by another way would pass its filter by."""
    others = re.compile(r"^(?:rich\.console\.Console|typer\.(?:echo|secho)|click\.(?:echo|secho)|print)$")
    wrong = []
    for module in Path(kpl.cli.__file__).parent.rglob("*.py"):
        if module.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute | ast.Name) and others.match(ast.unparse(node)):
                wrong.append(f"{module.name}:{node.lineno} {ast.unparse(node)}")
            if isinstance(node, ast.ImportFrom) and node.module == "rich.console":
                wrong += [f"{module.name}:{node.lineno}" for alias in node.names if alias.name == "Console"]
    assert wrong == []


def test_marks_of_writing_direction_are_all_written_out():
    assert is_clean(visible(STEERING))
    assert visible("שלום عربي\tzażółć\n") == "שלום عربي\tzażółć\n", "only the marks, not the scripts"
