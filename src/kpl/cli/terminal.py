"""The one place where text reaches the terminal: what would steer it is shown, not obeyed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from kpl.visible import visible


class Console(rich.console.Console):
    """A console on which only this program's own colours and cursor moves work, not those that a text brings along."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the pieces of a line or table, steering characters of their text written out."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(visible(piece.text), piece.style)


class LogFormatter(logging.Formatter):
    """Lines of a log, of which no name or error that they quote steers the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one text."""
        return visible(super().format(record))


def plain(text: str, style: str = "") -> Text:
    """Make text from files a part of a line or a table: no markup is read in it, and it steers nothing."""
    return Text(visible(text), style=style)


def table_of(*words: str | Text, title: str | Text | None = None, figures: Iterable[str] = ()) -> Table:
    """Make a table with columns of words, then of figures, which stand to the right."""
    made = Table(title=title, title_justify="left")
    for word in words:
        made.add_column(word)
    for each in figures:
        made.add_column(each, justify="right")
    return made


def say(text: str, *, err: bool = False, end: str = "\n") -> None:
    """Print text as it is: brackets in it are not markup, and nothing in it steers the terminal."""
    Console(stderr=err).print(text, markup=False, highlight=False, emoji=False, soft_wrap=True, end=end)


def say_json(told: object) -> None:
    """Print JSON for people and programs; what would steer a terminal is escaped as JSON does."""
    text = json.dumps(told, indent=1, ensure_ascii=False)
    say("".join(c if visible(c) == c else f"\\u{ord(c):04x}" for c in text) if visible(text) != text else text)


def percent(share: float) -> str:
    """Write a share of one as percent; what only rounds to none or all of it says so.

    Example:
        >>> percent(0.1234), percent(0.9999), percent(1.0), percent(1e-9)
        ('12.3 %', '> 99.9 %', '100 %', '< 0.1 %')
    """
    if share in (0.0, 1.0):
        return f"{share:.0%}".replace("%", " %")
    if share >= 0.9995:
        return "> 99.9 %"
    return "< 0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def complain(text: str) -> None:
    """Print to stderr, in one line, what could not be done."""
    line = " ".join(text.split())
    Console(stderr=True, soft_wrap=True).print(Text.assemble(("kpl: ", "bold red"), line))


def print_notes(console: Console, notes: Iterable[str]) -> None:
    """Print what to know before believing a result, a line each; nothing in it is read as markup."""
    for note in notes:
        console.print(plain(f"Note: {note}", style="yellow"), soft_wrap=True)
