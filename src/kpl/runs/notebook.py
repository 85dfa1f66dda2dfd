"""How a result shows in a notebook: classes with counts, and a few of their surest pictures."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from kpl.errors import FeaturesError
from kpl.runs.predictions import read_predictions
from kpl.runs.thumbnails import read_thumbnails
from kpl.visible import visible_html

__all__ = ["Ranking", "ranking", "result_html"]

Ranking = Callable[[Path, list[str]], tuple[list[str], list[list[int]]]]
"""Reads a table of predictions: image names, and of each class its rows, the surest first."""

_A_CLASS = 6
_CLASSES = 60


def result_html(
    out: Path, counts: Mapping[str, int], title: str, notes: Sequence[str], read: Ranking, total: int | None = None
) -> str:
    """Return a table of the classes with their counts, shares and surest pictures.

    Args:
        out: the run folder; moved or without thumbnails, the table has no pictures.
        counts: class key to pictures.
        title: said above the table.
        notes: said below it.
        read: reads the table of predictions.
        total: pictures, of which the shares are; None for the sum of the counts.
    """
    pictures = _surest(out, list(counts), read)
    total = max(sum(counts.values()) if total is None else total, 1)
    rows = [
        f'<tr><th scope="row" style="text-align:left">{visible_html(key)}</th><td>{count}</td>'
        f"<td>{count / total:.1%}</td>"
        f'<td style="text-align:left">{pictures.get(key, "")}</td></tr>'
        for key, count in list(counts.items())[:_CLASSES]
    ]
    more = f"<p>{len(counts) - _CLASSES} more classes</p>" if len(counts) > _CLASSES else ""
    told = "".join(f"<p>Note: {visible_html(note)}</p>" for note in notes)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("class", "pictures", "share", "surest"))
    return (
        f"<table><caption>{visible_html(title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{more}{told}"
    )


def ranking(path: Path, keys: list[str]) -> tuple[list[str], list[list[int]]]:
    """Read `predictions.csv`: image names, and of each class its rows, the surest first.

    Raises:
        FeaturesError: it is missing or damaged.
    """
    said = read_predictions(path, keys)
    order = np.argsort(-said.sureness, kind="stable")
    return list(said.ids), [order[said.winners[order] == c].tolist() for c in range(len(keys))]


def _surest(out: Path, keys: list[str], read: Ranking) -> dict[str, str]:
    try:
        thumbnails = read_thumbnails(out)
        if not thumbnails:
            return {}
        ids, classes = read(out / "predictions.csv", keys)
    except FeaturesError:
        return {}
    shown = {}
    for key, rows in zip(keys, classes, strict=True):
        images = []
        for row in [row for row in rows if row in thumbnails][:_A_CLASS]:
            data = base64.b64encode(thumbnails[row]).decode("ascii")
            name = visible_html(ids[row])
            images.append(f'<img src="data:image/webp;base64,{data}" style="height:56px" alt="{name}" title="{name}">')
        shown[key] = "".join(images)
    return shown
