"""From the shapes in which knowledge files circulate to the one shape that the schema validates."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from kpl.errors import KnowledgeError
from kpl.knowledge.folding import fold_sentence
from kpl.knowledge.places import Place, Source

_VERSION = "kpl_knowledge"
SCHEMA_KEY = "$schema"
"""By which JSON files name their schema to an editor."""
_ITEM_KEYS = ("id", "feature")

REFUSAL = re.compile(
    r"\b(as an? (ai|language model)|i am an? (ai|language model)|(i'm|i am) sorry|^sorry|unfortunately, i\b|"
    r"i (cannot|can't|am (not able|unable)) (accurately |physically )?(to )?"
    r"(provide|describe|generate|see|answer|perform|access|assist)|"
    r"i (do not|don't) have (access|enough|personal|information|the (ability|capability|capacity))|"
    r"it is (difficult|impossible|not possible|hard) (for me )?to (accurately )?(describe|provide|determine))",
    re.IGNORECASE,
)
"""How a language model says that it wrote no description."""

BULLET = re.compile(r"^\s*([-*•·●]|\d{1,2}[.)])\s+(?=\w)")
"""What a list puts in front of a sentence."""


@dataclass(frozen=True)
class Tidied:
    """How many entries were dropped from a file, by reason, and from how many a bullet or number was taken off."""

    empty: int = 0
    repeated: int = 0
    refused: int = 0
    bullets: int = 0

    def __str__(self) -> str:
        """Say it in words.

        Example:
            >>> str(Tidied(empty=2, repeated=1))
            'dropped 3 entries: 2 empty, 1 repeated, 0 refusals of a language model'
        """
        total = self.empty + self.repeated + self.refused
        return (
            f"dropped {total} entries: {self.empty} empty, {self.repeated} repeated, "
            f"{self.refused} refusals of a language model"
            f"{f'; took the bullet or number off {self.bullets}' if self.bullets else ''}"
        )


def to_document(source: Source) -> tuple[dict[str, Any], Callable[[Place], int | None]]:
    """Return the data in KPL's own shape, and the function that finds the line of a place in it.

    Two plain shapes are taken besides: `{class: [sentence, ...]}` and `{class: [{id, feature}, ...]}`. There the file's
    stem becomes the title, the key with spaces the name, and the modality stays unknown.

    Raises:
        KnowledgeError: neither shape.
    """
    data = source.data
    if not isinstance(data, dict) or not data:
        seen = "nothing" if data is None or data == {} else f"a {type(data).__name__}"
        raise KnowledgeError(
            f"{source.name}: holds {seen} at the top: write '{_VERSION}: 2', task: and classes:, or bring another "
            "format in with 'kpl knowledge import'"
        )
    if _VERSION in data:
        return {key: value for key, value in data.items() if key != SCHEMA_KEY}, source.line_of
    refuse_unversioned(source)
    keys = list(data)

    def line_of(place: Place) -> int | None:
        if len(place) < 2 or not isinstance(place[1], int):
            return None
        return source.line_of((keys[place[1]], *place[3:4]))

    classes = [{"key": key, "descriptions": _sentences(source, key)} for key in keys]
    return {_VERSION: 2, "task": {"name": title_of(source.name)}, "classes": classes}, line_of


def drop_faults(
    document: dict[str, Any], line_of: Callable[[Place], int | None]
) -> tuple[dict[str, Any], Callable[[Place], int | None], Tidied]:
    """Drop the entries of each class that say nothing: empty ones, repeats, and refusals of a language model.

    Bullets and numbers in front are taken off. Nothing else is rewritten, and an entry that is wrong in another way
    stays, for the schema to complain about.
    """
    classes = document.get("classes")
    if not isinstance(classes, list):
        return document, line_of, Tidied()
    document, bullets = without_bullets(document)
    classes = document["classes"]
    counts = {"empty": 0, "repeated": 0, "refused": 0, "bullets": bullets}
    kept: dict[int, list[int]] = {}
    tidy = list(classes)
    for number, reasons in find_faults(document).items():
        for reason in filter(None, reasons):
            counts[reason] += 1
        kept[number] = [i for i, reason in enumerate(reasons) if reason is None]
        absent = tidy[number].get("absent")
        paired = isinstance(absent, list) and len(absent) == len(reasons) > 1
        tidy[number] = {
            **tidy[number],
            "descriptions": [tidy[number]["descriptions"][i] for i in kept[number]],
            **({"absent": [absent[i] for i in kept[number]]} if paired else {}),
        }

    def original_line(place: Place) -> int | None:
        if len(place) > 3 and place[2] == "descriptions" and isinstance(place[1], int) and isinstance(place[3], int):
            place = (*place[:3], kept[place[1]][place[3]], *place[4:])
        return line_of(place)

    return {**document, "classes": tidy}, original_line, Tidied(**counts)


def without_bullets(document: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Take the bullet or number off each description; tell how many had one."""
    count = 0

    def bare(entry: Any) -> Any:  # noqa: ANN401 - raw input of any type
        nonlocal count
        text = entry.get("text") if isinstance(entry, dict) else entry
        if not isinstance(text, str) or not BULLET.match(text):
            return entry
        count += 1
        text = BULLET.sub("", text)
        return {**entry, "text": text} if isinstance(entry, dict) else text

    classes = [
        {**entry, "descriptions": [bare(each) for each in entry["descriptions"]]}
        if isinstance(entry, dict) and isinstance(entry.get("descriptions"), list)
        else entry
        for entry in document["classes"]
    ]
    return {**document, "classes": classes}, count


def find_faults(document: dict[str, Any]) -> dict[int, list[str | None]]:
    """Name, for every class with a list of descriptions, the reason to drop each entry, or None for none."""
    classes = document.get("classes")
    lists = {
        number: entry["descriptions"]
        for number, entry in enumerate(classes if isinstance(classes, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("descriptions"), list)
    }
    return {number: _faults(entries) for number, entries in lists.items()}


def _faults(entries: list[Any]) -> list[str | None]:
    """Name, for every entry, the reason to drop it, or None."""
    seen: set[str] = set()
    reasons: list[str | None] = []
    for entry in entries:
        text = entry.get("text") if isinstance(entry, dict) else entry
        reason = None
        if text is None or (isinstance(text, str) and not any(character.isalpha() for character in text)):
            reason = "empty"
        elif isinstance(text, str) and fold_sentence(text) in seen:
            reason = "repeated"
        elif isinstance(text, str) and REFUSAL.search(text):
            reason = "refused"
        if isinstance(text, str):
            seen.add(fold_sentence(text))
        reasons.append(reason)
    return reasons


def refuse_unversioned(source: Source) -> None:
    """Tell KPL's own shape with a slip in the version key from a plain file."""
    near = [key for key in source.data if isinstance(key, str) and not isinstance(source.data[key], list)]
    typo = difflib.get_close_matches(_VERSION, near, n=1, cutoff=0.7)
    if typo:
        where = f", line {line}" if (line := source.line_of((typo[0],))) else ""
        raise KnowledgeError(f"{source.name}{where}: unknown key {typo[0]!r}: did you mean {_VERSION!r}?")
    if isinstance(source.data.get("task"), dict) or "classes" in source.data:
        raise KnowledgeError(f"{source.name}: the version is missing: begin the file with '{_VERSION}: 2'")


def _sentences(source: Source, key: str) -> list[Any]:
    """Take the sentences of one class of a plain file."""

    def error(problem: str, *place: int) -> KnowledgeError:
        where = f", line {line}" if (line := source.line_of((key, *place))) else ""
        number = f", description {place[0] + 1}" if place else ""
        return KnowledgeError(f"{source.name}{where}, class {key!r}{number}: {problem}")

    entries = source.data[key]
    if not isinstance(entries, list):
        raise error(
            f"must be a list of sentences, got {entries!r:.60}: write one, or bring another format in with "
            "'kpl knowledge import'"
        )
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            continue
        unknown = [name for name in entry if name not in _ITEM_KEYS]
        if unknown:
            raise error(f"unknown key {unknown[0]!r}: a plain file takes 'id' and 'feature'", number)
        if "feature" not in entry:
            raise error("the sentence is missing: write it under 'feature'", number)
    return [entry["feature"] if isinstance(entry, dict) else entry for entry in entries]


def title_of(name: str) -> str:
    """Make a title of a file name."""
    stem = PurePath(name).stem.replace("_", " ")
    return stem if any(character.isalnum() for character in stem) else "knowledge"
