"""Files in, knowledge or a one-line error out."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpl.errors import InputError, KnowledgeError, OutputError, UnknownNameError
from kpl.knowledge import Tidied, load_knowledge, load_tidied, write_knowledge, yaml_text
from kpl.knowledge import source as source_module
from kpl.knowledge.json_text import parse_json
from kpl.knowledge.packs import read_pack
from kpl.knowledge.source import parse_source
from kpl.knowledge.yaml_text import parse_yaml

GOOD = """\
kpl_knowledge: 1
task: {name: shapes, modality: toys}
provenance: {author: me, written: 2026-11-22}
classes:
  - key: disc
    aliases: [round thing]
    descriptions:
      - a round outline
      - text: no corners
        provenance: {source: a book}
  - key: box
    descriptions:
      - four corners
"""


def write(tmp_path, text, name="my.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path, loader=load_knowledge):
    with pytest.raises(InputError) as caught:
        loader(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400 + len(str(path))
    return message


# ------------------------------------------------------------------------------------------------------ what is read


def test_reads_the_format(tmp_path):
    kb = load_knowledge(write(tmp_path, GOOD))
    assert [entry.key for entry in kb.classes] == ["disc", "box"]
    assert kb.provenance.written == "2026-11-22"
    assert kb.classes[0].descriptions[1].provenance.source == "a book"


def test_json_yaml_layout_and_byte_order_mark_give_equal_knowledge(tmp_path):
    kb = load_knowledge(write(tmp_path, GOOD))
    document = kb.model_dump()
    as_json = load_knowledge(write(tmp_path, json.dumps(document), "my.json"))
    in_yaml = load_knowledge(write(tmp_path, "# a comment\n" + json.dumps(document, indent=3), "other.yml"))
    marked = load_knowledge(write(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode(), "marked.yaml"))
    assert kb == as_json == in_yaml == marked
    assert len({each.content_hash() for each in (kb, as_json, in_yaml, marked)}) == 1


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), suffix=st.sampled_from([".yaml", ".json"]))
def test_what_is_written_is_read_back_equal(tmp_path, bases, data, suffix):
    kb = data.draw(bases)
    path = tmp_path / f"again{suffix}"
    write_knowledge(kb, path, overwrite=True)
    assert load_knowledge(path) == kb
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_plain_files(tmp_path):
    sentences = {"Disc_one": ["a round outline"], "box": ["four corners"]}
    features = {key: [{"id": 1, "feature": text} for text in texts] for key, texts in sentences.items()}
    first = load_knowledge(write(tmp_path, json.dumps(sentences), "my_set.json"))
    second = load_knowledge(write(tmp_path, json.dumps(features), "my_set.json"))
    third = load_knowledge(write(tmp_path, "Disc_one: [a round outline]\nbox: [four corners]\n", "my_set.yaml"))
    assert first == second == third
    assert first.task.name == "my set"
    assert first.task.modality is None
    assert first.prompts()[0] == ["a photo of a Disc one, which has a round outline"]


def test_a_plain_file_without_a_name_worth_a_title(tmp_path):
    assert load_knowledge(write(tmp_path, '{"a": ["x"], "b": ["y"]}', "_-_.json")).task.name == "knowledge"


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_a_list_of_names_is_read_and_written_back_equal(tmp_path, suffix):
    text = GOOD.replace("    descriptions:\n      - four corners\n", "")
    text = text[: text.index("    descriptions:")] + text[text.index("  - key: box") :]
    kb = load_knowledge(write(tmp_path, text))
    assert kb.names_only
    write_knowledge(kb, tmp_path / f"again{suffix}")
    assert load_knowledge(tmp_path / f"again{suffix}") == kb


def test_tidied_drops_and_counts(tmp_path):
    plain = {
        "a": ["x", ".", "X.", "I'm sorry, I cannot describe it.", "  ", "z"],
        "b": [{"id": 1, "feature": "y"}, {"id": 2, "feature": None}],
    }
    path = write(tmp_path, json.dumps(plain), "generated.json")
    assert "class 'a', description 2: the sentence is empty" in refused(path)
    kb, dropped = load_tidied(path)
    assert [[d.text for d in entry.descriptions] for entry in kb.classes] == [["x", "z"], ["y"]]
    assert dropped == Tidied(empty=3, repeated=1, refused=1)
    assert str(dropped).startswith("dropped 5 entries")


def test_tidied_reads_the_own_format_and_keeps_other_errors_at_their_line(tmp_path):
    text = GOOD.replace("- a round outline", "- a round outline\n      - A ROUND outline.\n      - 7")
    message = refused(write(tmp_path, text), lambda path: load_tidied(path))
    assert "line 10" in message
    assert "got 7" in message
    assert load_tidied(write(tmp_path, GOOD))[1] == Tidied()
    assert "classes" in refused(write(tmp_path, "kpl_knowledge: 1\ntask: {name: t}\nclasses: 3\n"), load_tidied)
    assert "must be a mapping" in refused(
        write(tmp_path, "kpl_knowledge: 1\ntask: {name: t}\nclasses: [3, 4]\n"), load_tidied
    )


def test_a_class_that_tidying_empties_is_an_error(tmp_path):
    path = write(tmp_path, '{"a": ["."], "b": ["y"]}', "generated.json")
    assert "class 'a': no descriptions" in refused(path, load_tidied)


@pytest.mark.shared
def test_files_in_circulation(shared):
    for path in sorted((shared / "knowledge").glob("*.json")):
        kb, dropped = load_tidied(path)
        data = json.loads(path.read_text())
        assert [entry.key for entry in kb.classes] == list(data)
        left = sum(len(entry.descriptions) for entry in kb.classes)
        assert left + dropped.empty + dropped.repeated + dropped.refused == sum(map(len, data.values()))
        if dropped == Tidied():
            assert load_knowledge(path) == kb
        else:
            assert path.stem in ("imagenet1k", "food101", "oxford_pets")
            assert "line " in refused(path)


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (
            "descriptions:\n      - four",
            "descripions:\n      - four",
            ["line 12, class 'box'", "did you mean 'descriptions'"],
        ),
        ("modality: toys", "modalty: toys", ["line 2", "unknown key 'modalty': did you mean 'modality'"]),
        ("key: box", "key: Disc", ["line 11, class 'Disc'", "duplicate class", "merge the two"]),
        ("key: box", "key: Round-Thing", ["line 11", "belongs to class 1 ('disc')"]),
        ("key: box", "key: box\n    aliases: [DISC]", ["line 11", "alias 'DISC' already belongs to class 1"]),
        ("key: box", "key: box\n    name: round thing", ["line 11", "name 'round thing' already belongs"]),
        ("key: box", "key: 3", ["line 11, class 2, key", "must be text, got 3: put it in quotes"]),
        ("key: box", "key: box\n    name: '-'", ["line 12, class 'box', name", "no letter or digit"]),
        ("key: box", "key: ", ["line 11, class 2, key", "is empty: write"]),
        ("key: box", "key: box\n    aliases: cube", ["line 12", "must be a list, got 'cube'"]),
        ("key: box", "key: box\n    aliases:", ["line 12", "must be a list, got nothing"]),
        ("key: box", "key: box\n    key: cube", ["line 12", "key 'key' appears twice (first on line 11)"]),
        ("      - four corners\n", "", ["line 12, class 'box'", "no descriptions: write at least one"]),
        ("    descriptions:\n      - four corners\n", "", ["line 11, class 'box'", "no descriptions: write"]),
        ("descriptions:\n      - four corners", "descriptions: []", ["line 12, class 'box'", "no descriptions"]),
        ("- four corners", "- ''", ["line 13, class 'box', description 1", "the sentence is empty"]),
        ("- four corners", "- ", ["line 13, class 'box', description 1", "is empty"]),
        (
            "- four corners",
            "- four corners\n      - Four  corners.",
            ["line 14", "description 2: repeats description 1"],
        ),
        ("- four corners", "- 4", ["line 13", "must be a sentence, got 4: put it in quotes"]),
        ("- four corners", "- corners: four", ["line 13", "because of the colon: put the sentence in quotes"]),
        ("- four corners", "- corners: four: yes", ["line 13", "put text with a colon"]),
        ("- four corners", "- text: four\n        by: me", ["line 14", "'by'"]),
        ("- four corners", "- [four]", ["line 13", "got a list"]),
        ("text: no corners", "text: [no corners]", ["line 9, class 'disc', description 2", "must be text, got a list"]),
        ("{source: a book}", "{sorce: a book}", ["line 10", "did you mean 'source'"]),
        ("{source: a book}", "a book", ["line 10", "must be a mapping of keys to values, got 'a book'"]),
        ("modality: toys", "template: 'a {class}'", ["line 2, task.template", "has no {description}"]),
        (
            "modality: toys",
            "template: '{clas} {description}'",
            ["unknown placeholder '{clas}': did you mean '{class}'"],
        ),
        ("modality: toys", "template: '{class!r} {description}'", ["unknown placeholder '{class!r}'"]),
        ("modality: toys", "template: '{description:3}'", ["unknown placeholder '{description:3}'"]),
        ("modality: toys", "template: '{} {description}'", ["unknown placeholder '{}'"]),
        ("modality: toys", "template: 'a { {description}'", ["lone brace"]),
        ("kpl_knowledge: 1", "kpl_knowledge: 3", ["line 1, kpl_knowledge", "reads formats 1 and 2, got 3"]),
        ("kpl_knowledge: 1", "kpl_knowlege: 1", ["line 1", "did you mean 'kpl_knowledge'"]),
        ("kpl_knowledge: 1\n", "", ["begin the file with 'kpl_knowledge: 2'"]),
        ("task: {name: shapes, modality: toys}\n", "", ["task: is missing"]),
        ("name: shapes, ", "", ["line 2, task.name", "is missing: add it"]),
        ("task: {name: shapes, modality: toys}", "task:", ["line 2, task", "is empty"]),
        ("  - key: disc", "\t- key: disc", ["line 5", "indented with a tab"]),
        ("author: me", "author: *me", ["line 3", "the alias *me is not taken: write the text out"]),
        ("author: me", "author: !!python/object:os.system me", ["line 3", "the tag", "remove it"]),
        ("author: me", "3: me", ["line 3", "'3' is not a text key"]),
        ("author: me", "? [a]\n  : me", ["is not a text key"]),
        ("author: me", "author: [[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]", ["line 3", "nested too deeply"]),
        ("classes:", "---\nclasses:", ["line 4", "a second document begins"]),
        ("author: me", "author: m\x07e", ["line 3", "a control character"]),
        ("author: me", "author: 'me", ["not valid YAML"]),
        ("author: me", 'author: "\\Uffffffff"', ["not valid YAML"]),
        ("author: me", 'author: "\\ud800"', ["not valid YAML"]),
    ],
)
def test_errors_name_file_line_class_and_mend(tmp_path, old, new, parts):
    assert GOOD.count(old) == 1
    path = write(tmp_path, GOOD.replace(old, new))
    message = refused(path)
    assert message.startswith(str(path))
    for part in parts:
        assert part in message


def test_errors_in_json_have_their_lines_too(tmp_path):
    document = json.loads(json.dumps(load_knowledge(write(tmp_path, GOOD)).model_dump()))
    document["classes"][1]["descriptions"].append({"text": "Four corners!"})
    document["classes"][1]["descriptions"].append({"text": "four corners"})
    text = json.dumps(document, indent="\t")
    line = len(text[: text.index('"four corners"', text.index("Four corners!"))].splitlines()) - 1
    message = refused(write(tmp_path, text, "my.json"))
    assert f"line {line}, class 'box', description 3: repeats description 1" in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('{"a": ["x"],\n "b": ["y"],\n "a": ["z"]}', ["line 3", "key 'a' appears twice (first on line 1)"]),
        ('{"a": ["x"],\n "b": ["y",]}', ["line 2", "not valid JSON"]),
        ('{"a": ["x"]}', ["classes: there must be at least two to choose between, got 1: add another"]),
        ('{"a": ["x"],\n "b": []}', ["line 2, class 'b'", "no descriptions"]),
        ('{"a": ["x"],\n "b": "y"}', ["line 2, class 'b'", "must be a list of sentences, got 'y'"]),
        ('{"a": ["x"],\n "b": ["y",\n 3]}', ["line 3, class 'b', description 2", "must be a sentence, got 3"]),
        ('{"a": ["x"],\n "b": ["y",\n {"id": 1}]}', ["line 3, class 'b', description 2", "write it under 'feature'"]),
        ('{"a": ["x"],\n "b": [{"featur": "y"}]}', ["line 2", "unknown key 'featur'", "'id' and 'feature'"]),
        ('{"a": ["x"],\n "b": ["y", "Y"]}', ["line 2", "repeats description 1", "import --tidy"]),
        ('{"a": ["x"],\n "A": ["y"]}', ["line 2, class 'A'", "duplicate class"]),
        ('{"a": ["x"],\n "-": ["y"]}', ["line 2", "no letter or digit"]),
        ('{"a": ["\\ud800"],\n "b": ["y"]}', ["half a character at", "write the character itself"]),
        ('["x"]', ["holds a list at the top"]),
        ("{}", ["holds nothing at the top"]),
        ("[" * 100_000, ["nested too deeply"]),
        ('{"a": ' + "9" * 5000 + "}", ["not valid JSON", "check the numbers"]),
        ('{"classes": [],\n "b": ["y"]}', ["the version is missing"]),
    ],
)
def test_faults_of_plain_files(tmp_path, text, parts):
    message = refused(write(tmp_path, text, "plain.json"))
    for part in parts:
        assert part in message


def test_further_problems_are_counted(tmp_path):
    text = GOOD.replace("- four corners", "- 4\n      - 5\n      - 6")
    assert refused(write(tmp_path, text)).endswith("(and 2 more problems)")


def test_empty_file_and_wrong_encoding(tmp_path):
    assert "holds nothing at the top" in refused(write(tmp_path, ""))
    assert "line 3: not UTF-8 text: save the file with" in refused(write(tmp_path, b"a:\n- x\n- \xe4\n"))


def test_alias_bomb_and_huge_file_are_bounded(tmp_path, monkeypatch):
    bomb = "a: &a [x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    assert "the alias *a is not taken" in refused(write(tmp_path, bomb))
    monkeypatch.setattr(source_module, "MAX_BYTES", 10)
    assert "larger than" in refused(write(tmp_path, GOOD))


def test_neither_file_nor_pack_suggests_the_nearest(tmp_path):
    write(tmp_path, GOOD, "shapes.yaml")
    with pytest.raises(UnknownNameError, match="did you mean 'blood-cells'"):
        load_knowledge("blood-cell")
    with pytest.raises(KnowledgeError, match=r"did you mean .*shapes\.yaml"):
        load_knowledge(tmp_path / "shape.yaml")
    with pytest.raises(KnowledgeError, match="'kpl knowledge packs' lists the packs"):
        load_knowledge(tmp_path / "nowhere" / "shape.yaml")


def test_a_pack_that_is_not_shipped():
    with pytest.raises(UnknownNameError, match="unknown knowledge pack 'blood'"):
        read_pack("blood")


def test_wrong_kinds_of_path(tmp_path):
    assert "ends in .yaml, .yml, .json, not '.txt'" in refused(write(tmp_path, GOOD, "my.txt"))
    (tmp_path / "folder.yaml").mkdir()
    assert "not a file" in refused(tmp_path / "folder.yaml")


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    path = write(tmp_path, GOOD)

    def deny(*_args, **_keys):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", deny)
    assert "cannot be read (Permission denied): check its permissions" in refused(path)


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=60) | st.text(alphabet="ab:-,[]{}&*!|>'\"#%@`?\n\t \\~0.", max_size=60).map(str.encode))
def test_any_bytes_give_data_or_a_knowledge_error(raw):
    for is_json in (True, False):
        with contextlib.suppress(KnowledgeError):
            parse_source("drawn", raw, is_json=is_json)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9999, 9999) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def places(data, place=()):
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inner:
        yield (*place, key)
        yield from places(value, (*place, key))


@given(JSON)
def test_lines_of_any_json_are_those_of_its_keys_and_items(data):
    text = json.dumps(data, indent=1)
    source = parse_json("drawn", text)
    found = [source.line_of(place) for place in places(data)]
    assert source.data == data
    assert found == sorted(found)
    assert len(set(found)) == len(found), "with an indent, every entry has a line of its own"
    assert source.line_of(("no such key", 1)) is None


@given(JSON.filter(lambda data: data != {}))
def test_yaml_reads_json_as_json_does(data):
    text = json.dumps(data, indent=1)
    source = parse_yaml("drawn", text)
    assert source.data == data
    assert [source.line_of(p) for p in places(data)] == [parse_json("d", text).line_of(p) for p in places(data)]


PIECES = [
    "a",
    "b: ",
    "- ",
    "\n",
    "  ",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ", ",
    '"',
    "'",
    "#",
    ": ",
    "|",
    ">-",
    "é",
    "\u2028",
    "0",
]
PIECES += ["\\u00e9", "!x ", "&k ", "*k", "?", "%", "---", "...", "~"]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12))
def test_the_quick_parser_of_yaml_reads_what_the_slow_one_reads(pieces):
    text = "x: " + "".join(pieces)
    with contextlib.suppress(KnowledgeError):
        quick = yaml_text.parse_yaml("x", text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yaml, "__with_libyaml__", False)
            assert yaml_text.parse_yaml("x", text).data == quick.data


def test_plain_yaml_words_stay_words():
    text = "[yes, no, 2026-11-22, 1.5, 1e3, -2, .5, true, ~, 0x1F, 1_000, 12345678901234567890]"
    expected = ["yes", "no", "2026-11-22", 1.5, 1000.0, -2, 0.5, True, None, "0x1F", "1_000", "12345678901234567890"]
    assert parse_yaml("words", text).data == expected


# --------------------------------------------------------------------------------------------------------- writing


def test_writing_refuses_what_it_must(tmp_path, monkeypatch):
    kb = load_knowledge(write(tmp_path, GOOD))
    with pytest.raises(OutputError, match="exists already"):
        write_knowledge(kb, tmp_path / "my.yaml")
    with pytest.raises(OutputError, match=r"ends in .yaml, .yml, .json"):
        write_knowledge(kb, tmp_path / "my.txt")
    with pytest.raises(OutputError, match="cannot write"):
        write_knowledge(kb, tmp_path / "nowhere" / "my.yaml")

    def full(*_args, **_keys):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_knowledge(kb, tmp_path / "new.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["my.yaml"]


def test_importing_the_room_is_light():
    code = "import sys, kpl.knowledge; print(sorted({'yaml', 'numpy', 'torch', 'typer', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
