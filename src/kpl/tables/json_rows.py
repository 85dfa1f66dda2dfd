"""Tables in JSON: an object a line, a list of objects, or a map from name to label."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kpl.errors import TableError
from kpl.tables.records import Content, Row, as_text

_FILE = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")
_OF_COCO = {"id", "file_name", "width", "height", "license", "date_captured", "coco_url", "flickr_url"}


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

    A list of objects, alone or under the keys that hold such; an object whose keys name pictures, and whose values are
    labels, lists of labels, or objects with a label, or whose keys name classes and whose values are lists of pictures;
    a data set in the form of COCO; columns as pandas writes them.

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
            f"{path.name!r} holds no table: give a list of objects, an object that maps a name to a label, or a "
            "CSV file"
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
    lists = {key: value for key, value in data.items() if isinstance(value, list) and value and _are(value, dict)}
    if {"images", "categories"} <= set(lists) and isinstance(data.get("annotations"), list):
        return _coco(name, data)
    if len(lists) == 1:
        return _records(name, *lists.values())
    if lists and set.intersection(*(set(record) for value in lists.values() for record in value)):
        told = f"{name!r} has {len(lists)} lists, which were read as one: {', '.join(lists)}"
        return [record for value in lists.values() for record in value], (told,)
    titles, lines = data.get("columns"), data.get("data")  # pandas, orient="split"
    if isinstance(titles, list) and isinstance(lines, list) and _are(lines, list):
        return [dict(zip(map(str, titles), row, strict=False)) for row in lines], ()
    return _map(name, data)


def _map(name: str, data: dict[str, Any]) -> tuple[list[dict[str, Any]] | None, tuple[str, ...]]:
    """Read an object whose keys name images, classes, titles, or parts of the data."""
    values = list(data.values())
    if values and _are(values, dict):
        if all(key.isdecimal() for value in values for key in value):  # pandas' own: a column under each title
            numbers = dict.fromkeys(key for value in values for key in value)
            return [{title: column.get(at) for title, column in data.items()} for at in numbers], ()
        if all(_names_classes(value) for value in values):
            pairs = [(key, item) for value in values for key, items in value.items() for item in items]
            return _by_class(pairs), (
                f"{name!r} is a map of maps: {', '.join(list(data)[:5])}, then classes, then images",
            )
        told = f"{name!r} is a map: its keys name images"
        return [{"image": image, **record} for image, record in data.items()], (told,)
    if any(isinstance(value, dict) for value in values):
        return None, ()
    lengths = {len(value) if isinstance(value, list) else -1 for value in values}
    if "image" in {key.casefold() for key in data} and len(lengths) == 1 and -1 not in lengths:
        return [dict(zip(data, row, strict=True)) for row in zip(*values, strict=True)], ()
    if _names_classes(data):
        told = f"{name!r} is a map: its keys name classes, its values the images of each"
        return _by_class([(key, item) for key, items in data.items() for item in items]), (told,)
    told = f"{name!r} is a map: its keys name images, its values labels"
    return [{"image": image, "label": label} for image, label in data.items()], (told,)


def _are(values: list[Any], kind: type) -> bool:
    return all(isinstance(value, kind) for value in values)


def _names_classes(data: dict[str, Any]) -> bool:
    """Say whether the keys of a map of lists are classes and the lists their images, not the other way round.

    What looks like a file is an image; else what is there once only, and is more than the keys.
    """
    values = list(data.values())
    items = [item for value in values if isinstance(value, list) for item in value]
    if not items or not _are(values, list) or not _are(items, str):
        return False
    keys_are, items_are = (all(map(_FILE.search, names)) for names in (data, items))
    return items_are if keys_are != items_are else len(set(items)) == len(items) > len(data)


def _by_class(pairs: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Turn pairs of class and image into a row an image; of several classes these are joined."""
    found: dict[str, dict[str, None]] = {}
    for key, image in pairs:
        found.setdefault(image, {})[key] = None
    return [{"image": image, "label": list(keys)} for image, keys in found.items()]


def _coco(name: str, data: dict[str, Any]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Read a data set in the form of COCO: an image's label is what its annotations are called, each once.

    Raises:
        TableError: an annotation of no category, or an image without a name.
    """
    names = {each.get("id"): each.get("name") for each in data["categories"]}
    found: dict[Any, dict[str, None]] = {}
    for each in data["annotations"]:
        called = names.get(each.get("category_id")) if isinstance(each, dict) else None
        if not isinstance(called, str):
            raise TableError(f"{name!r} has an annotation whose category_id is none of its categories: {each!r:.80}")
        found.setdefault(each.get("image_id"), {})[called] = None
    rows = []
    for each in data["images"]:
        if not each.get("file_name"):
            raise TableError(f"{name!r} has an image without file_name: {each!r:.80}")
        further = {
            key: value for key, value in each.items() if key not in _OF_COCO and not isinstance(value, dict | list)
        }
        rows.append({**further, "image": each["file_name"], "label": list(found.get(each.get("id"), ()))})
    told = f"{name!r} is a data set in the form of COCO: an image has the labels of its annotations"
    return rows, (told,)


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
