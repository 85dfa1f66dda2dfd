"""A table as a figure: accuracy by method, the confusion matrix, reliability, and what abstaining would save."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kpl.errors import OutputError
from kpl.evaluation.comparison import Table
from kpl.evaluation.trust import ReliabilityBin
from kpl.quiet import drawing_at_home
from kpl.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURE_SUFFIXES = (".svg", ".png", ".pdf")
_NAMED_CLASSES = 30
_CURVES = 6
_STYLE: Any = {  # matplotlib's own type lists every key
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a dollar in a class's name is a dollar
}
_DRAWING = threading.RLock()
_PIXELS_PER_INCH = 80  # as a notebook shows it
_BLUE, _GREY = "#1f5fa8", "#8a8a8a"


def check_figure(path: Path) -> None:
    """Refuse a figure that could not be drawn, before anything is computed for it.

    Raises:
        OutputError: the suffix is no kind of figure.
    """
    if path.suffix.lower() not in FIGURE_SUFFIXES:
        raise OutputError(f"{path}: a figure ends in {', '.join(FIGURE_SUFFIXES)}, not {path.suffix!r}: choose one")


def draw_table(table: Table, suffix: str, *, focus: str | None = None) -> bytes:
    """Draw a table with its details; return the file's content.

    Args:
        table: made by `compare` with class keys.
        suffix: the kind of file, see `FIGURE_SUFFIXES`.
        focus: the method of the confusion matrix and of the reliability; None takes the reference, else the best.
    """
    return figure_bytes(lambda: table_figure(table, focus=focus), suffix)


def figure_bytes(draw: Callable[[], Figure], suffix: str, *, text_as_text: bool = False, salt: str = "kpl") -> bytes:
    """Return the content of a file with matplotlib's `Figure` that `draw` makes, in the style of KPL's figures.

    Args:
        draw: makes the figure.
        suffix: the kind of file, see `FIGURE_SUFFIXES`.
        text_as_text: leave an SVG's letters to who shows it, instead of drawing their shapes.
        salt: of the ids in an SVG, so that two figures in one page share none.
    """
    check_figure(Path(f"figure{suffix}"))
    drawing_at_home()
    from matplotlib import rc_context

    own: Any = {"svg.fonttype": "none" if text_as_text else "path", "svg.hashsalt": salt}
    buffer = io.BytesIO()
    # matplotlib's style is one for the whole process, and so are warnings
    with _DRAWING, rc_context(_STYLE | own), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")  # of another script
        # no date: the same table gives the same bytes
        dated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix.lower())
        draw().savefig(buffer, format=suffix.lower().removeprefix("."), dpi=150, metadata=dated)
    return buffer.getvalue()


def table_figure(table: Table, *, focus: str | None = None) -> Figure:
    """Draw the same as matplotlib's `Figure`, which a notebook shows. Arguments as `draw_table`."""
    own = focus or table.reference or max(table.scores, key=lambda name: table.scores[name].accuracy)

    def draw(figure: Figure) -> None:
        (first, second), (third, fourth) = figure.subplots(2, 2)
        _accuracies(first, table)
        _confusion(second, table, own)
        _reliability(third, table, own)
        _coverage(fourth, table, own)

    return notebook_figure(draw, (10.5, 8))


def notebook_figure(draw: Callable[[Figure], None], size: tuple[float, float]) -> Figure:
    """Return matplotlib's `Figure` in the style of KPL's figures, one that a notebook shows as the picture it is.

    A notebook draws the figures of `matplotlib.pyplot`, of which it knows; these would be a line of text there.

    Args:
        draw: draws into the figure.
        size: width and height, inches.
    """
    drawing_at_home()
    from matplotlib import rc_context

    with _DRAWING, rc_context(_STYLE):
        figure = _shown_figure()(figsize=size, layout="constrained")
        draw(figure)
    return figure


@cache
def _shown_figure() -> type[Figure]:
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        """A figure that a notebook shows."""

        def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
            width, height = (round(float(side) * _PIXELS_PER_INCH) for side in self.get_size_inches())
            return figure_bytes(lambda: self, ".png"), {"width": width, "height": height}

    return ShownFigure


def _accuracies(axes: Axes, table: Table) -> None:
    names = list(table.scores)[::-1]
    for place, name in enumerate(names):
        scores = table.scores[name]
        colour = _BLUE if name == table.reference else _GREY
        if pair := scores.intervals.get("accuracy"):
            axes.plot(pair, [place, place], color=colour, linewidth=2)
        axes.plot(scores.accuracy, place, "o", color=colour, markersize=4)
    axes.axvline(table.majority.accuracy, color=_GREY, linestyle="--", linewidth=1, label="majority")
    axes.axvline(table.chance, color=_GREY, linestyle=":", linewidth=1, label="chance")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="accuracy", title=f"Accuracy on {table.majority.n} images, with intervals")
    axes.legend(frameon=False, loc="best")


def _confusion(axes: Axes, table: Table, focus: str) -> None:
    details = table.details.get(focus)
    if details is None or details.confusion is None:
        _nothing(axes, f"Confusion matrix of {focus}", "not drawn for this many classes")
        return
    counts = details.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true", title=f"Confusion matrix of {focus}, shares of the true class")
    keys = [visible(key) for key in details.classes]
    if len(keys) <= _NAMED_CLASSES:
        axes.set_xticks(range(len(keys)), keys, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(keys)), keys)
    if len(keys) <= _NAMED_CLASSES // 2:
        for row, column in np.argwhere(counts).tolist():
            ink = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=ink, fontsize=6)


def _reliability(axes: Axes, table: Table, focus: str) -> None:
    details = table.details.get(focus)
    if details is None or not details.reliability:
        _nothing(axes, f"Reliability of {focus}", "no probabilities that sum to one")
        return
    draw_reliability(axes, details.reliability, table.majority.n, _BLUE, _GREY)
    ece = table.scores[focus].ece
    told = "" if ece is None else f", ECE {ece:.3f}"
    axes.set_title(f"Reliability of {focus}{told}")


def draw_reliability(axes: Axes, bins: Sequence[ReliabilityBin], n: int, colour: str, guide: str) -> None:
    """Draw each bin of n images with Wilson's 95 % interval beside a dotted diagonal; larger dots hold more images."""
    share, confidence, accuracy = np.array(bins, dtype=np.float64).T
    count = n * share
    half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / count + 1.96**2 / (4 * count**2)) / (1 + 1.96**2 / count)
    middle = (accuracy + 1.96**2 / (2 * count)) / (1 + 1.96**2 / count)
    axes.plot([0, 1], [0, 1], color=guide, linestyle=":", linewidth=1.2)
    axes.vlines(confidence, middle - half, middle + half, color=colour, linewidth=1.5)
    axes.scatter(confidence, accuracy, s=(5 + 13 * np.sqrt(share)) ** 2, color=colour, alpha=0.62, linewidths=0)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))


def draw_coverage(axes: Axes, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], **styles: Any) -> None:  # noqa: ANN401 - matplotlib's
    """Draw the error rate among the most confident share of images, (coverage, risk) by name; the first stands out."""
    for place, (name, (coverage, risk)) in enumerate(curves.items()):
        axes.plot(coverage, risk, label=name, linewidth=1 if place else 2, **styles)
    highest = max(max(risk) for _, risk in curves.values())
    axes.set(xlabel="share of pictures answered", ylabel="error rate among them", xlim=(0, 1.02))
    axes.set_ylim(0, max(0.1, float(np.ceil(highest * 10) / 10)))


def _coverage(axes: Axes, table: Table, focus: str) -> None:
    drawn = [name for name, details in table.details.items() if details.coverage]
    if not drawn:
        _nothing(axes, "Coverage and risk", "no probabilities that sum to one")
        return
    best = sorted(drawn, key=lambda name: (name != focus, table.details[name].area_under_risk))[:_CURVES]
    draw_coverage(axes, {name: (table.details[name].coverage, table.details[name].risk) for name in best})
    axes.set_title("Answering only the most confident images")
    axes.legend(frameon=False, loc="best")


def _nothing(axes: Axes, title: str, why: str) -> None:
    axes.set_axis_off()
    axes.set_title(title)
    axes.text(0.5, 0.5, why, ha="center", va="center", color=_GREY)
