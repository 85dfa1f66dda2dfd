"""Other files than YAML and JSON: tables with a header, a JSON object a line, a folder of a text file a class."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from kpl.errors import KnowledgeError
from kpl.knowledge.gathering import CLASS_FIELDS, TEXT_FIELDS, Gathering, fold_field
from kpl.knowledge.json_text import parse_json
from kpl.knowledge.source import MAX_BYTES, decode, read_bounded

__all__ = ["LINES", "TABLES", "read_folder", "read_lines", "read_table"]

TABLES = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson")


def read_table(path: Path) -> tuple[Gathering, str]:
    """Read a table whose header names a column for the class and one for the sentence.

    Raises:
        KnowledgeError: no such header, a row of another length, quotes that do not close; with the line.
    """
    text = decode(str(path), read_bounded(path))
    found = Gathering(str(path))
    head = next(iter(text.splitlines()), "")
    marks = ["\t"] if path.suffix.lower() == ".tsv" else [",", ";", "\t"]
    fitting = [mark for mark in marks if _names_both(next(csv.reader([head], delimiter=mark), []))]
    if len(fitting) != 1:
        known = f"one of {', '.join(CLASS_FIELDS)}, and one of {', '.join(TEXT_FIELDS[::2])}"
        raise found.error(1, "", f"the header {head.strip()!r:.80} must name the class and the sentence: {known}")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=fitting[0], strict=True)
    fields = ("", "")
    try:
        header = next(rows)
        if len(set(map(fold_field, header))) < len(header):
            raise found.error(1, "", "two columns have the same name: rename or remove one")
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                mend = "put text that holds the separator into double quotes"
                raise found.error(rows.line_num, "", f"{len(row)} cells under a header of {len(header)}: {mend}")
            fields = found.add_record(dict(zip(header, row, strict=True)), rows.line_num, "")
    except csv.Error as error:
        raise found.error(rows.line_num, "", f"not a valid table ({error}): check the double quotes") from error
    return found, f"a table, class in {fields[0]!r}, sentence in {fields[1]!r}"


def read_lines(path: Path) -> tuple[Gathering, str]:
    """Read a file with one JSON object a line.

    Raises:
        KnowledgeError: a line that is no JSON object, or without a class or a sentence; with the line.
    """
    found = Gathering(str(path))
    fields = ("", "")
    for number, line in enumerate(decode(str(path), read_bounded(path)).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = parse_json(str(path), line).data
        except KnowledgeError as error:
            reason = str(error).removeprefix(f"{path}").partition(": ")[2]
            raise found.error(number, "", reason) from error
        if not isinstance(record, dict):
            raise found.error(number, "", f"must be a JSON object with a class and a sentence, got {record!r:.60}")
        fields = found.add_record(record, number, "")
    return found, f"one JSON record a line, class in {fields[0]!r}, sentence in {fields[1]!r}"


def read_folder(path: Path) -> tuple[Gathering, str]:
    """Read a folder with a text file for each class, named after it, one sentence a line.

    Raises:
        KnowledgeError: no such file in it, one that cannot be read, or more than a knowledge file may hold.
    """
    found = Gathering(str(path))
    size = 0
    for file in sorted(path.iterdir(), key=lambda file: file.name):
        if file.name.startswith("."):
            continue
        if file.suffix.lower() != ".txt" or not file.is_file():
            found.not_taken[file.name] = None
            continue
        raw = read_bounded(file)
        size += len(raw)
        if size > MAX_BYTES:
            raise KnowledgeError(f"{path}: more than {MAX_BYTES // 2**20} MB: remove what is not a description")
        found.begin(file.stem, None)
        for number, line in enumerate(decode(str(file), raw).split("\n"), start=1):
            if line.strip():
                found.add(file.stem, line, number, "descriptions")
    if not found.document("")["classes"]:
        raise KnowledgeError(f"{path}: a folder without CLASS.txt: give a folder with a text file for each class")
    return found, "a folder of text files, one a class, one sentence a line"


def _names_both(header: list[str]) -> bool:
    folded = set(map(fold_field, header))
    return bool(folded & set(CLASS_FIELDS)) and bool(folded & set(TEXT_FIELDS))
