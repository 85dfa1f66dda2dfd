"""The classes as the text sees them: a picture of how alike their proxies are, in which collapsed classes show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kpl.evaluation import figure_bytes, notebook_figure
from kpl.methods import ClassSimilarity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBERED = 20  # classes up to which every cell says its number
_NAMED = 60
_PALE = 0.6  # from here on black ink would not be read


def draw_similarity(similarity: ClassSimilarity, names: Sequence[str], suffix: str) -> bytes:
    """Draw how alike the classes are to the text; return the file's content.

    Args:
        similarity: of the classes.
        names: of the classes, in the order of the class indices.
        suffix: the kind of file, see `kpl.evaluation.FIGURE_SUFFIXES`.

    Raises:
        OutputError: the suffix is no kind of figure.
    """
    return figure_bytes(lambda: similarity_figure(similarity, names), suffix)


def similarity_figure(similarity: ClassSimilarity, names: Sequence[str]) -> Figure:
    """Draw the same as matplotlib's `Figure`, which a notebook shows. Arguments as `draw_similarity`."""
    n = len(similarity.order)
    side = 3.2 + 0.42 * n if n <= _NUMBERED else 12.0 if n <= _NAMED else 9.0
    return notebook_figure(lambda figure: _draw(figure, similarity, names), (side + 1.2, side))


def _draw(figure: Figure, similarity: ClassSimilarity, names: Sequence[str]) -> None:
    order = similarity.order
    cells = similarity.centred[np.ix_(order, order)]
    n = len(order)
    axes = figure.subplots()
    image = axes.imshow(cells, cmap="PuOr_r", vmin=-1, vmax=1)  # orange and purple: told apart by every eye
    image_bar = figure.colorbar(image, ax=axes, shrink=0.7)
    image_bar.set_label("cosine of the text proxies less their mean")
    if n <= _NAMED:
        said = [names[c] for c in order.tolist()]
        axes.set_xticks(range(n), said, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(n), said)
    else:
        axes.set(xlabel=f"{n} classes, similar ones together", xticks=[], yticks=[])
    if n <= _NUMBERED:
        for (row, column), value in np.ndenumerate(cells):
            ink = "white" if abs(value) > _PALE else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=6)
    axes.set_title(
        "How alike the classes are to the text\n1 off the diagonal: collapsed, the text cannot tell them apart"
    )
