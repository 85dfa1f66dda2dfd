"""How a run shows in a notebook: classes with counts, and a few of their surest pictures."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from kpl.errors import FeaturesError
from kpl.visible import visible_html

if TYPE_CHECKING:
    from kpl.runs.run import Run

_A_CLASS = 6
_CLASSES = 60


def result_html(run: Run) -> str:
    """Return a table of the classes of a run with their counts, shares and surest pictures.

    Of a run whose folder is gone, or that kept no thumbnails, the table has no pictures.
    """
    pictures, counts, total = _surest(run), run.counts, max(run.n, 1)
    rows = [
        f'<tr><th scope="row" style="text-align:left">{visible_html(key)}</th><td>{count}</td>'
        f"<td>{count / total:.1%}</td>"
        f'<td style="text-align:left">{pictures.get(key, "")}</td></tr>'
        for key, count in list(counts.items())[:_CLASSES]
    ]
    more = f"<p>{len(counts) - _CLASSES} more classes</p>" if len(counts) > _CLASSES else ""
    told = "".join(f"<p>Note: {visible_html(note)}</p>" for note in run.notes)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("class", "pictures", "share", "surest"))
    return (
        f"<table><caption>{visible_html(run.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{more}{told}"
    )


def _surest(run: Run) -> dict[str, str]:
    try:
        thumbnails = run.thumbnails
        if not thumbnails:
            return {}
        classes = run.ranking()
    except FeaturesError:
        return {}
    shown = {}
    for key, rows in zip(run.keys, classes, strict=True):
        images = []
        for row in [row for row in rows if row in thumbnails][:_A_CLASS]:
            data = base64.b64encode(thumbnails[row]).decode("ascii")
            name = visible_html(run.ids[row])
            images.append(f'<img src="data:image/webp;base64,{data}" style="height:56px" alt="{name}" title="{name}">')
        shown[key] = "".join(images)
    return shown
