"""Tables in JSON: an object a line, a list of objects, or a map from name to label."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kpl.errors import TableError
from kpl.tables.records import Content, Row, as_text

__all__ = ["open_json", "open_json_lines"]


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
    """Open a JSON file in one of the forms in use.

    A list of objects, alone or under the only key that holds one; an object whose keys name pictures, and whose values
    are labels, lists of labels, or objects with a label; columns as pandas writes them.

    Raises:
        TableError: it is none of these.
    """
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise TableError(f"{path.name!r} is not valid JSON: {error}") from error
    records, notes = _records(path.name, data)
    if records is None:
        raise TableError(
            f"{path.name!r} holds no table: give a list of objects, an object that maps a name to a label, or a CSV "
            "file"
        )
    titles = list(dict.fromkeys(key for record in records for key in record))
    rows = [Row(at, [as_text(record.get(key)) for key in titles]) for at, record in enumerate(records, start=1)]
    return Content(titles, lambda: iter(rows), notes, "" if notes else ", ".join(titles))


def _records(name: str, data: Any) -> tuple[list[dict[str, Any]] | None, tuple[str, ...]]:  # noqa: ANN401 - JSON
    """Bring what was read to an object a row, and say how where that is not plain."""
    if isinstance(data, list):
        return (data if data and all(isinstance(record, dict) for record in data) else None), ()
    if not isinstance(data, dict):
        return None, ()
    lists = [value for value in data.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if len(lists) == 1:
        return _records(name, lists[0])
    titles, lines = data.get("columns"), data.get("data")  # pandas, orient="split"
    if isinstance(titles, list) and isinstance(lines, list) and all(isinstance(row, list) for row in lines):
        return [dict(zip(map(str, titles), row, strict=False)) for row in lines], ()
    values = list(data.values())
    if values and all(isinstance(value, dict) for value in values):
        if all(key.isdecimal() for value in values for key in value):  # pandas' own: a column under each title
            numbers = dict.fromkeys(key for value in values for key in value)
            return [{title: column.get(at) for title, column in data.items()} for at in numbers], ()
        told = f"{name!r} is a map: its keys name images"
        return [{"image": image, **record} for image, record in data.items()], (told,)
    if any(isinstance(value, dict) for value in values):
        return None, ()
    lengths = {len(value) if isinstance(value, list) else -1 for value in values}
    if "image" in {key.casefold() for key in data} and len(lengths) == 1 and -1 not in lengths:
        return [dict(zip(data, row, strict=True)) for row in zip(*values, strict=True)], ()
    told = f"{name!r} is a map: its keys name images, its values labels"
    return [{"image": image, "label": label} for image, label in data.items()], (told,)


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
