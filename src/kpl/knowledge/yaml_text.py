"""YAML with line numbers, as plain data only: no objects, no aliases, bounded depth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.reader import ReaderError

from kpl.errors import KnowledgeError
from kpl.knowledge.places import MAX_DEPTH, Place, Source, enclosing_line, repeated_key


def parse_yaml(name: str, text: str) -> Source:
    """Parse the YAML text of a file called `name` in messages.

    Raises:
        KnowledgeError: not valid YAML, nested too deeply, an alias, a tag, a second document, or a repeated key.
    """
    text = text.translate(_NO_LINE_BREAKS)
    if _libyaml_reads(text):
        try:
            return _parse(name, text, yaml.CSafeLoader)
        except (yaml.YAMLError, KnowledgeError, ValueError, OverflowError):
            pass  # the slow parser says what is wrong, and where
    try:
        return _parse(name, text, yaml.SafeLoader)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise KnowledgeError(f"{name}, line {line}: a control character: remove it") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise KnowledgeError(f"{name}, line {line}: {_explain_yaml(text, line, str(error.problem))}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise KnowledgeError(f"{name}: not valid YAML ({reason}): check the quotes and escapes") from error


_NO_LINE_BREAKS = dict.fromkeys((0x85, 0x2028, 0x2029), " ")
"""What ends a line in YAML 1.1, which both parsers are of, but not in 1.2: read as space, of which it is a kind."""
_TAKEN_OTHERWISE = re.compile("\t|[|>][-+0-9]*#")
"""What libyaml takes for plain space or for a comment, and nobody else does."""


def compose_yaml(text: str) -> Any:  # noqa: ANN401 - a node
    """Return the nodes, with their marks, of a text that `parse_yaml` has taken."""
    text = text.translate(_NO_LINE_BREAKS)
    return yaml.compose(text, Loader=yaml.CSafeLoader if _libyaml_reads(text) else yaml.SafeLoader)


def _libyaml_reads(text: str) -> bool:
    """Say whether libyaml, fifty times as fast, is here and takes the text as the other parser does."""
    return bool(yaml.__with_libyaml__) and not _TAKEN_OTHERWISE.search(text)


def _parse(name: str, text: str, loader: Any) -> Source:  # noqa: ANN401 - a loader of either kind
    builder = _Builder(name, yaml.parse(text, Loader=loader))
    return Source(name, builder.document(), lambda place: enclosing_line(builder.lines, place))


def _explain_yaml(text: str, line: int, problem: str) -> str:
    """Say what is wrong in a line that the YAML parser refused."""
    row = (text.splitlines() or [""])[min(line, text.count("\n") + 1) - 1 : line]
    if row and "\t" in row[0][: len(row[0]) - len(row[0].lstrip())]:
        return "indented with a tab: YAML takes spaces only, replace it"
    return f"not valid YAML ({problem}): check the indentation, and put text with a colon, hash or quote into quotes"


_CONSTANTS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_CONSTANTS |= {word: value for value in (True, False) for word in (str(value), str(value).lower(), str(value).upper())}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+")


class _Builder:
    """Builds plain data from YAML events: no objects, no aliases, bounded depth, and a line for every entry.

    From events rather than nodes, because a node tree has already been nested and aliased when it can be looked at.
    """

    def __init__(self, name: str, events: Iterator[Any]) -> None:
        self.name = name
        self.events = events
        self.lines: dict[Place, int] = {}

    def document(self) -> Any:  # noqa: ANN401 - whatever the file holds
        next(self.events)  # the start of the stream
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        data = self._value(next(self.events), ())
        next(self.events)  # the end of the document
        event = next(self.events)
        if isinstance(event, yaml.DocumentStartEvent):
            raise self._error(event, "a second document begins: keep one, without '---' between")
        return data

    def _value(self, event: Any, place: Place) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(event, yaml.AliasEvent):
            raise self._error(event, f"the alias *{event.anchor} is not taken: write the text out")
        if tag := event.tag:
            raise self._error(event, f"the tag {tag} is not taken: remove it")
        if isinstance(event, yaml.ScalarEvent):
            return _plain(event.value) if event.style in (None, "") else _joined(event.value)
        if len(place) >= MAX_DEPTH:
            raise self._error(event, f"nested too deeply: at most {MAX_DEPTH} levels, check the indentation")
        return self._mapping(place) if isinstance(event, yaml.MappingStartEvent) else self._sequence(place)

    def _mapping(self, place: Place) -> dict[str, Any]:
        data: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._value(event, place) if isinstance(event, yaml.ScalarEvent) else None
            if not isinstance(key, str):
                shown = repr(event.value) if isinstance(event, yaml.ScalarEvent) else "a list, mapping or alias"
                raise self._error(event, f"{shown} is not a text key: put it in quotes")
            inner = (*place, key)
            if inner in self.lines:
                raise repeated_key(self.name, key, event.start_mark.line + 1, self.lines[inner])
            self.lines[inner] = event.start_mark.line + 1
            data[key] = self._value(next(self.events), inner)
        return data

    def _sequence(self, place: Place) -> list[Any]:
        data: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            inner = (*place, len(data))
            self.lines[inner] = event.start_mark.line + 1
            data.append(self._value(event, inner))
        return data

    def _error(self, event: yaml.Event, problem: str) -> KnowledgeError:
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
