"""Write the JSON Schema of knowledge files that ships with the package: `python docs/write_schema.py`."""

from __future__ import annotations

from pathlib import Path

from kpl.knowledge.schema_file import SCHEMA_FILE, make_schema

FILE = Path(__file__).parents[1] / "src" / "kpl" / "knowledge" / SCHEMA_FILE

if __name__ == "__main__":
    FILE.write_text(make_schema(), encoding="utf-8")
