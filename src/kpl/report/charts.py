"""The figures of the report, drawn by matplotlib and written into the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from kpl.evaluation import ReliabilityBin, draw_coverage, draw_reliability
from kpl.proxies.arrays import Floats
from kpl.quiet import drawing_at_home
from kpl.report.inlining import LIGHT, inline_figure
from kpl.report.marks import MARKED, class_colour, class_shape
from kpl.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS_PER_INCH = 72  # of an SVG by matplotlib: sizes here are pixels of the page
_DASHES = dict(zip("o^sD", ("-", "--", "-.", (0, (1, 1))), strict=True))
_LONGEST = 28  # letters of a name beside a curve or a mark


def _canvas(width: float = 460, height: float = 300) -> tuple[Figure, Axes]:
    drawing_at_home()
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
    name = visible(name)  # a control character would make the drawing no XML
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _diagonal(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=LIGHT["soft"], linestyle=":", linewidth=1.2)


def _count(axes: Axes, ticks: int) -> None:
    """Whole numbers up the side."""
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(ticks, integer=True))


def histogram(values: Floats, things: str = "pictures") -> Markup:
    """Draw how many things have which confidence, (n,) values of 0 to 1; finer where nearly all of them are."""
    edges = (0.0, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0)
    names = ("below 50 %", "50 to 75", "75 to 90", "90 to 99", "99 to 99.9", "above 99.9 %")
    counts = np.histogram(values, bins=edges)[0]
    figure, axes = _canvas()
    axes.grid(axis="x", visible=False)
    bars = axes.bar(names, counts, color=LIGHT["c0"], width=0.86)
    axes.bar_label(bars, color=LIGHT["ink"], fontsize=11, padding=2)
    axes.tick_params(axis="x", labelsize=10)
    axes.margins(y=0.1)
    _count(axes, 6)
    axes.set(xlabel="confidence", ylabel=things)
    parts = ", ".join(f"{name}: {count}" for name, count in zip(names, counts.tolist(), strict=True))
    return inline_figure(figure, f"Confidence of the {things}", f"Median {np.median(values):.3f}; {parts}")


def probability_histogram(values: Floats, threshold: float, name: str, called: int, bins: int = 40) -> Markup:
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
    _name_proxies(figure, axes, texts[:MARKED], names)
    told = (
        f"{len(points)} pictures of {len(names)} classes on two principal axes, which hold {shares[0]:.0%} and "
        f"{shares[1]:.0%} of the variance; large marks are the text proxies"
    )
    return inline_figure(figure, "Map of the pictures", told)


def _name_proxies(figure: Figure, axes: Axes, texts: Floats, names: Sequence[str]) -> None:
    """Write each name beside its proxy, where it covers no other mark or name; a line leads to one further off."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]  # matplotlib's stub lacks it
    figure.draw_without_rendering()  # places are known once the layout is
    unit = figure.dpi / _POINTS_PER_INCH
    places = axes.transData.transform(texts) / unit
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in places.tolist()]
    frame = (0.0, 0.0, figure.bbox.width / unit, figure.bbox.height / unit)
    for (x, y), point, name in zip(places.tolist(), texts.tolist(), names, strict=False):
        label = axes.annotate(
            _short(name), point, (0, 0), textcoords="offset points", gid="css-name", ha="center", va="center", size=13,
            weight="bold", color=LIGHT["ink"], annotation_clip=False,
        )  # fmt: skip
        extent = label.get_window_extent(renderer)
        width, height = extent.width / unit, extent.height / unit
        sides = [
            (far * dx * (11 + width / 2), far * dy * (11 + height / 2))
            for far in (1, 1.6, 2.4)
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1), (0.9, 0.9), (-0.9, 0.9), (0.9, -0.9), (-0.9, -0.9))
        ]
        boxes = [(x + dx - width / 2, y + dy - height / 2, x + dx + width / 2, y + dy + height / 2) for dx, dy in sides]
        costs = [sum(_overlap(box, other) for other in taken) + 4 * _outside(box, frame) for box in boxes]
        best = int(np.argmin(costs))
        label.set_position(sides[best])
        taken.append(boxes[best])
        if best >= len(sides) // 3:
            axes.annotate("", point, sides[best], textcoords="offset points", arrowprops=_LEADER)


_Box = tuple[float, float, float, float]
_LEADER = {"arrowstyle": "-", "color": LIGHT["soft"], "shrinkA": 7, "shrinkB": 8}


def _overlap(one: _Box, other: _Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _outside(box: _Box, frame: _Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, frame)


def curves(
    lines: Sequence[tuple[int, str, Sequence[float], Sequence[float]]],
    title: str,
    told: str,
    x_label: str,
    y_label: str,
) -> Markup:
    """Draw curves over shares, (class index, its name, x, y) each; the diagonal is dotted."""
    figure, axes = _canvas(height=300 + 16 * -(-len(lines) // 2))
    _diagonal(axes)
    for c, name, xs, ys in lines:
        dash, colour = _DASHES[class_shape(c)], LIGHT[class_colour(c)]
        axes.plot(xs, ys, linestyle=dash, color=colour, linewidth=2, label=_short(name))
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    figure.legend(
        loc="outside lower center", ncols=2, frameon=False, fontsize=11, labelcolor=LIGHT["ink"], handlelength=3
    )
    return inline_figure(figure, title, told)


def reliability_curve(bins: Sequence[ReliabilityBin], n: int, told: str, **labels: str) -> Markup:
    """Draw the bins of n images; `labels` of the axes where they are not confidence and accuracy."""
    figure, axes = _canvas()
    draw_reliability(axes, bins, n, LIGHT["c0"], LIGHT["soft"])
    axes.set(**labels)
    return inline_figure(figure, "Reliability", told)


def coverage_curve(coverage: Sequence[float], risk: Sequence[float], told: str, **labels: str) -> Markup:
    """Draw the error rate among the most confident share of the pictures; `labels` of the axes if they are others."""
    figure, axes = _canvas()
    draw_coverage(axes, {"": (coverage, risk)}, color=LIGHT["c0"])
    axes.set(**labels)
    return inline_figure(figure, "Coverage and risk", told)
