"""Every picture of a run: the first page as it stands, the others by a script that searches what the page holds."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any, cast

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from kpl.report.layout import Sprite
from kpl.runs import MultiLabelRun, Run, SingleLabelRun
from kpl.visible import visible

_PAGE = 60
_NO_LABEL, _OTHER = "no label", "none of these"


def gallery(run: Run, sprite: Sprite, truth: NDArray[np.int64] | None) -> dict[str, Any]:
    """Lay out every picture, the least sure first: name, classes, confidence, what the text alone says, and the label.

    Args:
        run: of either kind.
        sprite: gets the pictures of the first page; those of the others lie with the data, unless it has them.
        truth: what labels say, as `Scored.truth`; None without labels.

    Returns:
        `first`, the rows of the first page; `n`; `page`; `labelled`, how many have a label; and what the script needs:
        `data`, `code` and its `hash`.
    """
    names = [*run.class_names, _NO_LABEL, _OTHER]
    found, sureness = _single(run) if isinstance(run, SingleLabelRun) else _several(run)
    labels = [_label(run, row, truth) for row in range(run.n)]
    rows = [
        (visible(run.ids[row]), *found[row], sprite(row) if at < _PAGE else sprite.held(row), labels[row])
        for at, row in enumerate(np.argsort(sureness, kind="stable").tolist())
    ]
    code = (files("kpl.report") / "templates" / "gallery.js").read_text(encoding="utf-8")
    told = {"page": _PAGE, "names": [visible(name) for name in names], "rows": rows}
    return {
        "n": run.n,
        "page": _PAGE,
        "labelled": sum(label is not None for label in labels),
        "first": [
            {
                "id": image,
                "label": ", ".join(names[c] for c in classes),
                "confidence": confidence,
                "text": names[text] if text >= 0 else "",
                "picture": kept,
                "right": label and label[0],
                "truth": label and (", ".join(names[c] for c in label[1]) or _NO_LABEL),
            }
            for image, classes, confidence, text, kept, label in rows[:_PAGE]
        ],
        # ASCII alone, and no "<": nothing in it can end the element that holds it
        "data": Markup(json.dumps(told, separators=(",", ":")).replace("<", "\\u003c")),  # noqa: S704
        "code": Markup(code),  # noqa: S704 - our own
        "hash": base64.b64encode(hashlib.sha256(code.encode()).digest()).decode(),
    }


def _label(run: Run, row: int, truth: NDArray[np.int64] | None) -> tuple[bool, list[int]] | None:
    """Say whether a picture is right by its label, and which classes that names; None where it has none."""
    if truth is None or (truth[row] < 0).all():
        return None
    if isinstance(run, SingleLabelRun):
        own = int(truth[row])
        return own == int(run.predictions.winners[row]), [own]
    known, there = truth[row] >= 0, cast("MultiLabelRun", run).predictions.present[row]
    right = bool((there[known] == (truth[row][known] == 1)).all())
    return right, np.flatnonzero(truth[row] == 1).tolist()


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
