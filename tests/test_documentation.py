"""`docs/cli.md` says what the commands do, all of it and nothing else."""

import re
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
    assert set(re.findall(r"^\* `[^`]*?(--[a-z-]+)", listed, flags=re.MULTILINE)) == options, MEND


def test_every_public_name_is_on_the_page_of_the_python_interface():
    page = PAGE.with_name("api.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`kpl\.(\w+)`", page)) == set(kpl.__all__)


def test_every_room_that_offers_names_is_on_the_page_of_the_python_interface():
    page = PAGE.with_name("api.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (PAGE.parents[1] / "src/kpl").glob("*/__init__.py")} | {"errors"}
    assert set(re.findall(r"automodule:: kpl\.(\w+)", page)) == rooms - {"cli"}
