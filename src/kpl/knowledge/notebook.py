"""How a knowledge base shows in a notebook: its classes, each with how many descriptions and the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kpl.visible import visible_html

if TYPE_CHECKING:
    from kpl.knowledge.schema import KnowledgeBase

_CLASSES = 60
_SAID = 2


def knowledge_html(base: KnowledgeBase) -> str:
    """Return a table of the classes of a knowledge base."""
    count = sum(len(entry.descriptions) for entry in base.classes)
    reviewed = sum(
        bool(each.provenance and each.provenance.reviewed_by) for entry in base.classes for each in entry.descriptions
    )
    kind = f" of {base.task.modality} pictures" if base.task.modality else ""
    title = f"{base.task.name}: {len(base.classes)} classes{kind}, {count} descriptions, {reviewed} of them reviewed"
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{visible_html(entry.name)}</th><td>{len(entry.descriptions)}</td>'
        '<td style="text-align:left">'
        + visible_html("; ".join(each.text for each in entry.descriptions[:_SAID]))
        + ("; ..." if len(entry.descriptions) > _SAID else "")
        + "</td></tr>"
        for entry in base.classes[:_CLASSES]
    )
    more = f"<p>{len(base.classes) - _CLASSES} more classes</p>" if len(base.classes) > _CLASSES else ""
    head = "".join(f'<th scope="col">{each}</th>' for each in ("class", "descriptions", "what is seen"))
    return (
        f"<table><caption>{visible_html(title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"{more}"
    )
