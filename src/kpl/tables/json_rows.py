"""Tables in JSON: an object a line, a list of objects, or a map from name to label."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kpl.errors import TableError
from kpl.tables.records import Content, Row, as_text

__all__ = ["open_json", "open_json_lines"]

_MAP = ["image", "label"]


def open_json_lines(path: Path) -> Content:
    """Open a file with one JSON object a line; its titles are the keys of all lines.

    Raises:
        TableError: a line that is no JSON object, by its number.
    """
    titles = list(dict.fromkeys(key for _, record in _objects(path) for key in record))

    def rows() -> Iterator[Row]:
        for line, record in _objects(path):
            yield Row(line, [as_text(record.get(title)) for title in titles])

    return Content(titles, rows, first=", ".join(titles))


def open_json(path: Path) -> Content:
    """Open a JSON file: a list of objects, or a map whose keys name pictures and whose values are labels.

    Raises:
        TableError: it is neither.
    """
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise TableError(f"{path.name!r} is not valid JSON: {error}") from error
    if isinstance(data, dict) and not any(isinstance(value, dict) for value in data.values()):
        rows = [Row(number, [name, as_text(label)]) for number, (name, label) in enumerate(data.items(), start=1)]
        return Content(_MAP, lambda: iter(rows), (f"{path.name!r} is a map: its keys name images, its values labels",))
    if isinstance(data, list) and data and all(isinstance(record, dict) for record in data):
        titles = list(dict.fromkeys(key for record in data for key in record))
        rows = [Row(at, [as_text(record.get(key)) for key in titles]) for at, record in enumerate(data, start=1)]
        return Content(titles, lambda: iter(rows), first=", ".join(titles))
    raise TableError(
        f"{path.name!r} holds no table: give a list of objects, an object that maps a name to a label, or a CSV file"
    )


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip(b"\xef\xbb\xbf \t\r\n"):
                continue
            try:
                record = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except (ValueError, RecursionError) as error:
                raise TableError(f"{path.name!r}, line {number}: not valid JSON ({error})") from error
            if not isinstance(record, dict):
                raise TableError(f"{path.name!r}, line {number}: {line[:40]!r} is no JSON object: write one a line")
            yield number, record
