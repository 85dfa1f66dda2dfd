"""What editors need to check a knowledge file while it is written: the JSON Schema, and the line that names it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from kpl.errors import OutputError
from kpl.files import locked, write_file
from kpl.knowledge.schema import KnowledgeBase

SCHEMA_FILE = "knowledge.schema.json"
_LINE = f"# yaml-language-server: $schema={SCHEMA_FILE}"


def make_schema() -> str:
    """Return the JSON Schema of a knowledge file as the published file holds it."""
    return json.dumps(KnowledgeBase.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def published_schema() -> str:
    """Return the file that ships with the package; `python docs/write_schema.py` keeps it as `make_schema` has it."""
    return (files("kpl.knowledge") / SCHEMA_FILE).read_text(encoding="utf-8")


def write_schema(path: Path) -> None:
    """Write the JSON Schema to a file; one that says the same already is left alone.

    Raises:
        OutputError: another file has this name, or the disk refuses.
    """
    with locked(path, wait=True):
        try:
            there = path.read_text(encoding="utf-8", errors="replace") if path.exists() else None
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror}): give another file") from error
        if there is not None and '"kpl_knowledge"' not in there:
            raise OutputError(f"{path}: exists and is no schema of KPL: give another file")
        if there != published_schema():
            write_file(path, published_schema())


def schema_lies_beside(path: Path) -> bool:
    """Tell whether a file of this path could name the schema by its bare name, and an editor find it offline."""
    return (path.parent / SCHEMA_FILE).is_file()


def with_schema_line(text: str, path: Path) -> str:
    """Put the line by which editors find the schema on top of a YAML text, if the schema lies beside its file."""
    return f"{_LINE}\n{text}" if schema_lies_beside(path) and _LINE not in text else text
