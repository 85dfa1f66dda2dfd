"""Bringing in knowledge from the formats in which it circulates. Each is known by certain signs; a guess is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpl.errors import KnowledgeError
from kpl.knowledge.folding import fold_sentence
from kpl.knowledge.gathering import Gathering
from kpl.knowledge.packs import pack_names
from kpl.knowledge.places import Place, Source
from kpl.knowledge.reading import find_source, validate_document
from kpl.knowledge.schema import KnowledgeBase
from kpl.knowledge.shapes import Tidied, drop_faults, refuse_unversioned, title_of, to_document
from kpl.knowledge.tables import LINES, TABLES, read_folder, read_lines, read_table

_PRESENT = ("positive", "present", "pos")
_ABSENT = ("negative", "absent", "neg")
_NUMBERED = re.compile(r"(?:[^\W\d]+[\W_]*)?\d+")
_OTHER_FILES: dict[str, Callable[[Path], tuple[Gathering, str]]] = {
    **dict.fromkeys(TABLES, read_table),
    **dict.fromkeys(LINES, read_lines),
}
WHOLE_PROMPTS = 0.8
"""Share of sentences that name their class from which a file is said to hold whole prompts."""


@dataclass(frozen=True)
class Imported:
    """What was brought in, and everything that a person should know of how it was read."""

    knowledge: KnowledgeBase
    read_as: str
    remarks: tuple[str, ...] = ()
    dropped: Tidied | None = None
    own_format: bool = False


@dataclass
class _Found:
    """A file as a document in KPL's own shape, not yet judged."""

    document: dict[str, Any]
    line_of: Callable[[Place], int | None]
    read_as: str
    remarks: list[str] = field(default_factory=list)
    own_format: bool = False


def import_knowledge(name_or_path: str | Path, *, tidy: bool = False) -> Imported:
    """Read a knowledge base, or a file or folder in another format, and say what it was taken for.

    Besides KPL's own format, as JSON or YAML: `{class: [sentence]}`, `{class: [{feature}]}`, `{class: sentence}`,
    `{class: {attribute: sentence or sentences}}`, `{class: {positive: ..., negative: ...}}`, and records that hold a
    class and a sentence or several. Records also as a table (.csv, .tsv) or one a line (.jsonl), and a folder of
    CLASS.txt with one sentence a line. With `tidy` entries that say nothing are dropped, as by `load_tidied`.

    Raises:
        UnknownNameError: neither a file nor a pack.
        KnowledgeError: names the file, the line, the class and the mend.

    Example:
        >>> import_knowledge("blood-cells").read_as
        "KPL's own format, version 1"
    """
    path = Path(name_or_path)
    if str(name_or_path) in pack_names() or not path.exists():
        found = _from_source(find_source(name_or_path))
    elif path.is_dir():
        found = _gathered(*read_folder(path))
    elif reader := _OTHER_FILES.get(path.suffix.lower()):
        found = _gathered(*reader(path))
    else:
        found = _from_source(find_source(path))
    document, line_of, dropped = found.document, found.line_of, None
    if tidy:
        document, line_of, dropped = drop_faults(document, line_of)
    knowledge = validate_document(str(name_or_path), document, line_of)
    return Imported(knowledge, found.read_as, tuple(found.remarks), dropped, found.own_format)


def remark_on_prompts(knowledge: KnowledgeBase) -> str | None:
    """Say so where most sentences name their class, and the template would name it once more."""
    named = [
        fold_sentence(entry.name) in fold_sentence(each.text)
        for entry in knowledge.classes
        for each in entry.descriptions
    ]
    if not named or sum(named) < WHOLE_PROMPTS * len(named) or "{class}" not in knowledge.task.template:
        return None
    mend = "import with --template '{description}' where they are whole prompts"
    return f"{sum(named)} of {len(named)} sentences name their class, and the template names it once more: {mend}"


def _from_source(source: Source) -> _Found:
    """Tell the formats of JSON and YAML apart."""
    data = source.data
    if isinstance(data, dict) and "kpl_knowledge" in data:
        version = f"KPL's own format, version {data['kpl_knowledge']!r:.20}"
        return _Found(*to_document(source), version, own_format=True)
    if isinstance(data, list) and data:
        return _gathered(*_records(source))
    if not isinstance(data, dict) or not data:
        return _Found(*to_document(source), "")  # which says what is wrong
    refuse_unversioned(source)
    shapes = {key: _shape(value) for key, value in data.items()}
    (first, shape), *others = shapes.items()
    odd = next((key for key, other in others if other != shape), first if not shape else None)
    if odd is not None:
        raise _error(source, (odd,), f"holds {_shown(data[odd])}, which goes with no known format or not with the rest")
    found = Gathering(source.name)
    for key in data:
        found.begin(key, source.line_of((key,)))
    return _gathered(found, *_SHAPES[shape](source, found))


def _gathered(found: Gathering, read_as: str, *remarks: str) -> _Found:
    names = list(found.not_taken)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    lost = [f"not taken, for knowledge has no place for it: {', '.join(names[:5])}{more}"] if names else []
    return _Found(found.document(title_of(found.name)), found.line_of, read_as, [*remarks, *lost])


def _shape(value: object) -> str:
    """Name what one class holds; empty for what no format has."""
    match value:
        case list():
            return "lists"
        case str():
            return "texts"
        case dict() if value and all(key.lower() in (*_PRESENT, *_ABSENT) for key in value):
            return "pairs"
        case dict() if value:
            return "attributes"
        case _:
            return ""


def _lists(source: Source, found: Gathering) -> Iterator[str]:
    fields: dict[str, None] = {}
    for key, entries in source.data.items():
        for number, entry in enumerate(entries):
            line = source.line_of((key, number))
            if isinstance(entry, dict):
                fields[found.add_texts(key, entry, line, f"class {key!r:.80}, description {number + 1}")] = None
            else:
                found.add(key, entry, line, "descriptions")
    yield f"mappings by class, sentence in {', '.join(map(repr, fields))}" if fields else "lists of sentences by class"


def _texts(source: Source, found: Gathering) -> Iterator[str]:
    for key, text in source.data.items():
        if "\n" in text.strip() or ";" in text:
            mend = "write a list of sentences"
            raise _error(source, (key,), f"a text with line ends or semicolons may be one sentence or several: {mend}")
        found.add(key, text, source.line_of((key,)), "descriptions")
    yield "one sentence a class"


def _pairs(source: Source, found: Gathering) -> Iterator[str]:
    for key, sides in source.data.items():
        folded = [name.lower() in _PRESENT for name in sides]
        if folded.count(True) != 1 or folded.count(False) > 1:
            mend = "name one for what is seen when it is there, and at most one for when it is not"
            raise _error(source, (key,), f"holds {', '.join(sides)}: {mend}")
        for side, value in sides.items():
            present = side.lower() in _PRESENT
            for text, place in _sentences(source, (key, side), value):
                found.add(key, text, source.line_of(place), "descriptions" if present else "absent")
    yield "sentences on what is seen when each class is there, and when it is not"


def _attributes(source: Source, found: Gathering) -> Iterator[str]:
    joined: list[str] = []
    for key, attributes in source.data.items():
        for attribute, value in attributes.items():
            name = attribute.replace("_", " ").strip()
            for text, place in _sentences(source, (key, attribute), value):
                alone = isinstance(text, str) and 0 < len(text.split()) < 3 and not _NUMBERED.fullmatch(name)
                if alone and name.lower() not in text.lower():
                    joined.append(f"{text!r} of {attribute!r} became {f'{text} {name}'!r}")
                    text = f"{text} {name}"
                found.add(key, text, source.line_of(place), "descriptions")
    yield "sentences by class and attribute"
    if joined:
        yield f"words alone stand before their attribute: {joined[0]}" + (
            f", and {len(joined) - 1} more" if len(joined) > 1 else ""
        )


def _sentences(source: Source, place: Place, value: object) -> Iterator[tuple[Any, Place]]:
    """Give one sentence, or those of a list, each with its place."""
    if isinstance(value, dict):
        raise _error(source, place, f"{place[-1]!r:.80} holds a mapping: it must be a sentence or a list of sentences")
    if isinstance(value, list):
        yield from ((entry, (*place, number)) for number, entry in enumerate(value))
    else:
        yield value, place


_SHAPES: dict[str, Callable[[Source, Gathering], Iterator[str]]] = {
    "lists": _lists,
    "texts": _texts,
    "pairs": _pairs,
    "attributes": _attributes,
}


def _records(source: Source) -> tuple[Gathering, str]:
    found = Gathering(source.name)
    fields = ("", "")
    for number, record in enumerate(source.data):
        line, where = source.line_of((number,)), f"entry {number + 1}"
        if not isinstance(record, dict):
            mend = "give each a class and a sentence, or write {class: [sentences]}"
            raise found.error(line, where, f"holds {_shown(record)}, which names no class: {mend}")
        fields = found.add_record(record, line, where)
    return found, f"a list of records, class in {fields[0]!r}, sentence in {fields[1]!r}"


def _error(source: Source, place: Place, problem: str) -> KnowledgeError:
    where = f", line {line}" if (line := source.line_of(place)) else ""
    return KnowledgeError(f"{source.name}{where}, class {place[0]!r:.80}: {problem}")


def _shown(value: object) -> str:
    kinds = {dict: "a mapping", list: "a list", str: "a text"}
    kind = next((name for kind, name in kinds.items() if isinstance(value, kind)), "no text")
    return f"{kind} ({value!r:.40})" if value else "nothing"
