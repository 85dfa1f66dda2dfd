"""What the pages say is so: commands, options, public names, examples."""

import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import kpl
from kpl.cli.main import app

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
MEND = "write the page anew: make cli-reference"


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command and group below and including this one, by what one types."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, f"{path} {name}")


COMMANDS = dict(walk(typer.main.get_command(app), "kpl"))


def sections() -> dict[str, str]:
    """The page cut at its headings, by command."""
    parts = re.split(r"^#+ `(kpl[^`]*)`$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_page_has_every_command_and_no_other():
    assert list(sections()) == list(COMMANDS), MEND


@pytest.mark.parametrize("typed", COMMANDS)
def test_every_option_is_explained_and_on_the_page(typed):
    text = sections()[typed]
    command = COMMANDS[typed]
    assert getattr(command, "help", None), "a command says what it does"
    listed = text.partition("**Options**")[2].partition("**Commands**")[0]
    options = {"--help"}
    for parameter in command.params:
        assert parameter.help, f"{parameter.name} has no help"
        if parameter.param_type_name == "option":
            options.update(name for name in parameter.opts + parameter.secondary_opts if name.startswith("--"))
    assert set(re.findall(r"^\* `[^`]*?(--[a-z0-9-]+)", listed, flags=re.MULTILINE)) == options, MEND


def test_every_public_name_is_on_the_page_of_the_python_interface():
    page = PAGE.with_name("api.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`kpl\.(\w+)`", page)) == set(kpl.__all__)


def test_every_room_that_offers_names_is_on_the_page_of_the_python_interface():
    page = PAGE.with_name("api.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (PAGE.parents[1] / "src/kpl").glob("*/__init__.py")} | {"errors"}
    assert set(re.findall(r"automodule:: kpl\.(\w+)", page)) == rooms - {"cli"}


def commands_shown() -> Iterator[tuple[str, str]]:
    """Each line of the pages that a reader would type, as (page, line)."""
    for page in [PAGE.parents[1] / "README.md", *sorted(PAGE.parent.glob("*.md"))]:
        if page != PAGE:
            for line in re.findall(r"^(?:\$ )?(kpl [^#`\n]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
                yield page.name, line.strip()


@pytest.mark.parametrize(("page", "line"), list(commands_shown()))
def test_every_command_on_a_page_exists_with_its_options(page, line):
    words = line.split()
    typed = max((name for name in COMMANDS if words[: len(name.split())] == name.split()), key=len)
    assert not getattr(COMMANDS[typed], "commands", None), f"{line!r} is no command"
    known = {name for parameter in COMMANDS[typed].params for name in parameter.opts} | {"--help"}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known


def fenced(page: str, language: str, heading: str = "") -> str:
    """The first block of that language on a page, below a heading if one is given."""
    text = PAGE.with_name(page).read_text(encoding="utf-8")
    text = text[text.index(heading) :]
    return text.partition(f"```{language}\n")[2].partition("```")[0]


def test_the_python_of_the_quickstart_runs(tmp_path, monkeypatch):
    kpl.draw_demo(tmp_path).rename(tmp_path / "SCANS")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(fenced("quickstart.md", "python"), names)  # noqa: S102 - the page is ours
    assert names["model"].predict_proba(names["images"]).shape == (200, len(names["knowledge"].classes))


@pytest.mark.long
def test_a_method_of_ones_own_runs_as_its_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = PAGE.with_name("own-method.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(block, names)  # noqa: S102 - the page is ours
    table = capsys.readouterr().out
    assert {"cupl", "kpl", "centred", "majority"} <= set(re.findall(r"^\| (\S+) \|", table, flags=re.MULTILINE))


@pytest.mark.long
def test_what_the_quickstart_shows_in_a_notebook_shows_itself(tmp_path, monkeypatch):
    kpl.draw_demo(tmp_path).rename(tmp_path / "SCANS")
    (tmp_path / "truth.csv").rename(tmp_path / "labels.csv")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    imports, *cells = fenced("quickstart.md", "python", "## In a notebook").strip().split("\n\n")
    exec(imports, names)  # noqa: S102 - the page is ours
    for cell in cells:
        *before, last = cell.splitlines()
        exec("\n".join(before), names)  # noqa: S102 - the same
        shown = eval(last, names)  # noqa: S307 - the same
        assert hasattr(shown, "_repr_html_") or hasattr(shown, "_repr_png_"), last


def test_the_knowledge_file_on_the_page_is_one(tmp_path):
    file = tmp_path / "page.yaml"
    file.write_text(fenced("knowledge.md", "yaml"), encoding="utf-8")
    base = kpl.load_knowledge(file)
    assert base.prompts()[0][0] == "a photo of a neutrophil, which has " + base.classes[0].descriptions[0].text
    assert [entry.name for entry in base.classes] == ["neutrophil", "lymphocyte"]


def test_the_table_of_encoders_is_that_of_the_catalogue():
    written = runpy.run_path(str(PAGE.with_name("write_catalogue.py")))["page"]()
    page = PAGE.with_name("bring-your-encoder.md").read_text(encoding="utf-8")
    assert page == written, "write the table anew: python docs/write_catalogue.py"


@pytest.mark.parametrize("script", ["write_readme.py", "write_pages.py"])
def test_figures_on_the_pages_are_those_that_were_measured(script):
    told = subprocess.run(
        [sys.executable, PAGE.parents[1] / "benchmarks" / script, "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr


PROMISES = (PAGE.parent / "promises.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("promise", re.findall(r"^\| (?!promise).+", PROMISES, re.MULTILINE))
def test_every_promise_is_held_by_tests_that_are_there(promise):
    tests = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", promise)
    assert tests
    assert promise.count("`tests/") == len(tests)
    for file, name in tests:
        assert re.search(rf"^def {name}\(", (PAGE.parents[1] / file).read_text(encoding="utf-8"), re.MULTILINE), name
