"""Text from files on a terminal: what would steer the terminal is shown, not obeyed."""

from __future__ import annotations

import re

from rich.console import Console
from rich.text import Text

__all__ = ["complain", "percent", "plain", "visible"]

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""Write control characters, and those that turn the direction of writing around, as their escapes.

    Example:
        >>> visible("a \x1b[31mred\x07 rim")
        'a \\x1b[31mred\\x07 rim'
    """
    return _STEERING.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def plain(text: str, style: str = "") -> Text:
    """Make text from files a part of a line or a table: no markup is read in it, and it steers nothing."""
    return Text(visible(text), style=style)


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
    line = visible(" ".join(text.split()))
    Console(stderr=True, soft_wrap=True).print(Text.assemble(("kpl: ", "bold red"), line))
