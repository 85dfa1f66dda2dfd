"""The mark of each class: a colour and a shape, the same in tables, figures and legends.

The colours are after Okabe and Ito (2008), without black and yellow; they follow the page's light or dark theme. The
shape changes with every class and every round of colours, so that no class is told by its colour alone.
"""

from __future__ import annotations

from markupsafe import Markup

COLOURS = ("c0", "c1", "c2", "c3", "c4", "c5")
"""Names of the page's colours for classes; `style.css` says what they are in each theme."""
_REST = "rest"
_SHAPES = {  # matplotlib's name, and the corners in units of the size; a circle has none
    "o": (),
    "^": ((0, -1.25), (1.15, 0.9), (-1.15, 0.9)),
    "s": ((-0.95, -0.95), (0.95, -0.95), (0.95, 0.95), (-0.95, 0.95)),
    "D": ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)),
}
MARKED = len(COLOURS) * len(_SHAPES)
"""Classes that have a mark of their own; further ones share a small grey dot."""


def class_colour(class_index: int) -> str:
    """Return the name of a class's colour."""
    return COLOURS[class_index % len(COLOURS)] if class_index < MARKED else _REST


def class_shape(class_index: int) -> str:
    """Return matplotlib's name of a class's marker."""
    if class_index >= MARKED:
        return "o"
    rounds, place = divmod(class_index, len(COLOURS))
    return list(_SHAPES)[(rounds + place) % len(_SHAPES)]


def mark(class_index: int) -> Markup:
    """Draw the mark of a class for a line of text, 12 by 12."""
    colour, size = class_colour(class_index), 4.0 if class_index < MARKED else 2.8
    if corners := _SHAPES[class_shape(class_index)]:
        points = " ".join(f"{6 + x * size:.1f},{6 + y * size:.1f}" for x, y in corners)
        return Markup('<polygon class="{c}" points="{p}"/>').format(c=colour, p=points)
    return Markup('<circle class="{c}" cx="6" cy="6" r="{s:.1f}"/>').format(c=colour, s=size)
