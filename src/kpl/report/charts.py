"""The figures of the report, drawn by matplotlib and written into the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from kpl.proxies.arrays import Floats
from kpl.report.inlining import LIGHT, inline_figure
from kpl.report.marks import COLOURS, MARKED, class_colour, class_shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["coverage_curve", "curves", "histogram", "plane_map", "presence_histogram", "reliability_curve"]

_POINTS_PER_INCH = 72  # of an SVG by matplotlib: sizes here are pixels of the page
_LONGEST = 28  # letters of a name beside a curve or a mark


def _canvas(width: float = 460, height: float = 300) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), layout="constrained", facecolor=LIGHT["paper"]
    )
    axes = figure.add_subplot(facecolor=LIGHT["paper"])
    axes.set_axisbelow(True)
    axes.grid(color=LIGHT["line"], linewidth=1)
    axes.spines[:].set_visible(False)
    axes.tick_params(color=LIGHT["line"], labelcolor=LIGHT["soft"], labelsize=11, length=0)
    axes.xaxis.label.set(color=LIGHT["ink"], size=12)
    axes.yaxis.label.set(color=LIGHT["ink"], size=12)
    return figure, axes


def _short(name: str) -> str:
    """Cut a name that would run out of the drawing; the tables have it whole."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _diagonal(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=LIGHT["soft"], linestyle=":", linewidth=1.2)


def _count(axes: Axes, ticks: int) -> None:
    """Whole numbers up the side."""
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(ticks, integer=True))


def histogram(values: Floats, bins: int = 20) -> Markup:
    """Draw how many pictures have which confidence, (n,) values of 0 to 1."""
    figure, axes = _canvas()
    axes.hist(values, bins=bins, range=(0.0, 1.0), color=LIGHT["c0"], rwidth=0.94)
    _count(axes, 6)
    axes.set(xlabel="confidence", ylabel="pictures", xlim=(0, 1))
    half, sure = float(np.mean(values < 0.5)), float(np.mean(values >= 0.9))
    told = f"Median {np.median(values):.2f}; {half:.0%} of the pictures below 0.5, {sure:.0%} at 0.9 or more"
    return inline_figure(figure, "Confidence of the pictures", told)


def presence_histogram(values: Floats, threshold: float, name: str, called: int, bins: int = 40) -> Markup:
    """Draw how many pictures have which probability of a class, small, its threshold marked; `called` have it."""
    figure, axes = _canvas(340, 150)
    axes.hist(values, bins=bins, range=(0.0, 1.0), color=LIGHT["c0"], rwidth=0.9)
    axes.axvline(threshold, color=LIGHT["ink"], linewidth=1.5, linestyle="--")
    axes.set(xlim=(0, 1), xticks=[0, 0.25, 0.5, 0.75, 1], ylabel="pictures")
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    _count(axes, 3)
    side = "right" if threshold > 0.5 else "left"
    axes.set_title(f"threshold {100 * threshold:.3g} %", x=threshold, ha=side, size=11, color=LIGHT["ink"])
    told = f"{called} of {len(values)} pictures reach the threshold of {threshold:.2f}; median {np.median(values):.2f}"
    return inline_figure(figure, f"Probability of {name}", told)


def plane_map(
    points: Floats, winners: NDArray[np.intp], texts: Floats, names: Sequence[str], shares: tuple[float, float]
) -> Markup:
    """Draw pictures (n, 2), marked by their class, and the text proxies (C, 2) of the classes."""
    figure, axes = _canvas(720, 520)
    axes.set_axis_off()
    for c in np.unique(winners).tolist():
        x, y = points[winners == c].T
        small = 5.6 if c < MARKED else 4.0
        axes.plot(x, y, class_shape(c), color=LIGHT[class_colour(c)], markersize=small, markeredgewidth=0, alpha=0.62)
    for c, (x, y) in enumerate(texts[:MARKED].tolist()):
        axes.plot(
            x, y, class_shape(c), color=LIGHT[class_colour(c)], markersize=14, markeredgecolor=LIGHT["ink"],
            markeredgewidth=1.6,
        )  # fmt: skip
    figure.draw_without_rendering()  # places are known once the layout is
    _name_proxies(axes, figure.dpi, texts[:MARKED], names)
    told = (
        f"{len(points)} pictures of {len(names)} classes on two principal axes, which hold {shares[0]:.0%} and "
        f"{shares[1]:.0%} of the variance; large marks are the text proxies"
    )
    return inline_figure(figure, "Map of the pictures", told)


def _name_proxies(axes: Axes, dpi: float, texts: Floats, names: Sequence[str]) -> None:
    """Write each name beside its proxy, below those that are there already."""
    line, apart = 13.0, 130.0
    taken: list[tuple[float, float]] = []
    places = axes.transData.transform(texts) * _POINTS_PER_INCH / dpi
    middle = axes.transAxes.transform((0.72, 0))[0] * _POINTS_PER_INCH / dpi
    for (x, y), point, name in zip(places.tolist(), texts, names, strict=False):
        below = y - 4
        while any(abs(below - other) < line and abs(x - beside) < apart for beside, other in taken):
            below -= line
        taken.append((x, below))
        left = x > middle
        axes.annotate(
            _short(name), point, (-12 if left else 12, below - y), textcoords="offset points", gid="css-name",
            ha="right" if left else "left", size=13, weight="bold", color=LIGHT["ink"], annotation_clip=False,
        )  # fmt: skip


def curves(
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]], title: str, told: str, x_label: str, y_label: str
) -> Markup:
    """Draw named curves over shares; the diagonal is dotted."""
    figure, axes = _canvas()
    _diagonal(axes)
    for number, (name, xs, ys) in enumerate(lines):
        colour, dash = LIGHT[COLOURS[number % len(COLOURS)]], "--" if number // len(COLOURS) % 2 else "-"
        axes.plot(xs, ys, dash, color=colour, linewidth=2, label=_short(name))
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(loc="lower right", frameon=False, fontsize=11, labelcolor=LIGHT["ink"])
    return inline_figure(figure, title, told)


def reliability_curve(
    bins: Sequence[tuple[float, float, float]], told: str, x_label: str = "confidence", y_label: str = "accuracy"
) -> Markup:
    """Draw (confidence, accuracy, share) of each bin; a larger dot holds more pictures."""
    figure, axes = _canvas()
    _diagonal(axes)
    confidence, accuracy, share = (np.array(side) for side in zip(*bins, strict=True))
    axes.plot(confidence, accuracy, color=LIGHT["c0"], linewidth=2)
    axes.scatter(confidence, accuracy, s=(5 + 18 * share**0.5) ** 2, color=LIGHT["c0"], alpha=0.62, linewidths=0)
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return inline_figure(figure, "Reliability", told)


def coverage_curve(
    coverage: Sequence[float], risk: Sequence[float], told: str, x_label: str = "share of pictures answered"
) -> Markup:
    """Draw the error rate among the most confident share of the pictures."""
    figure, axes = _canvas()
    axes.plot(coverage, risk, color=LIGHT["c0"], linewidth=2)
    axes.set(xlabel=x_label, ylabel="error rate among them", xlim=(0, 1.01))
    axes.set_ylim(0, max(0.1, float(np.ceil(max(risk) * 10) / 10)))
    return inline_figure(figure, "Coverage and risk", told)
