"""A knowledge file read for lint: what `load_knowledge` would refuse one by one is kept, to be reported together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from kpl.knowledge.reading import find_source, validate_document
from kpl.knowledge.schema import Description, KnowledgeBase
from kpl.knowledge.shapes import find_faults, to_document

_WHOLE = re.compile(r"^\W*[^\W\d_a-z].*[.!?]\W*$", re.DOTALL)


@dataclass(frozen=True)
class Row:
    """One sentence as it stands in the file; `fault` when it cannot be part of a knowledge base."""

    class_number: int
    position: int
    raw: str
    line: int | None
    fault: str | None
    facts: Description | None
    """What the schema made of it; None with a fault, and for an absent sentence."""
    kind: Literal["description", "absent"] = "description"

    @cached_property
    def text(self) -> str:
        """The sentence with its white space collapsed."""
        return " ".join(self.raw.split())

    @cached_property
    def lowered(self) -> str:
        """The sentence in lower case."""
        return self.text.lower()


@dataclass(frozen=True)
class Sheet:
    """A file for lint: the knowledge without its faulty rows, and every row of every class.

    `rows` are the descriptions, `absent` the sentences on what is seen when a class is not there.
    """

    name: str
    knowledge: KnowledgeBase
    rows: Sequence[Row]
    absent: Sequence[Row]
    line_of_class: Sequence[int | None]
    own_format: bool
    patterns: dict[int, re.Pattern[str]] = field(default_factory=dict, compare=False)
    """The names of each class as one pattern, made when first asked for."""
    masked: dict[tuple[int, str], str] = field(default_factory=dict, compare=False)
    """Sentences without those names, by class and wording, made when first asked for."""

    @cached_property
    def sound(self) -> list[Row]:
        """Descriptions without a fault."""
        return [row for row in self.rows if row.fault is None]

    @cached_property
    def whole_sentences(self) -> bool:
        """Whether most descriptions are sentences with a capital and a stop, rather than phrases for a template."""
        return 2 * sum(bool(_WHOLE.match(row.text)) for row in self.sound) > len(self.sound)


def read_sheet(name_or_path: str | Path) -> Sheet:
    """Read a file or a pack for lint.

    Raises:
        UnknownNameError: neither a file nor a pack.
        KnowledgeError: something other than an empty or repeated description is wrong, which lint cannot look past.
    """
    source = find_source(name_or_path)
    document, line_of = to_document(source)
    faults = find_faults(document)
    tidy, kept_rows = [], {}
    for number, entry in enumerate(document["classes"] if isinstance(document.get("classes"), list) else []):
        reasons = faults.get(number)
        if reasons is not None:
            kept_rows[number] = [i for i, reason in enumerate(reasons) if reason in (None, "refused")]
            entries = [entry["descriptions"][i] for i in kept_rows[number]]
            absent = entry.get("absent")
            paired = isinstance(absent, list) and len(absent) == len(reasons)
            entry = {**entry, "descriptions": entries}
            if paired:
                entry["absent"] = [absent[i] for i in kept_rows[number]]
        tidy.append(entry)

    def original_line(place: tuple[str | int, ...]) -> int | None:
        if len(place) > 3 and place[2] in ("descriptions", "absent") and isinstance(place[1], int):
            place = (*place[:3], kept_rows[place[1]][int(place[3])], *place[4:])
        return line_of(place)

    judged = {**document, "classes": tidy} if tidy else document
    knowledge = validate_document(source.name, judged, original_line, unfinished=True)
    rows = []
    for number, entry in enumerate(document["classes"]):
        reasons, kept = faults.get(number) or [], kept_rows.get(number, [])
        facts = dict(zip(kept, knowledge.classes[number].descriptions, strict=True))
        for position, raw in enumerate(entry.get("descriptions") or []):
            text = raw.get("text") if isinstance(raw, dict) else raw
            fault = reasons[position] if reasons[position] != "refused" else None
            line = line_of(("classes", number, "descriptions", position))
            rows.append(Row(number, position, str(text or ""), line, fault, facts.get(position)))
    absent = [
        Row(number, position, text, line_of(("classes", number, "absent", position)), None, None, "absent")
        for number, entry in enumerate(document["classes"])
        for position, text in enumerate(entry.get("absent") or [])
    ]
    lines = [line_of(("classes", number)) for number in range(len(knowledge.classes))]
    return Sheet(source.name, knowledge, rows, absent, lines, "kpl_knowledge" in source.data)
