"""Files in circulation: what each is taken for, and one line where that is not certain."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpl.errors import KnowledgeError, OutputError
from kpl.knowledge import Tidied, load_knowledge, load_tidied, write_knowledge
from kpl.knowledge.editing import copy_knowledge
from kpl.knowledge.importing import import_knowledge, remark_on_prompts

SENTENCES = {"disc_one": ["a round outline", "a thin rim"], "box": ["four corners"]}
FLAT = [(key, text) for key, texts in SENTENCES.items() for text in texts]


def said(knowledge):
    return {entry.key: [each.text for each in entry.descriptions] for entry in knowledge.classes}


def bring(tmp_path, text, name="my_set.json", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return import_knowledge(path, **options)


def refused(tmp_path, text, name="my_set.json"):
    with pytest.raises(KnowledgeError) as caught:
        bring(tmp_path, text, name)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / name))
    assert "\n" not in message
    return message


TAKEN = {
    "lists": ("a.json", json.dumps(SENTENCES), "lists of sentences by class"),
    "features": (
        "a.json",
        json.dumps({key: [{"id": 1, "feature": text} for text in texts] for key, texts in SENTENCES.items()}),
        "mappings by class, sentence in 'feature'",
    ),
    "YAML": ("a.yml", "disc_one: [a round outline, a thin rim]\nbox:\n- four corners\n", "lists of sentences by class"),
    "attributes": (
        "a.json",
        json.dumps(
            {"disc_one": {"shape": "a round outline", "edge": ["a thin rim"]}, "box": {"shape": "four corners"}}
        ),
        "sentences by class and attribute",
    ),
    "records": (
        "a.json",
        json.dumps([{"label": key, "Descriptions": texts} for key, texts in SENTENCES.items()]),
        "a list of records, class in 'label', sentence in 'Descriptions'",
    ),
    "records of one sentence": (
        "a.yaml",
        json.dumps([{"classname": key, "text": text} for key, text in FLAT]),
        "a list of records, class in 'classname', sentence in 'text'",
    ),
    "lines": (
        "a.jsonl",
        "\n".join(json.dumps({"class": key, "prompt": text}) for key, text in FLAT) + "\n\n",
        "one JSON record a line, class in 'class', sentence in 'prompt'",
    ),
    "table": (
        "a.csv",
        'Class Name,id,description\r\ndisc_one,1,a round outline\r\ndisc_one,2,"a thin rim"\r\n\nbox,,four corners\r\n',
        "a table, class in 'Class Name', sentence in 'description'",
    ),
    "table of a spreadsheet": (
        "a.csv",
        "\ufeffclass;feature\ndisc_one;a round outline\ndisc_one;a thin rim\nbox;four corners\n",
        "a table, class in 'class', sentence in 'feature'",
    ),
    "tabs": (
        "a.TSV",
        "label\ttext\ndisc_one\ta round outline\nbox\tfour corners\ndisc_one\ta thin rim\n",
        "a table, class in 'label', sentence in 'text'",
    ),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_what_is_taken_says_the_same_in_every_format(tmp_path, kind):
    name, text, read_as = TAKEN[kind]
    found = bring(tmp_path, text, name)
    assert found.read_as == read_as
    if kind == "attributes":  # two words alone stand before their attribute
        assert said(found.knowledge) == {"disc_one": SENTENCES["disc_one"], "box": ["four corners shape"]}
        assert found.remarks == ("words alone stand before their attribute: 'four corners' of 'shape' became "
                                 "'four corners shape'",)  # fmt: skip
    else:
        assert said(found.knowledge) == SENTENCES
        assert found.remarks == ()
    assert found.knowledge.task.name == "a"


def test_a_folder_of_texts(tmp_path):
    folder = tmp_path / "my_set"
    folder.mkdir()
    (folder / "disc_one.txt").write_bytes(b"\xef\xbb\xbfa round outline\r\n\r\na thin rim")
    (folder / "box.txt").write_text("four corners\n")
    (folder / ".hidden").write_text("x")
    (folder / "notes.md").write_text("x")
    found = import_knowledge(folder)
    assert said(found.knowledge) == {"box": ["four corners"], "disc_one": SENTENCES["disc_one"]}
    assert found.remarks == ("not taken, for knowledge has no place for it: notes.md",)
    assert found.knowledge.task.name == "my set"
    (folder / "box.txt").write_text("four corners\n\n...\n")
    with pytest.raises(KnowledgeError, match=r"my_set, line 3, class 'box', description 2: the sentence is empty"):
        import_knowledge(folder)


def test_one_sentence_a_class(tmp_path):
    found = bring(tmp_path, '{"disc": "a round outline", "box": "four corners\\n"}')
    assert said(found.knowledge) == {"disc": ["a round outline"], "box": ["four corners"]}
    assert found.read_as == "one sentence a class"


def test_present_and_absent_sentences(tmp_path):
    data = {"a": {"Positive": ["x y", "z w"], "negative": ["no x", "no z"]}, "b": {"present": "u", "absent": "no u"}}
    found = bring(tmp_path, json.dumps(data))
    assert said(found.knowledge) == {"a": ["x y", "z w"], "b": ["u"]}
    assert [entry.absent for entry in found.knowledge.classes] == [("no x", "no z"), ("no u",)]
    uneven = {"a": {"positive": ["x", "z", "y"], "negative": ["no x", "no z"]}, "b": {"positive": "u"}}
    assert "2 absent sentences for 3 descriptions" in refused(tmp_path, json.dumps(uneven))


def test_words_alone_stand_before_their_attribute(tmp_path):
    data = {"a": {"beak_shape": "hooked", "1": "red", "colour": ["red colour", "dull"]}, "b": {"wing": "long and thin"}}
    found = bring(tmp_path, json.dumps(data))
    assert said(found.knowledge) == {
        "a": ["hooked beak shape", "red", "red colour", "dull colour"],
        "b": ["long and thin"],
    }
    assert found.remarks[0].endswith("'hooked' of 'beak_shape' became 'hooked beak shape', and 1 more")


def test_provenance_comes_along_and_other_fields_are_named(tmp_path):
    table = "label,name,text,Author,source,reviewed by,size\n0,disc,a rim,me,,her,3\n1,box,corners,,a book,,4\n"
    found = bring(tmp_path, table, "a.csv")
    (disc,), (box,) = (entry.descriptions for entry in found.knowledge.classes)
    assert [entry.name for entry in found.knowledge.classes] == ["disc", "box"]
    assert (disc.provenance.author, disc.provenance.source, disc.provenance.reviewed_by) == ("me", None, "her")
    assert (box.provenance.author, box.provenance.source) == (None, "a book")
    assert found.remarks == ("not taken, for knowledge has no place for it: size",)


def test_whole_prompts_are_told(tmp_path):
    prompts = {key: [f"A photo of a {key}, which is {n}." for n in "xyz"] for key in ("disc", "box")}
    found = bring(tmp_path, json.dumps(prompts)).knowledge
    assert remark_on_prompts(found).startswith("6 of 6 sentences name their class")
    assert remark_on_prompts(found.with_task(template="{description}")) is None
    assert remark_on_prompts(bring(tmp_path, json.dumps(SENTENCES)).knowledge) is None


def test_tidying_takes_bullets_off_and_counts_them(tmp_path):
    data = {"a": ["1. a rim", "- a rim", "* 2.5 cm wide", "."], "b": [{"text": "•  four corners"}, "10) x", "3 sides"]}
    found = bring(tmp_path, json.dumps(data), tidy=True)
    assert said(found.knowledge) == {"a": ["a rim", "2.5 cm wide"], "b": ["four corners", "x", "3 sides"]}
    assert found.dropped == Tidied(empty=1, repeated=1, bullets=5)
    assert str(found.dropped).endswith("; took the bullet or number off 5")


REFUSED = {
    "a number": ('{"a": ["x"],\n "b": 3}', ["line 2, class 'b'", "no text (3)"]),
    "nothing": ('{"a": ["x"],\n "b": null}', ["line 2, class 'b'", "holds nothing"]),
    "two kinds": ('{"a": ["x"],\n "b": "y"}', ["line 2, class 'b'", "holds a text ('y')"]),
    "several sentences": ('{"a": "x",\n "b": "y; z"}', ["line 2, class 'b'", "may be one sentence or several"]),
    "several lines": ('{"a": "x",\n "b": "- y\\n- z"}', ["line 2, class 'b'", "write a list"]),
    "one class": ('{"a": ["x"]}', ["at least two"]),
    "an empty class": ('{"a": ["x"],\n "b": []}', ["line 2, class 'b'", "no descriptions"]),
    "no sentence": ('{"a": ["x"],\n "b": [{"id": 1}]}', ["class 'b', description 1", "no field for the sentence"]),
    "two sentences": (
        '{"a": [{"text": "x",\n"feature": "y"}], "b": ["z"]}',
        ["line 1, class 'a', description 1", "'feature' and 'text' could both be the sentence"],
    ),
    "a deep mapping": ('{"a": {"x":\n {"y": {"z": "w"}}}, "b": {"u": "v"}}', ["line 1, class 'a'", "'x' holds a map"]),
    "no positive": ('{"a": {"negative": "x"}, "b": {"positive": "y"}}', ["class 'a'", "holds negative: name one for"]),
    "a record without a class": (
        '[{"text": "x"}]',
        ["line 1, entry 1", "no field for the class: call it one of class"],
    ),
    "a record of two classes": ('[{"class": "a", "label": "b", "text": "x"}]', ["'class' and 'label' could both be"]),
    "a class that is no name": ('[{"class": true, "text": "x"}]', ["'class' must be the name of a class, got True"]),
    "two names": (
        '[{"id": 1, "key": "a", "name": "x", "text": "x"},\n {"key": "a", "name": "y", "text": "z"}]',
        ["line 2, class 'a': is called 'y' here and 'x' before"],
    ),
    "a list of texts": ('["x", "y"]', ["entry 1", "which names no class"]),
    "the own format without its version": ('{"task": {"name": "x"}, "classes": {}}', ["the version is missing"]),
    "an empty file": ("", ["not valid JSON"]),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_not_certain_is_refused_with_its_place(tmp_path, fault):
    text, parts = REFUSED[fault]
    message = refused(tmp_path, text)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("a.csv", "", ["line 1", "the header '' must name the class and the sentence"]),
        ("a.csv", "disc,round\nbox,square\n", ["line 1", "must name the class and the sentence: one of class"]),
        ("a.csv", "class,text\na,x,y\n", ["line 2", "3 cells where the header has 2", "double quotes"]),
        ("a.csv", 'class,text\na,"x\n', ["line 2: unexpected end of data", "mend the quotes"]),
        ("a.csv", "class,text,text\na,x,y\n", ["two columns have the same name"]),
        ("a.csv", "class,text\n,x\n", ["line 2", "'class' must be the name of a class, got ''"]),
        ("a.csv", "class,text\na,x\na,X.\nb,y\n", ["line 3, class 'a', description 2: repeats description 1"]),
        ("a.csv", "class,text,description\na,x,y\n", ["'description' and 'text' could both be the sentence"]),
        ("a.csv", b"class,text\na,caf\xe9\n", ["line 2", "not UTF-8 text"]),
        ("a.jsonl", '{"class": "a", "text": "x"}\n{"class"\n', ["line 2: not valid JSON"]),
        ("a.jsonl", '{"class": "a", "class": "b", "text": "x"}\n', ["line 1: key 'class' appears twice"]),
        ("a.jsonl", "[1]\n", ["line 1", "must be a JSON object"]),
        ("a.jsonl", '{"class": "a", "text": "x"}\n{"class": "b", "text": 3}\n', ["line 2, class 'b'", "got 3"]),
        ("a.jsonl", "\n", ["at least two"]),
        ("a.txt", "x", ["a knowledge file ends in"]),
    ],
)
def test_faults_of_other_files_have_their_line(tmp_path, name, text, parts):
    message = refused(tmp_path, text, name)
    for part in parts:
        assert part in message


def test_a_folder_without_texts_is_refused(tmp_path):
    (tmp_path / "sub").mkdir()
    with pytest.raises(KnowledgeError, match=r"a folder without CLASS\.txt"):
        import_knowledge(tmp_path)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    text=st.text(st.characters(blacklist_categories=["Cs"]), max_size=60),
    name=st.sampled_from(["csv", "jsonl", "json"]),
    head=st.sampled_from(["", "class,text\n", "[{", '{"']),
)
def test_whatever_a_file_holds_is_taken_or_refused(tmp_path, text, name, head):
    with contextlib.suppress(KnowledgeError):
        bring(tmp_path, head + text, f"any.{name}")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_table_of_any_knowledge_says_the_same(tmp_path, bases, data):
    import csv

    base = data.draw(bases)
    with (tmp_path / "any.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["key", "name", "text"])
        writer.writerows([e.key, e.name, each.text] for e in base.classes for each in e.descriptions)
    assert said(import_knowledge(tmp_path / "any.csv").knowledge) == said(base)


# ------------------------------------------------------------------------------------- KPL's own format, version 1 to 2

OLD = """\
# mine
kpl_knowledge: 1   # the first
task: {name: toys, template: "{description}"}   # for the shelf
classes:
  # the round ones
  - key: disc
    descriptions:
      - a round outline   # from above
      - "- a thin rim"
      - "."   # nothing
      - A thin rim.
    absent: [no outline, no rim, none, nothing]
  - {key: box, descriptions: [four corners]}
"""


def test_a_file_of_version_1_becomes_one_of_version_2_with_comments_and_order(tmp_path):
    old = tmp_path / "old.yaml"
    old.write_text(OLD.replace('      - "."   # nothing\n      - A thin rim.\n', "").replace(", none, nothing", ""))
    before = load_knowledge(old)
    found = import_knowledge(old)
    assert found.read_as == "KPL's own format, version 1"
    task = before.with_task(modality="toys, all").task
    assert copy_knowledge(old, tmp_path / "new.yaml", task, tidy=False, overwrite=False)
    text = (tmp_path / "new.yaml").read_text()
    expected = old.read_text().replace("kpl_knowledge: 1", "kpl_knowledge: 2")
    assert text == expected.replace('"{description}"}', '"{description}", modality: "toys, all"}')
    after = load_knowledge(tmp_path / "new.yaml")
    assert (after.kpl_knowledge, after.classes) == (2, before.classes)
    assert copy_knowledge(old, old, before.task, tidy=False, overwrite=True)
    assert old.read_text() == expected


def test_tidying_the_own_format_keeps_comments(tmp_path):
    old = tmp_path / "old.yaml"
    old.write_text(OLD)
    tidied, dropped = load_tidied(old)
    assert copy_knowledge(old, tmp_path / "new.yaml", tidied.task, tidy=True, overwrite=False)
    text = (tmp_path / "new.yaml").read_text()
    assert all(remark in text for remark in ("# mine", "# the first", "# for the shelf", "# the round", "# from above"))
    assert load_knowledge(tmp_path / "new.yaml").classes == tidied.classes
    assert tidied.classes[0].absent == ("no outline", "no rim")
    assert dropped == Tidied(empty=1, repeated=1, bullets=1)


def test_the_own_format_in_json_and_from_json(tmp_path):
    old = tmp_path / "old.json"
    base = load_knowledge("blood-cells")
    write_knowledge(base, old)
    old.write_text(old.read_text().replace("{", '{\n "$schema": "knowledge.schema.json",', 1))
    assert load_knowledge(old) == base
    assert copy_knowledge(old, tmp_path / "new.json", base.task, tidy=False, overwrite=False)
    new = json.loads((tmp_path / "new.json").read_text())
    assert (new["$schema"], new["kpl_knowledge"]) == ("knowledge.schema.json", 2)
    assert not copy_knowledge(old, tmp_path / "new.yaml", base.task, tidy=False, overwrite=False)
    (tmp_path / "new.json").write_text("{}")
    with pytest.raises(OutputError, match="exists already"):
        copy_knowledge(old, tmp_path / "new.json", base.task, tidy=False, overwrite=False)
