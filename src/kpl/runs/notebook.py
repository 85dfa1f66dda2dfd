"""How a result shows in a notebook: classes with counts, and a few of their surest pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np

from kpl.errors import FeaturesError
from kpl.runs.predictions import read_predictions
from kpl.runs.thumbnails import read_thumbnails

__all__ = ["result_html"]

_A_CLASS = 6
_CLASSES = 60


def result_html(out: Path, counts: Mapping[str, int], title: str, notes: tuple[str, ...]) -> str:
    """Return a table of the classes with their counts, shares and surest pictures.

    Args:
        out: the run folder; moved or without thumbnails, the table has no pictures.
        counts: class key to pictures.
        title: said above the table.
        notes: said below it.
    """
    pictures = _surest(out, list(counts))
    total = max(sum(counts.values()), 1)
    rows = [
        f'<tr><th scope="row" style="text-align:left">{escape(key)}</th><td>{count}</td><td>{count / total:.1%}</td>'
        f'<td style="text-align:left">{pictures.get(key, "")}</td></tr>'
        for key, count in list(counts.items())[:_CLASSES]
    ]
    more = f"<p>{len(counts) - _CLASSES} more classes</p>" if len(counts) > _CLASSES else ""
    told = "".join(f"<p>Note: {escape(note)}</p>" for note in notes)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("class", "pictures", "share", "surest"))
    return (
        f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{more}{told}"
    )


def _surest(out: Path, keys: list[str]) -> dict[str, str]:
    try:
        thumbnails = read_thumbnails(out)
        if not thumbnails:
            return {}
        ids, winners, probabilities = read_predictions(out / "predictions.csv", keys)
    except FeaturesError:
        return {}
    confidence = probabilities[np.arange(len(ids)), winners]
    shown: dict[str, list[str]] = {}
    for row in np.argsort(-confidence, kind="stable").tolist():
        own = shown.setdefault(keys[winners[row]], [])
        if len(own) < _A_CLASS and row in thumbnails:
            data = base64.b64encode(thumbnails[row]).decode("ascii")
            name = escape(ids[row])
            own.append(f'<img src="data:image/webp;base64,{data}" height="56" alt="{name}" title="{name}">')
    return {key: "".join(images) for key, images in shown.items()}
