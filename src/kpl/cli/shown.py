"""Text from files on a terminal: what would steer the terminal is shown, not obeyed."""

from __future__ import annotations

import re

from rich.text import Text

__all__ = ["plain", "visible"]

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
