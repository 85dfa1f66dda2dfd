"""Putting text into YAML by the places of its nodes, so that everything else stays to the character.

A round trip through a document would lay out anew what people wrote by hand, and would move the comments that stand
behind the last entry of a list in front of the new ones.
"""

from __future__ import annotations

import copy
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from kpl.knowledge.yaml_text import compose_yaml

_LONG = ("descriptions", "absent", "rejected")
"""Lists of a class of which every entry has a line of its own."""
_COMMENT = re.compile(r"\r?\n([ ]*)#[^\r\n]*")


class YamlEdit:
    """A YAML text with additions; it must have been read without error before, as plain data without aliases."""

    def __init__(self, text: str) -> None:
        self._source = text
        self._root: MappingNode = compose_yaml(text)
        self._classes = _pairs(self._root)["classes"][1]
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._edits: list[tuple[int, int, str]] = []
        self._additions: dict[int, dict[str, list[Any]]] = defaultdict(dict)
        self._new_classes: list[dict[str, Any]] = []

    def afresh(self) -> YamlEdit:
        """Return the text as it was read, without what was added since, at no cost."""
        again = copy.copy(self)
        again._edits, again._additions, again._new_classes = [], defaultdict(dict), []
        return again

    def extend(self, number: int, key: str, entries: list[Any]) -> None:
        """Put entries, sentences or flat mappings, behind those that the class at this index has under `key`."""
        self._additions[number].setdefault(key, []).extend(entries)

    def add_class(self, entry: dict[str, Any]) -> None:
        """Put a class behind all others."""
        self._new_classes.append(entry)

    def remove(self, number: int, key: str, position: int) -> None:
        """Take the entry at a position out of the list that the class at this index has under `key`, with its line."""
        entries = _pairs(self._classes.value[number])[key][1]
        node = entries.value[position]
        if not entries.flow_style:
            start = self._source.rfind("\n", 0, self._source.rfind("-", 0, node.start_mark.index))
            stop = self._source.find("\n", _end(node, self._source))
            self._edits.append((start, len(self._source) if stop < 0 else stop, ""))
        elif position + 1 < len(entries.value):
            self._edits.append((node.start_mark.index, entries.value[position + 1].start_mark.index, ""))
        else:
            before = entries.value[position - 1].end_mark.index if position else node.start_mark.index
            self._edits.append((before, node.end_mark.index, ""))

    def replace(self, number: int, position: int, entry: str | dict[str, Any]) -> None:
        """Write another text and provenance into a description; comments and whatever else it states stay."""
        descriptions = _pairs(self._classes.value[number])["descriptions"][1]
        node = descriptions.value[position]
        if isinstance(node, MappingNode):
            self._replace_in_mapping(node, {"text": entry} if isinstance(entry, str) else entry)
        elif descriptions.flow_style:
            self._edits.append((node.start_mark.index, node.end_mark.index, _flow(entry)))
        else:
            first, *rest = (line[2:] for line in _items([entry], 0))
            end = _end(node, self._source)
            self._edits.append((node.start_mark.index, end, first))
            self._insert_at_end_of_line(end, rest, node.start_mark.column)

    def replace_version(self, version: int) -> None:
        """Write another number behind `kpl_knowledge`."""
        node = _pairs(self._root)["kpl_knowledge"][1]
        self._edits.append((node.start_mark.index, node.end_mark.index, str(version)))

    def change_task(self, stated: dict[str, str]) -> None:
        """Write other values into the task, or new ones behind those that it has."""
        self._replace_in_mapping(_pairs(self._root)["task"][1], stated)

    def text(self) -> str:
        """Return the text with everything added."""
        for number, additions in self._additions.items():
            self._extend_class(self._classes.value[number], additions)
        self._additions.clear()
        self._append_classes()
        self._new_classes.clear()
        pieces, last = [], 0
        for start, end, new in sorted(self._edits, key=lambda edit: edit[0]):  # stable: the later stays behind
            pieces += [self._source[last : max(start, last)], new]
            last = max(end, last)
        return "".join([*pieces, self._source[last:]])

    def _replace_in_mapping(self, node: MappingNode, stated: dict[str, Any]) -> None:
        held = _pairs(node)
        for key, value in stated.items():
            new = to_scalar(value) if isinstance(value, str) and not node.flow_style else _flow(value)
            if key in held:
                old = held[key][1]
                if not isinstance(value, list) and _plain_data(old) != value:
                    self._edits.append((old.start_mark.index, _end(old, self._source), new))
            elif node.flow_style:
                self._insert(_end_of_pair(node.value[-1]), f", {key}: {new}")
            else:
                self._insert_lines(node.value[-1][1], [f"{key}: {new}"], node.start_mark.column)

    def _append_classes(self) -> None:
        """Write the new classes under the last one and the comments that are indented as parts of it."""
        last = self._classes.value[-1]
        if self._classes.flow_style:
            self._insert(last.end_mark.index, "".join(f", {_flow(entry)}" for entry in self._new_classes))
            return
        column = self._classes.start_mark.column
        end = _end(last, self._source)
        end += len(self._source[end:].partition("\n")[0].rstrip("\r"))
        while (comment := _COMMENT.match(self._source, end)) and len(comment[1]) > column:
            end = comment.end()
        self._insert_at_end_of_line(end, _items(self._new_classes, 0), column)

    def _extend_class(self, node: MappingNode, additions: dict[str, list[Any]]) -> None:
        if node.flow_style and not self._classes.flow_style and self._can_unfold(node):
            self._unfold(node, additions)
            return
        held = _pairs(node)
        for key in sorted(additions, key=lambda each: each not in held):  # new keys stand behind all that is there
            entries = additions[key]
            if key in held:
                self._extend_list(held[key][0], held[key][1], entries, in_flow=bool(node.flow_style))
            elif node.flow_style:
                self._insert(_end_of_pair(node.value[-1]), f", {key}: {_flow(entries)}")
            else:
                self._insert_lines(node, _list(key, entries), node.start_mark.column)

    def _extend_list(self, key: Node, value: Node, entries: list[Any], *, in_flow: bool) -> None:
        if isinstance(value, SequenceNode) and value.value:
            last = value.value[-1]
            if value.flow_style and not in_flow and key.value in _LONG and self._can_unfold(value):
                old = [f"  - {self._span(item)}" for item in value.value]
                self._edits.append((value.start_mark.index, value.end_mark.index, ""))
                lines = [*old, *_items(entries, 2)]
                self._insert_at_end_of_line(value.end_mark.index, lines, key.start_mark.column)
            elif value.flow_style:
                self._insert(last.end_mark.index, "".join(f", {_flow(entry)}" for entry in entries))
            else:
                self._insert_lines(last, _items(entries, 0), value.start_mark.column)
            return
        start, end = value.start_mark.index, value.end_mark.index
        if in_flow:
            self._edits.append((start, end, f"{'' if start < end else ' '}{_flow(entries)}"))
            return
        if start < end:  # [] or ~
            self._edits.append((start, end, ""))
        self._insert_lines(value if start < end else key, _items(entries, 2), key.start_mark.column)

    def _unfold(self, node: MappingNode, additions: dict[str, list[Any]]) -> None:
        """Write a class that stands in braces as lines of its own: fifty sentences in one line nobody can read."""
        lines: list[str] = []
        for key, value in node.value:
            if key.value not in additions:
                lines.append(self._source[key.start_mark.index : _end_of_pair((key, value))])
                continue
            old = [self._span(item) for item in value.value] if isinstance(value, SequenceNode) else []
            if key.value in _LONG:
                lines += [f"{key.value}:", *(f"  - {item}" for item in old), *_items(additions[key.value], 2)]
            else:
                lines.append(f"{key.value}: [{', '.join([*old, *map(_flow, additions[key.value])])}]")
        known = _pairs(node)
        for key, entries in additions.items():
            if key not in known:
                lines += _list(key, entries)
        # A comment behind the closing brace stays behind the first line, that of the key.
        first, *rest = lines
        self._edits.append((node.start_mark.index, node.end_mark.index, first))
        self._insert_at_end_of_line(node.end_mark.index, rest, node.start_mark.column)

    def _can_unfold(self, node: Node) -> bool:
        """Tell whether nothing in brackets is a comment, or was changed, or goes on in another line."""
        changed = any(node.start_mark.index <= start < node.end_mark.index for start, _, _ in self._edits)
        folded = any("\n" in self._span(item) for item in node.value if isinstance(item, ScalarNode))
        return not changed and not folded and "#" not in self._span(node)

    def _span(self, node: Node) -> str:
        return self._source[node.start_mark.index : node.end_mark.index]

    def _insert(self, place: int, text: str) -> None:
        self._edits.append((place, place, text))

    def _insert_lines(self, node: Node, lines: Iterable[str], column: int) -> None:
        """Put lines, indented to a column, under the line on which a node of a block ends."""
        self._insert_at_end_of_line(_end(node, self._source), lines, column)

    def _insert_at_end_of_line(self, place: int, lines: Iterable[str], column: int) -> None:
        stop = self._source.find("\n", place)
        stop = len(self._source) if stop < 0 else stop
        if stop > place and self._source[stop - 1] == "\r":
            stop -= 1
        self._insert(stop, "".join(f"{self._newline}{' ' * column}{line}" for line in lines))


def _pairs(node: MappingNode) -> dict[str, tuple[Node, Any]]:
    return {key.value: (key, value) for key, value in node.value}


def _plain_data(node: Node) -> object:
    """Return a text, or a flat mapping of texts, as data; None for anything else."""
    if isinstance(node, MappingNode):
        return {key.value: _plain_data(value) for key, value in node.value}
    return node.value if isinstance(node, ScalarNode) else None


def _end_of_pair(pair: tuple[Node, Node]) -> int:
    key, value = pair
    return int(max(key.end_mark.index, value.end_mark.index))


def _end(node: Any, text: str) -> int:  # noqa: ANN401 - Node itself does not know of flow_style
    """Find where the content of a node ends; the mark of a block lies behind the comments that follow it."""
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        return _end_of_block_scalar(node, text)
    if isinstance(node, ScalarNode) or node.flow_style:
        return int(node.end_mark.index)
    last = node.value[-1]
    if isinstance(node, MappingNode):
        key, last = last
        if last.start_mark.index == last.end_mark.index:  # nothing, whose mark lies where the next thing begins
            last = key
    return _end(last, text)


def _end_of_block_scalar(node: ScalarNode, text: str) -> int:
    """Step back over the blank lines, and over the comments that are indented less than the text."""
    _header, *lines = text[node.start_mark.index : node.end_mark.index].splitlines(keepends=True)
    indent = next((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), 0)
    while lines and (not lines[-1].strip() or len(lines[-1]) - len(lines[-1].lstrip(" ")) < indent):
        lines.pop()
    return int(node.start_mark.index) + len(_header + "".join(lines).rstrip("\r\n"))


def _items(entries: list[Any], column: int) -> list[str]:
    """Write entries as the lines of a list: a sentence is one line, a mapping one for each of its keys."""
    lines = []
    for entry in entries:
        if isinstance(entry, str):
            lines.append(f"{' ' * column}- {to_scalar(entry)}")
            continue
        lead = "- "
        for key, value in entry.items():
            written = [f"{key}: {to_scalar(value)}"] if isinstance(value, str) else _list(key, value)
            lines += [f"{' ' * column}{lead}{written[0]}", *(f"{' ' * column}  {line}" for line in written[1:])]
            lead = "  "
    return lines


def _list(key: str, entries: Any) -> list[str]:  # noqa: ANN401 - a list, or a flat mapping
    """Write a key with what it holds: each entry on a line of its own if there may be many, else all on one."""
    return [f"{key}:", *_items(entries, 2)] if key in _LONG else [f"{key}: {_flow(entries)}"]


def _flow(value: Any) -> str:  # noqa: ANN401 - text, or lists and mappings of it
    match value:
        case dict():
            return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case _:
            return f'"{value}"' if (plain := to_scalar(value)) == value and set(value) & {",", ":"} else plain


_PLAIN = re.compile(r"[A-Za-z](?:[\w ,()'/.%+;°×–-]|:(?=\w))*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_WORDS_OF_YAML = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))


def to_scalar(text: str) -> str:
    """Write a text as YAML on one line: as it is where no reader could misread it, otherwise in quotes.

    Example:
        >>> to_scalar("thin dark lines"), to_scalar("no"), to_scalar("colour: red")
        ('thin dark lines', '"no"', '"colour: red"')
    """
    plain = _PLAIN.fullmatch(text) and not text.endswith(" ") and text.lower() not in _WORDS_OF_YAML
    return text if plain or _DATE.fullmatch(text) else _QUOTE_RISKS.sub(_escape, json.dumps(text, ensure_ascii=False))


_QUOTE_RISKS = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"
