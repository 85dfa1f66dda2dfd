"""YAML with line numbers, as plain data only: no objects, no aliases, bounded depth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from kpl.errors import KnowledgeError
from kpl.knowledge.places import MAX_DEPTH, Place, Source, enclosing_line, repeated_key

__all__ = ["compose_yaml", "parse_yaml"]


def parse_yaml(name: str, text: str) -> Source:
    """Parse the YAML text of a file called `name` in messages.

    Raises:
        KnowledgeError: not valid YAML, nested too deeply, an alias, a tag, a second document, or a repeated key.
    """
    if (quick := _parse_quickly(name, text)) is not None:
        return quick
    try:
        builder = _Builder(name, YAML(typ="safe", pure=True).parse(text))
        return Source(name, builder.document(), lambda place: enclosing_line(builder.lines, place))
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise KnowledgeError(f"{name}, line {line}: a control character: remove it") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise KnowledgeError(f"{name}, line {line}: {_explain_yaml(text, line, str(error.problem))}") from error
    except (YAMLError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise KnowledgeError(f"{name}: not valid YAML ({reason}): check the quotes and escapes") from error


_TAKEN_OTHERWISE = re.compile("[\t\x85\u2028\u2029]|[|>][-+0-9]*#")
"""What libyaml, which is of YAML 1.1, takes for the end of a line, for plain space or for a comment."""


def compose_yaml(text: str) -> Any:  # noqa: ANN401 - a node of either parser
    """Return the nodes, with their marks, of a text that `parse_yaml` has taken; by libyaml where the two agree."""
    if _libyaml_reads(text):
        return yaml.compose(text, Loader=yaml.CSafeLoader)
    return YAML(typ="safe", pure=True).compose(text)


def _libyaml_reads(text: str) -> bool:
    return bool(yaml.__with_libyaml__) and not _TAKEN_OTHERWISE.search(text)


def _parse_quickly(name: str, text: str) -> Source | None:
    """Parse with libyaml, fifty times as fast; None where that is absent or anything at all is the matter.

    Files with a fault are parsed once more by the slow parser, which says what is wrong, and where.
    """
    if not _libyaml_reads(text):
        return None
    try:
        builder = _Builder(name, yaml.parse(text, Loader=yaml.CSafeLoader))
        return Source(name, builder.document(), lambda place: enclosing_line(builder.lines, place))
    except (yaml.YAMLError, KnowledgeError, ValueError, OverflowError):
        return None


def _explain_yaml(text: str, line: int, problem: str) -> str:
    """Say what is wrong in a line that the YAML parser refused."""
    row = (text.splitlines() or [""])[min(line, text.count("\n") + 1) - 1 : line]
    if row and "\t" in row[0][: len(row[0]) - len(row[0].lstrip())]:
        return "indented with a tab: YAML takes spaces only, replace it"
    return f"not valid YAML ({problem}): check the indentation, and put text with a colon, hash or quote into quotes"


# The events of the two parsers, which have the same names and marks.
_ALIAS = (AliasEvent, yaml.AliasEvent)
_SCALAR = (ScalarEvent, yaml.ScalarEvent)
_MAPPING = (MappingStartEvent, yaml.MappingStartEvent)
_MAPPING_END = (MappingEndEvent, yaml.MappingEndEvent)
_SEQUENCE_END = (SequenceEndEvent, yaml.SequenceEndEvent)
_STREAM_END = (StreamEndEvent, yaml.StreamEndEvent)
_DOCUMENT = (DocumentStartEvent, yaml.DocumentStartEvent)

_CONSTANTS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_CONSTANTS |= {word: value for value in (True, False) for word in (str(value), str(value).lower(), str(value).upper())}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+")


class _Builder:
    """Builds plain data from YAML events: no objects, no aliases, bounded depth, and a line for every entry.

    From events rather than nodes, because a node tree has already been nested and aliased when it can be looked at.
    """

    def __init__(self, name: str, events: Iterator[Event]) -> None:
        self.name = name
        self.events = events
        self.lines: dict[Place, int] = {}

    def document(self) -> Any:  # noqa: ANN401 - whatever the file holds
        next(self.events)  # the start of the stream
        if isinstance(next(self.events), _STREAM_END):
            return None
        data = self._value(next(self.events), ())
        next(self.events)  # the end of the document
        event = next(self.events)
        if isinstance(event, _DOCUMENT):
            raise self._error(event, "a second document begins: keep one, without '---' between")
        return data

    def _value(self, event: Event, place: Place) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(event, _ALIAS):
            raise self._error(event, f"the alias *{event.anchor} is not taken: write the text out")
        if tag := getattr(event, "ctag" if isinstance(event, Event) else "tag", None):
            raise self._error(event, f"the tag {tag} is not taken: remove it")
        if isinstance(event, _SCALAR):
            return _plain(event.value) if event.style in (None, "") else _joined(event.value)
        if len(place) >= MAX_DEPTH:
            raise self._error(event, f"nested too deeply: at most {MAX_DEPTH} levels, check the indentation")
        return self._mapping(place) if isinstance(event, _MAPPING) else self._sequence(place)

    def _mapping(self, place: Place) -> dict[str, Any]:
        data: dict[str, Any] = {}
        while not isinstance(event := next(self.events), _MAPPING_END):
            key = self._value(event, place) if isinstance(event, _SCALAR) else None
            if not isinstance(key, str):
                shown = repr(event.value) if isinstance(event, _SCALAR) else "a list, mapping or alias"
                raise self._error(event, f"{shown} is not a text key: put it in quotes")
            inner = (*place, key)
            if inner in self.lines:
                raise repeated_key(self.name, key, event.start_mark.line + 1, self.lines[inner])
            self.lines[inner] = event.start_mark.line + 1
            data[key] = self._value(next(self.events), inner)
        return data

    def _sequence(self, place: Place) -> list[Any]:
        data: list[Any] = []
        while not isinstance(event := next(self.events), _SEQUENCE_END):
            inner = (*place, len(data))
            self.lines[inner] = event.start_mark.line + 1
            data.append(self._value(event, inner))
        return data

    def _error(self, event: Event, problem: str) -> KnowledgeError:
        return KnowledgeError(f"{self.name}, line {event.start_mark.line + 1}: {problem}")


def _joined(text: str) -> str:
    """Join the two escapes by which JSON spells a character beyond the basic plane; half of one is a ValueError."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16")


def _plain(text: str) -> object:
    """Resolve an unquoted scalar by YAML 1.2's core schema; dates and everything else stay text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
