"""What editors are given: the schema as a file, and knowledge files that name it where it lies."""

from __future__ import annotations

import json

import pytest

from kpl.authoring import begin_knowledge, copy_pack
from kpl.errors import OutputError
from kpl.knowledge import KnowledgeBase, load_knowledge, write_knowledge
from kpl.knowledge.editing import copy_knowledge
from kpl.knowledge.schema_file import SCHEMA_FILE, make_schema, published_schema, write_schema

LINE = "# yaml-language-server: $schema=knowledge.schema.json\n"


def test_the_published_schema_is_that_of_the_code():
    assert published_schema() == make_schema(), "write it anew: python docs/write_schema.py"
    schema = json.loads(published_schema())
    assert schema["properties"].keys() == {"$schema", *KnowledgeBase.model_fields}


def test_files_name_the_schema_where_it_lies_beside_them(tmp_path):
    base = load_knowledge("blood-cells")
    bare, with_schema = tmp_path / "bare", tmp_path / "with_schema"
    for folder in (bare, with_schema):
        folder.mkdir()
        if folder is with_schema:
            write_schema(folder / SCHEMA_FILE)
        write_knowledge(base, folder / "a.yaml")
        write_knowledge(base, folder / "a.json")
        begin_knowledge(folder / "b.yaml", ["disc", "box"])
        copy_pack("food-101", folder / "c.yaml")
        copy_knowledge("blood-cells", folder / "d.yaml", base.task, tidy=False, overwrite=False)
        assert load_knowledge(folder / "a.yaml") == load_knowledge(folder / "a.json") == base
        assert load_knowledge(folder / "d.yaml").classes == base.classes
    for name in "abcd":
        texts = [(folder / f"{name}.yaml").read_text() for folder in (bare, with_schema)]
        assert texts[1] == LINE + texts[0]
    assert json.loads((with_schema / "a.json").read_text())["$schema"] == SCHEMA_FILE
    assert "$schema" not in (bare / "a.json").read_text()


def test_the_line_stands_once(tmp_path):
    write_schema(tmp_path / SCHEMA_FILE)
    copy_pack("food-101", tmp_path / "a.yaml")
    copy_knowledge(
        tmp_path / "a.yaml", tmp_path / "b.yaml", load_knowledge("food-101").task, tidy=False, overwrite=False
    )
    assert (tmp_path / "b.yaml").read_text().count(LINE) == 1


def test_another_file_is_not_overwritten_by_the_schema(tmp_path):
    (tmp_path / SCHEMA_FILE).write_text("{}")
    with pytest.raises(OutputError, match="is no schema of KPL"):
        write_schema(tmp_path / SCHEMA_FILE)
    (tmp_path / SCHEMA_FILE).write_text('{"title": "kpl_knowledge"} "kpl_knowledge"')
    write_schema(tmp_path / SCHEMA_FILE)
    assert (tmp_path / SCHEMA_FILE).read_text() == published_schema()
    with pytest.raises(OutputError, match="cannot be written"):
        write_schema(tmp_path)
