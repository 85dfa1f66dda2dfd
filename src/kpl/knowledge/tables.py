"""Other files than YAML and JSON: tables with a header, a JSON object a line, a folder of a text file a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kpl.errors import KnowledgeError, TableError
from kpl.knowledge.gathering import CLASS_FIELDS, TEXT_FIELDS, Gathering, fold_field
from kpl.knowledge.json_text import parse_json
from kpl.knowledge.source import MAX_BYTES, decode, read_bounded

TABLES = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson")


def read_table(path: Path) -> tuple[Gathering, str]:
    """Read a table whose header names a column for the class and one for the sentence.

    Raises:
        KnowledgeError: no such header, a row of another length, quotes that do not close; with the line.
    """
    from kpl.tables import open_table  # brings NumPy, which reading knowledge does not need

    decode(str(path), read_bounded(path))  # in UTF-8, and no larger than knowledge may be
    found = Gathering(str(path))
    fields = ("", "")
    try:
        table = open_table(path)
        if not _names_both(table.titles):
            known = f"one of {', '.join(CLASS_FIELDS)}, and one of {', '.join(TEXT_FIELDS[::2])}"
            raise found.error(1, "", f"the header {table.first!r:.80} must name the class and the sentence: {known}")
        if len(set(map(fold_field, table.titles))) < len(table.titles):
            raise found.error(1, "", "two columns have the same name: rename or remove one")
        for line, cells in table.rows():
            if any(cell.strip() for cell in cells):
                fields = found.add_record(dict(zip(table.titles, cells, strict=True)), line, "")
    except TableError as error:
        raise KnowledgeError(f"{path}{str(error).removeprefix(repr(path.name))}") from error
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


def _names_both(header: Sequence[str]) -> bool:
    folded = set(map(fold_field, header))
    return bool(folded & set(CLASS_FIELDS)) and bool(folded & set(TEXT_FIELDS))
