"""The contest's figures as tables: one a ground, and one with the worst case of each method."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

__all__ = ["doubt", "losses", "summary", "tables"]

Figures = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""ground to regime to method to figures."""
Table = tuple[list[str], list[list[str]]]
KINDS = ("accuracy", "balanced_accuracy")
FLOOR = "cupl"
RIVALS = ("transclip", "stata")


def tables(figures: Figures, told: dict[str, str]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Yield the title, header and rows of each ground's table, and of what is measured on some regimes only."""
    for ground, regimes in figures.items():
        methods = list(next(iter(regimes.values())))
        rows = [["majority", *(_majority(by) for by in regimes.values())]]
        rows += [[method, *(_cell(by, method) for by in regimes.values())] for method in methods]
        yield f"{ground}: {told[ground]}", ["method", *regimes], rows
        rows = [[method, *(_single(by[method], "ece") for by in regimes.values())] for method in methods]
        yield f"{ground}: expected calibration error", ["method", *regimes], rows
    open_set = [
        (g, r, by) for g, regimes in figures.items() for r, by in regimes.items() if _has(by, "unlisted_by_mcm")
    ]
    if open_set:
        header = ["images of unlisted classes: AUROC of", *(f"{ground} {regime}" for ground, regime, _ in open_set)]
        rows = [
            [f"{method}'s confidence", *(_single(by[method], "unlisted_by_confidence") for *_, by in open_set)]
            for method in open_set[0][2]
        ]
        rows += [
            [name, *(_single(by[FLOOR], key) if FLOOR in by else "" for *_, by in open_set)]
            for name, key in (("largest cosine of cupl", "unlisted_by_cosine"), ("MCM of cupl", "unlisted_by_mcm"))
        ]
        yield "None of these", header, rows
    wrong = [(g, by) for g, regimes in figures.items() for by in regimes.values() if _has(by, "planted_auroc")]
    if wrong and "kpl" in wrong[0][1]:
        header = ["sentences", *(ground for ground, _ in wrong)]
        named = (
            ("AUROC of the ranking", "planted_auroc"),
            ("planted: said to be contradicted", "planted_contradicted"),
            ("the others: said to be contradicted", "genuine_contradicted"),
        )
        rows = [[title, *(_single(by["kpl"], key) for _, by in wrong)] for title, key in named]
        clean = [
            [by["kpl"] for by in figures[ground].values() if "planted_auroc" not in by["kpl"]] for ground, _ in wrong
        ]
        rows.append(
            ["none planted: said to be contradicted", *(_average(each, "genuine_contradicted") for each in clean)]
        )
        yield "Wrong sentences found by `kpl`, four in ten planted", header, rows


def doubt(figures: Figures, method: str = "kpl") -> str:
    """Say how well a doubt without labels tells the regimes where a method falls over a point below the floor.

    The doubt is how much less two halves of the descriptions agree once the method has learnt from each alone than
    they do by themselves. The figure is an AUROC over (ground, regime) means.
    """
    fallen: list[float] = []
    kept: list[float] = []
    for regimes in figures.values():
        for by in regimes.values():
            if _ran(by, method) and _ran(by, FLOOR) and "half_agreement" in by[method]:
                behind = max(by[FLOOR][kind]["value"] - by[method][kind]["value"] for kind in KINDS)
                less = by[method]["half_text_agreement"] - by[method]["half_agreement"]
                (fallen if behind > 0.01 else kept).append(less)
    if not (fallen and kept):
        return "Not measured: the doubt of no regime, or none that tells fallen from kept.\n"
    won = sum((a > b) + 0.5 * (a == b) for a in fallen for b in kept) / (len(fallen) * len(kept))
    return (
        f"Of {len(fallen) + len(kept)} regimes `{method}` is in {len(fallen)} more than a point below `{FLOOR}`; the "
        "doubt without labels (how much less two halves of the descriptions agree once each has learnt than before) "
        f"ranks these before the others with AUROC {won:.2f}, from {min(fallen):+.2f} to {max(fallen):+.2f} against "
        f"{min(kept):+.2f} to {max(kept):+.2f}.\n"
    )


def summary(figures: Figures) -> Table:
    """Return the header and rows of the table of worst cases.

    Means are over regimes, then grounds, where averaged descriptions, TransCLIP and StatA all run; a method that does
    not run in one of them has none. Differences in points are over all (ground, regime) means where both ran.
    """
    methods = list(dict.fromkeys(m for regimes in figures.values() for by in regimes.values() for m in by))
    header = ["method", "mean", "balanced", f"worst to {FLOOR}", "balanced", "worst to TransCLIP and StatA", "balanced"]
    header += ["worst to the best", "balanced", "ECE", "worst ECE", "left out of"]
    rows = []
    for method in methods:
        means = [_mean(figures, method, kind) for kind in KINDS]
        cells = [method, *("—" if math.isnan(mean) else f"{100 * mean:.1f}" for mean in means)]
        for others in ((FLOOR,), RIVALS, tuple(m for m in methods if m != method)):
            cells += [_worst(figures, method, kind, tuple(o for o in others if o != method)) for kind in KINDS]
        eces = [
            (by[method]["ece"], f"{g} {r}")
            for g, regimes in figures.items()
            for r, by in regimes.items()
            if _ran(by, method)
        ]
        absent = sum(not _ran(by, method) for regimes in figures.values() for by in regimes.values())
        most = max(eces, default=(float("nan"), ""))
        average = sum(e for e, _ in eces) / len(eces) if eces else float("nan")
        rows.append([*cells, f"{average:.2f}", f"{most[0]:.2f} {most[1]}", str(absent or "")])
    return header, rows


def losses(figures: Figures, method: str = "kpl") -> Table:
    """Return every (ground, regime) where a method is over a point below the floor or the two rivals, worst first."""
    header = ["ground", "regime", f"`{method}`", f"`{FLOOR}`", *(f"`{name}`" for name in RIVALS), "points behind"]
    found = []
    for ground, regimes in figures.items():
        for regime, by in regimes.items():
            others = [name for name in (FLOOR, *RIVALS) if _ran(by, name)]
            if not _ran(by, method) or not others:
                continue
            behind = max(by[name][kind]["value"] - by[method][kind]["value"] for name in others for kind in KINDS)
            if behind > 0.01:
                cells = [_plain(by, name) for name in (method, FLOOR, *RIVALS)]
                found.append((behind, [ground, regime, *cells, f"{100 * behind:.1f}"]))
    return header, [row for _, row in sorted(found, key=lambda each: -each[0])]


def _plain(by: dict[str, dict[str, Any]], method: str) -> str:
    if not _ran(by, method):
        return "—"
    plain, balanced = (100 * by[method][kind]["value"] for kind in KINDS)
    return f"{plain:.1f} ({balanced:.1f})"


def _ran(by: dict[str, dict[str, Any]], method: str) -> bool:
    return method in by and "left_out" not in by[method]


def _has(by: dict[str, dict[str, Any]], key: str) -> bool:
    return any(key in found for found in by.values())


def _mean(figures: Figures, method: str, kind: str) -> float:
    """Mean over regimes, then grounds, where the floor and its rivals all ran; NaN where the method did not."""
    grounds = []
    for regimes in figures.values():
        common = [by for by in regimes.values() if all(_ran(by, name) for name in (FLOOR, *RIVALS))]
        if not all(_ran(by, method) for by in common):
            return float("nan")
        if common:
            grounds.append(sum(by[method][kind]["value"] for by in common) / len(common))
    return sum(grounds) / len(grounds) if grounds else float("nan")


def _worst(figures: Figures, method: str, kind: str, others: tuple[str, ...]) -> str:
    apart = []
    for ground, regimes in figures.items():
        for regime, by in regimes.items():
            best = [by[other][kind]["value"] for other in others if _ran(by, other)]
            if _ran(by, method) and best:
                apart.append((by[method][kind]["value"] - max(best), f"{ground} {regime}"))
    if not apart:
        return ""
    least, where = min(apart)
    return f"{100 * least + 0.0:+.1f} {where}"


def _majority(by: dict[str, dict[str, Any]]) -> str:
    found = next((f for f in by.values() if "left_out" not in f), None)
    return f"{100 * found['majority']:.1f} ({100 * found['majority_balanced']:.1f})" if found else ""


def _cell(by: dict[str, dict[str, Any]], method: str) -> str:
    if not _ran(by, method):
        return "—"
    most = {kind: max(f[kind]["value"] for f in by.values() if "left_out" not in f) for kind in KINDS}
    parts = []
    for kind in KINDS:
        figure = by[method][kind]
        low, high = figure["interval"]
        text = f"{100 * figure['value']:.1f}"
        bold = f"**{text}**" if text == f"{100 * most[kind]:.1f}" else text
        parts.append(f"{bold} ±{50 * (high - low):.1f}")
    return f"{parts[0]} ({parts[1]})"


def _average(found: list[dict[str, Any]], key: str) -> str:
    measured = [each[key] for each in found if key in each]
    return f"{sum(measured) / len(measured):.2f}" if measured else "—"


def _single(found: dict[str, Any], key: str) -> str:
    return f"{found[key]:.2f}" if key in found else "—"
