"""JSON with line numbers: parsed at full speed by the standard library, searched for lines only when an error asks."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from kpl.errors import KnowledgeError
from kpl.knowledge.places import MAX_DEPTH, Place, Source, enclosing_line, repeated_key


def parse_json(name: str, text: str) -> Source:
    """Parse the JSON text of a file called `name` in messages.

    Raises:
        KnowledgeError: not valid JSON, nested too deeply, or a key that a mapping holds twice.
    """
    repeated = False

    def take(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        data = dict(pairs)
        repeated = repeated or len(data) < len(pairs)
        return data

    try:
        data = json.loads(text, object_pairs_hook=take)
    except json.JSONDecodeError as error:
        mend = "check the commas, quotes and brackets there"
        raise KnowledgeError(f"{name}, line {error.lineno}: not valid JSON ({error.msg}): {mend}") from error
    except RecursionError as error:
        raise KnowledgeError(f"{name}: nested too deeply: at most {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise KnowledgeError(f"{name}: not valid JSON ({error}): check the numbers in it") from error
    if _SURROGATE.search(text):
        _refuse_half_characters(name, data)

    # Only an error asks for lines, so a large correct file never pays for them.
    @cache
    def scan() -> tuple[dict[Place, int], KnowledgeError | None]:
        return _scan(name, text)

    if repeated and (clash := scan()[1]) is not None:
        raise clash
    return Source(name, data, lambda place: enclosing_line(scan()[0], place))


_PIECE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],]|[^\s{}\[\]:,"]+')


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _refuse_half_characters(name: str, data: object) -> None:
    """Refuse half a surrogate pair, which JSON can spell but which no file could hold again."""
    text = json.dumps(data, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        near = text[max(0, error.start - 20) : error.end]
        raise KnowledgeError(f"{name}: half a character at {near!r}: write the character itself") from error


def _scan(name: str, text: str) -> tuple[dict[Place, int], KnowledgeError | None]:
    """Walk through valid JSON: the line of every key and list item, and the error for the first repeated key."""
    lines: dict[Place, int] = {}
    clash: KnowledgeError | None = None
    place: list[str | int] = []  # one entry an open bracket: the key or position that is being read there
    awaits_key = False
    line, last = 1, 0
    for match in _PIECE.finditer(text):
        piece = match.group()
        line += text.count("\n", last, match.start())
        last = match.start()
        if piece in ("}", "]"):
            place.pop()
            awaits_key = False
        elif piece == ",":
            awaits_key = isinstance(place[-1], str)
            if not awaits_key:
                place[-1] = int(place[-1]) + 1
        elif awaits_key:
            place[-1] = json.loads(piece)
            awaits_key = False
            if clash is None and tuple(place) in lines:
                clash = repeated_key(name, str(place[-1]), line, lines[tuple(place)])
            lines[tuple(place)] = line
        else:
            if place and isinstance(place[-1], int):
                lines[tuple(place)] = line
            if piece in ("{", "["):
                awaits_key = piece == "{"
                place.append("" if awaits_key else 0)
    return lines, clash
