"""Text that others wrote, as it may be shown: what would steer a terminal or turn the reading order is written out."""

from __future__ import annotations

import re
from html import escape

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]")


def visible(text: str) -> str:
    r"""Write control characters, and those that turn the direction of writing around, as their escapes.

    Line ends and tabs stay as they are.

    Example:
        >>> visible("a \x1b[31mred\x07 rim")
        'a \\x1b[31mred\\x07 rim'
    """
    return _STEERING.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def visible_html(text: str) -> str:
    r"""Write text as a part of HTML: neither markup nor steering is read in it.

    Example:
        >>> visible_html("<b>\u202e")
        '&lt;b&gt;\\u202e'
    """
    return escape(visible(text))
