"""Every picture of a run: the first page as it stands, the others by a script that searches what the page holds."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

import numpy as np
from markupsafe import Markup

from kpl.report.layout import Sprite
from kpl.runs import Run, SingleLabelRun
from kpl.visible import visible

__all__ = ["gallery"]

_PAGE = 60
_NO_LABEL, _OTHER = "no label", "none of these"


def gallery(run: Run, sprite: Sprite) -> dict[str, Any]:
    """Lay out every picture, the least sure first: name, classes, confidence, and what the text alone says.

    Args:
        run: of either kind.
        sprite: gets the pictures that the run kept.

    Returns:
        `first`, the rows of the first page; `n`; `page`; and what the script needs: `data`, `code` and its `hash`.
    """
    names = [*run.class_names, _NO_LABEL, _OTHER]
    found, sureness = _single(run) if isinstance(run, SingleLabelRun) else _several(run)
    rows = [
        (visible(run.ids[row]), *found[row], sprite(row) or "") for row in np.argsort(sureness, kind="stable").tolist()
    ]
    code = (files("kpl.report") / "templates" / "gallery.js").read_text(encoding="utf-8")
    told = {"page": _PAGE, "names": [visible(name) for name in names], "rows": rows}
    return {
        "n": run.n,
        "page": _PAGE,
        "first": [
            {
                "id": image,
                "label": ", ".join(names[c] for c in classes),
                "confidence": confidence,
                "text": names[text] if text >= 0 else "",
                "picture": kept or None,
            }
            for image, classes, confidence, text, kept in rows[:_PAGE]
        ],
        # ASCII alone, and no "<": nothing in it can end the element that holds it
        "data": Markup(json.dumps(told, separators=(",", ":")).replace("<", "\\u003c")),  # noqa: S704
        "code": Markup(code),  # noqa: S704 - our own
        "hash": base64.b64encode(hashlib.sha256(code.encode()).digest()).decode(),
    }


Row = tuple[list[int], float, int]
"""Places of its classes among the names, the confidence, and the place of what the text alone says where it differs."""


def _single(run: SingleLabelRun) -> tuple[list[Row], Any]:
    said, text = run.predictions, run.text.winners
    rows: list[Row] = []
    for row, (winner, alone) in enumerate(zip(said.winners.tolist(), text.tolist(), strict=True)):
        own = winner
        if said.unlike is not None and said.unlike[row] >= 1:
            own = len(run.keys) + 1
        elif not said.answered[row]:
            own = len(run.keys)
        rows.append(([own], round(float(said.confidence[row]), 4), alone if alone != winner else -1))
    return rows, said.sureness


def _several(run: Any) -> tuple[list[Row], Any]:  # noqa: ANN401 - the other kind of run
    said = run.predictions
    rows: list[Row] = []
    for there, chances in zip(said.present, said.probabilities, strict=True):
        classes = np.flatnonzero(there).tolist()
        rows.append((classes or [len(run.keys)], round(float(chances.max()), 4), -1))
    return rows, np.abs(said.probabilities - run.thresholds).min(axis=1)
