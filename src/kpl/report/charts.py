"""Figures of the report as inline SVG: text stays text, and colours follow the page's light or dark theme.

Colours are classes of the page's style sheet (`c0` to `c6`, after Okabe and Ito 2008, without black and yellow), and a
marker's shape changes with every round of them, so that no class is told by its colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from kpl.proxies.arrays import Floats

__all__ = [
    "MARKED",
    "chart",
    "coverage_curve",
    "curves",
    "histogram",
    "marker",
    "plane_map",
    "presence_histogram",
    "reliability_curve",
]

_COLOURS = 7
_SHAPES = 4
MARKED = _COLOURS * _SHAPES
"""Classes that have a mark of their own; further ones share a small grey dot."""
_WIDTH, _HEIGHT = 460, 300
_LONGEST = 28  # letters of a name beside a curve or a mark
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 44


def chart(title: str, description: str, body: Iterable[Markup], width: int = _WIDTH, height: int = _HEIGHT) -> Markup:
    """Wrap a drawing so that a screen reader tells its title and what it shows."""
    return Markup(
        '<svg role="img" viewBox="0 0 {w} {h}" class="chart" aria-label="{label}">'
        "<title>{title}</title><desc>{description}</desc>{body}</svg>"
    ).format(
        w=width,
        h=height,
        label=f"{title}. {description}",
        title=title,
        description=description,
        body=Markup("").join(body),
    )


def marker(class_index: int, x: float, y: float, size: float = 3.0, extra: str = "") -> Markup:
    """Draw the mark of a class at a point."""
    if class_index >= MARKED:
        return Markup('<circle class="c-rest {e}" cx="{x:.1f}" cy="{y:.1f}" r="{s:.1f}"/>').format(
            e=extra, x=x, y=y, s=size * 0.7
        )
    shape = (class_index // _COLOURS) % _SHAPES
    name = f"c{class_index % _COLOURS} {extra}".strip()
    if shape == 0:
        return Markup('<circle class="{n}" cx="{x:.1f}" cy="{y:.1f}" r="{s:.1f}"/>').format(n=name, x=x, y=y, s=size)
    offsets = {
        1: ((0, -1.25), (1.15, 0.9), (-1.15, 0.9)),
        2: ((-0.95, -0.95), (0.95, -0.95), (0.95, 0.95), (-0.95, 0.95)),
        3: ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)),
    }[shape]
    path = " ".join(f"{x + dx * size:.1f},{y + dy * size:.1f}" for dx, dy in offsets)
    return Markup('<polygon class="{n}" points="{p}"/>').format(n=name, p=path)


def _short(name: str) -> str:
    """Cut a name that would run out of the drawing; the tables have it whole."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _text(x: float, y: float, words: object, anchor: str = "middle", name: str = "tick") -> Markup:
    return Markup('<text class="{n}" x="{x:.1f}" y="{y:.1f}" text-anchor="{a}">{w}</text>').format(
        n=name, x=x, y=y, a=anchor, w=words
    )


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> Markup:
    return Markup('<line class="{n}" x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}"/>').format(
        n=name, a=x1, b=y1, c=x2, d=y2
    )


def _bar(x: float, y: float, width: float, height: float, told: str) -> Markup:
    return Markup(
        '<rect class="c0" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"><title>{t}</title></rect>'
    ).format(x=x, y=y, w=width, h=height, t=told)


class _Frame:
    """Axes from zero to `top`, both sides; x runs 0 to 1."""

    def __init__(self, top: float, x_label: str, y_label: str, *, whole: bool = False) -> None:
        self.top = top
        self.parts: list[Markup] = []
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            y = self.y(share * top)
            self.parts.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, "grid"))
            told = f"{share * top:.0f}" if whole else f"{share * top:.3g}"
            self.parts.append(_text(_LEFT - 6, y + 4, told, "end"))
            self.parts.append(_text(self.x(share), _HEIGHT - _BOTTOM + 16, f"{share:.2g}"))
        self.parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, x_label, name="axis"))
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        self.parts.append(
            Markup(
                '<text class="axis" text-anchor="middle" transform="translate(13 {y:.0f}) rotate(-90)">{w}</text>'
            ).format(y=middle, w=y_label)
        )

    def x(self, share: float) -> float:
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - value / (self.top or 1.0) * (_HEIGHT - _TOP - _BOTTOM)

    def path(self, xs: Sequence[float], ys: Sequence[float], name: str) -> Markup:
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        return Markup('<polyline class="{n}" points="{p}"/>').format(n=name, p=points)


def histogram(values: Floats, bins: int = 20) -> Markup:
    """Draw how many pictures have which confidence, (n,) values of 0 to 1."""
    counts, edges = np.histogram(values, bins=bins, range=(0.0, 1.0))
    top = _round_up(int(counts.max()))
    frame = _Frame(top, "confidence", "pictures", whole=True)
    for count, low, high in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            x, y = frame.x(low), frame.y(count)
            told = f"{low:.2f} to {high:.2f}: {count}"
            frame.parts.append(_bar(x + 0.5, y, frame.x(high) - x - 1, frame.y(0) - y, told))
    half, sure = float(np.mean(values < 0.5)), float(np.mean(values >= 0.9))
    told = f"Median {np.median(values):.2f}; {half:.0%} of the pictures below 0.5, {sure:.0%} at 0.9 or more"
    return chart("Confidence of the pictures", told, frame.parts)


def presence_histogram(values: Floats, threshold: float, name: str, called: int, bins: int = 40) -> Markup:
    """Draw how many pictures have which probability of a class, small, its threshold marked; `called` have it."""
    width, height, left, right, base = 340, 140, 10, 10, 112
    counts, edges = np.histogram(values, bins=bins, range=(0.0, 1.0))
    across = width - left - right
    parts = [_line(left, base, width - right, base, "grid")]
    for count, low, high in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            tall = max(1.5, 86 * count / int(counts.max()))
            x, told = left + across * low, f"{low:.3g} to {high:.3g}: {count}"
            parts.append(_bar(x + 0.4, base - tall, across / bins - 0.8, tall, told))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = {0.0: "start", 1.0: "end"}.get(share, "middle")
        parts.append(_text(left + across * share, base + 14, f"{100 * share:.0f} %", anchor))
    at = left + across * threshold
    parts.append(_line(at, 16, at, base, "threshold"))
    side = "end" if threshold > 0.5 else "start"
    parts.append(_text(at + (-4 if side == "end" else 4), 13, f"threshold {100 * threshold:.3g} %", side))
    told = f"{called} of {len(values)} pictures reach the threshold of {threshold:.2f}; median {np.median(values):.2f}"
    return chart(f"Probability of {name}", told, parts, width, height)


def _round_up(value: int) -> int:
    """Return the next count that splits into four even steps."""
    step = 4 * 10 ** max(0, len(str(max(value, 1))) - 2)
    return int(max(4, -(-value // step) * step))


def plane_map(
    points: Floats, winners: NDArray[np.intp], texts: Floats, names: Sequence[str], shares: tuple[float, float]
) -> Markup:
    """Draw pictures (n, 2), marked by their class, and the text proxies (C, 2) of the classes."""
    width, height, edge = 720, 520, 26
    every = np.concatenate([points, texts])
    low, high = every.min(axis=0), every.max(axis=0)
    span = np.where(high - low > 0, high - low, 1.0)

    def place(point: Floats) -> tuple[float, float]:
        x, y = (point - low) / span
        return edge + float(x) * (width - 2 * edge), height - edge - float(y) * (height - 2 * edge)

    parts = [marker(int(c), *place(p), 2.8, "dot") for c, p in zip(winners.tolist(), points, strict=True)]
    labels: list[Markup] = []
    taken: list[tuple[float, float]] = []
    for c, point in enumerate(texts[:MARKED]):
        x, y = place(point)
        parts.append(marker(c, x, y, 7.5, "proxy"))
        side = "end" if x > width * 0.72 else "start"
        shift = -12 if side == "end" else 12
        at = y + 4
        while any(abs(at - other) < 13 and abs(x - beside) < 130 for beside, other in taken):
            at += 13
        taken.append((x, at))
        labels.append(_text(x + shift, at, _short(names[c]), side, "name"))
    told = (
        f"{len(points)} pictures of {len(names)} classes on two principal axes, which hold {shares[0]:.0%} and "
        f"{shares[1]:.0%} of the variance; large marks are the text proxies"
    )
    return chart("Map of the pictures", told, [*parts, *labels], width, height)


def curves(
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]], title: str, told: str, x_label: str, y_label: str
) -> Markup:
    """Draw named curves over shares; the diagonal is dotted."""
    frame = _Frame(1.0, x_label, y_label)
    frame.parts.append(frame.path([0, 1], [0, 1], "diagonal"))
    for number, (name, xs, ys) in enumerate(lines):
        style = f"curve s{number % _COLOURS} d{number // _COLOURS % 2}"
        y = _HEIGHT - _BOTTOM - 12 - 13 * (len(lines) - 1 - number)
        frame.parts.append(frame.path(xs, ys, style))
        frame.parts.append(_line(frame.x(0.5), y - 4, frame.x(0.56), y - 4, style))
        frame.parts.append(_text(frame.x(0.58), y, _short(name), "start", "tick"))
    return chart(title, told, frame.parts)


def reliability_curve(bins: Sequence[tuple[float, float, float]], told: str) -> Markup:
    """Draw (confidence, accuracy, share) of each bin; a larger dot holds more pictures."""
    frame = _Frame(1.0, "confidence", "accuracy")
    frame.parts.append(frame.path([0, 1], [0, 1], "diagonal"))
    frame.parts.append(frame.path([b[0] for b in bins], [b[1] for b in bins], "curve s0"))
    for confidence, accuracy, share in bins:
        frame.parts.append(marker(0, frame.x(confidence), frame.y(accuracy), 2.5 + 9 * share**0.5, "dot"))
    return chart("Reliability", told, frame.parts)


def coverage_curve(coverage: Sequence[float], risk: Sequence[float], told: str) -> Markup:
    """Draw the error rate among the most confident share of the pictures."""
    top = max(0.1, float(np.ceil(max(risk) * 10) / 10))
    frame = _Frame(top, "share of pictures answered", "error rate among them")
    frame.parts.append(frame.path(coverage, risk, "curve s0"))
    return chart("Coverage and risk", told, frame.parts)
