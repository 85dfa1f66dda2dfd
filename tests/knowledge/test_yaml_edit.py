"""A knowledge file changed in place: what was there stays to the character, what is added reads back as meant."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpl.errors import KnowledgeError, OutputError
from kpl.knowledge import Description, Provenance, load_knowledge, write_knowledge
from kpl.knowledge.editing import KnowledgeFile
from kpl.knowledge.source import parse_source
from kpl.knowledge.yaml_edit import to_scalar

LAYOUTS = """\
# the head
kpl_knowledge: 1   # the version
task: {name: x}
classes:
  # first
  - key: a   # end of line
    name: aa

  # about b
  - key: b
    descriptions:
      - one   # behind one
      - 'two'   # behind two
      # under two

  - key: c
    descriptions:
      - text: foo
        provenance: {author: me}   # behind me
      # under foo
  - {key: d, name: dd}   # behind d
  - {key: e, descriptions: [three, "four"], aliases: [ee]}
  # about f
  - key: f
    descriptions: [five, six]  # in one line
    aliases: [q,
      r]
    # inside f
  - key: g
    descriptions:
      - "long
         folded"
      - >
        # block
        scalar

      # under the block
  - key: h
    descriptions: []   # none yet
  - key: i
    descriptions:
    name: ii
  - {key: j, # a comment in braces
     name: jj}
  - {key: k, descriptions: ~, # another
     name: kk}
# the end
"""

FLOW = "{kpl_knowledge: 1, task: {name: x}, classes: [{key: a}, {key: b, descriptions: [c,]}, {key: d, absent: []}]}"
LIKE_JSON = '{\n  "kpl_knowledge": 1,\n  "task": {"name": "x"},\n  "classes": [{"key": "a"}, {"key": "b"}]\n}'
UNINDENTED = "kpl_knowledge: 1\ntask:\n  name: x\nclasses:\n- key: a\n  descriptions:\n  - one\n- key: b\n  absent: [z]"

ADDED = [
    Description(text="a new sentence"),
    Description(text="- colour: #1", provenance=Provenance(author="qwen3:8b", source='a "book", page 3')),
]


def opened(tmp_path, text, name="file.yaml"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    return KnowledgeFile(path)


def fill(file):
    for number, _ in enumerate(file.knowledge.classes):
        file.add_descriptions(number, ADDED)
    file.save()
    return load_knowledge(file.path)


@pytest.mark.parametrize(
    "text", [LAYOUTS, LAYOUTS.replace("\n", "\r\n"), FLOW, LIKE_JSON, UNINDENTED, "\ufeff" + LAYOUTS]
)
def test_every_layout_takes_additions_and_keeps_the_rest(tmp_path, text):
    file = opened(tmp_path, text)
    before = file.knowledge
    after = fill(file)
    for old, new in zip(before.classes, after.classes, strict=True):
        assert new == old.model_copy(update={"descriptions": (*old.descriptions, *ADDED)})
    assert after.task == before.task


@pytest.mark.parametrize("text", [LAYOUTS, LAYOUTS.replace("\n", "\r\n"), "\ufeff" + LAYOUTS])
def test_what_was_written_stays_in_its_order(tmp_path, text):
    file = opened(tmp_path, text)
    fill(file)
    written = file.path.read_bytes().decode()
    assert ("\r\n" in written) == ("\r\n" in text)
    assert written.startswith("\ufeff") == text.startswith("\ufeff")
    kept = [line for line in text.splitlines() if line.strip() and "{key" not in line and "descriptions:" not in line]
    rest = iter(written.splitlines())
    missing = [line for line in kept if not line.startswith("     name: ") and line not in rest]
    assert missing == []
    for remark in ("# behind d", "# in one line", "# none yet", "# a comment in braces", "# another", "# the end"):
        assert written.count(remark) == 1


def test_a_class_in_braces_becomes_lines(tmp_path):
    file = opened(tmp_path, LAYOUTS)
    fill(file)
    assert "  - key: d   # behind d\n    name: dd\n    descriptions:\n      - a new sentence\n" in file.path.read_text()


def test_new_lines_only(tmp_path):
    """In a file of blocks the additions are whole lines: taking them away gives the file of before."""
    text = "\n".join(
        line for line in LAYOUTS.splitlines() if "{key" not in line and "[" not in line and "jj" not in line
    )
    text = text.replace("    # inside f\n", "").replace("     name: kk}\n", "")
    file = opened(tmp_path, text)
    file.add_descriptions(1, [Description(text="added here")])
    file.save()
    written = file.path.read_text().splitlines()
    assert [line for line in written if line != "      - added here"] == text.splitlines()
    assert len(written) == len(text.splitlines()) + 1


@given(st.data())
def test_any_base_takes_additions(bases, tmp_path_factory, data):
    base = data.draw(bases)
    path = tmp_path_factory.mktemp("drawn") / "base.yaml"
    write_knowledge(base, path)
    file = KnowledgeFile(path)
    file.add_descriptions(0, ADDED[1:])
    file.add_absent(1, ["nothing of the kind"])
    file.save()
    first, second, *rest = base.classes
    assert load_knowledge(path).classes == (
        first.model_copy(update={"descriptions": (*first.descriptions, ADDED[1])}),
        second.model_copy(update={"absent": ("nothing of the kind",)}),
        *rest,
    )


def test_only_what_is_not_that_of_the_file_is_said(tmp_path):
    head = "kpl_knowledge: 1\ntask: {name: x}\nprovenance: {author: me}\nclasses:\n"
    file = opened(tmp_path, head + "- key: a\n- key: b\n")
    own = [Provenance(author="me"), None, Provenance(source="atlas.md")]
    file.add_descriptions(0, [Description(text=f"a {place}", provenance=each) for place, each in enumerate(own)])
    file.add_descriptions(1, [Description(text="three", provenance=own[2], against="a")])
    file.save()
    assert file.path.read_text() == (
        head.replace("1", "2") + "- key: a\n  descriptions:\n    - a 0\n"
        "    - text: a 1\n      provenance: {}\n"
        "    - text: a 2\n      provenance: {source: atlas.md}\n"
        "- key: b\n  descriptions:\n    - text: three\n      against: a\n      provenance: {source: atlas.md}\n"
    )
    found = [each.provenance for each in load_knowledge(file.path).classes[0].descriptions]
    assert found == [own[0], Provenance(), own[2]]


@given(own=st.sampled_from([None, {}, {"author": "me"}, {"author": "you", "source": "a book"}]))
@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@pytest.mark.parametrize("new", [Provenance(author="me"), Provenance(author="you"), Provenance()])
def test_any_provenance_gives_way_to_any_other(tmp_path_factory, suffix, own, new):
    """Also a sentence's own to one that is the file's."""
    stated = "" if own is None else f", provenance: {json.dumps(own)}"
    text = "kpl_knowledge: 2\ntask: {name: x}\nprovenance: {author: me}\nclasses:\n  - key: a\n    descriptions:\n"
    path = tmp_path_factory.mktemp("given") / "x.yaml"
    path.write_text(f'{text}      - {{"text": one{stated}}}\n  - {{key: b, descriptions: [two]}}\n')
    if suffix == ".json":
        data = parse_source("x", path.read_bytes(), is_json=False).data
        path = path.with_suffix(suffix)
        path.write_text(json.dumps(data))
    file = KnowledgeFile(path)
    file.change_description(0, 0, Description(text="another", provenance=new))
    file.save()
    (after,) = load_knowledge(path).classes[0].descriptions
    assert (after.text, after.provenance) == ("another", new)


def test_a_list_in_brackets_becomes_lines(tmp_path):
    text = UNINDENTED.replace("\n  - one\n", " [one, 'two: 2']  # mine\n").replace("absent: [z]", "aliases: [bb]")
    file = opened(tmp_path, text)
    file.add_descriptions(0, ADDED)
    file.add_absent(1, ["no b"])
    file.save()
    assert file.path.read_text() == (
        "kpl_knowledge: 1\ntask:\n  name: x\nclasses:\n- key: a\n  descriptions:   # mine\n"
        "    - one\n    - 'two: 2'\n    - a new sentence\n"
        '    - text: "- colour: #1"\n      provenance: {author: "qwen3:8b", source: "a \\"book\\", page 3"}\n'
        "- key: b\n  aliases: [bb]\n  absent:\n    - no b"
    )


@pytest.mark.parametrize("held", ["[one, # a remark\n    two]", "[one, two\n    and more]"])
def test_a_list_in_brackets_stays_where_lines_would_lose_something(tmp_path, held):
    file = opened(tmp_path, UNINDENTED.replace("\n  - one\n", f" {held}\n"))
    assert len(fill(file).classes[0].descriptions) == 4
    assert held[:-1] in file.path.read_text()


def test_json_keeps_its_order_and_indentation(tmp_path):
    text = json.dumps({"task": {"name": "é"}, "kpl_knowledge": 1, "classes": [{"key": "b"}, {"key": "a"}]}, indent=4)
    file = opened(tmp_path, text, "file.json")
    file.add_absent(1, ["nothing round"])
    assert [len(entry.descriptions) for entry in fill(file).classes] == [2, 2]
    written = file.path.read_text()
    assert list(json.loads(written)) == ["task", "kpl_knowledge", "classes"]
    assert '\n    "task": {\n' in written


def test_nothing_is_written_over_what_somebody_changed(tmp_path):
    file = opened(tmp_path, UNINDENTED)
    file.path.write_text(UNINDENTED + "\n# mine\n")
    with pytest.raises(OutputError, match="was changed while the command ran, so nothing is written"):
        fill(file)
    assert file.path.read_text().endswith("# mine\n")


def test_a_layout_without_a_safe_place_is_left_alone(tmp_path):
    text = "kpl_knowledge: 1\ntask: {name: x}\nclasses:\n- key: a\n- key: b\n  descriptions:\n  - |+\n    one\n\n"
    file = opened(tmp_path, text)
    with pytest.raises(KnowledgeError, match="leaves no safe place"):  # the empty line belongs to the sentence
        fill(file)
    assert file.path.read_text() == text


def test_plain_files_are_refused(tmp_path):
    with pytest.raises(KnowledgeError, match="bring it in with 'kpl knowledge import' first"):
        opened(tmp_path, "a: [one]\nb: [two]\n")


@pytest.mark.skipif(os.name == "nt", reason="links and permissions are those of POSIX systems")
def test_a_link_and_permissions_stay(tmp_path):
    real = tmp_path / "real.yaml"
    real.write_text(UNINDENTED)
    real.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(real)
    fill(KnowledgeFile(link))
    assert link.is_symlink()
    assert "a new sentence" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_sentence_set_against_a_class_is_kept_and_counts(tmp_path):
    file = opened(tmp_path, UNINDENTED)
    file.add_descriptions(0, [Description(text="larger", against="b")])
    file.add_descriptions(1, [Description(text="smaller")])
    file.save()
    base = load_knowledge(file.path)
    assert [each.against for each in base.classes[0].descriptions] == [None, "b"]
    plain = base.model_dump()
    plain["classes"][0]["descriptions"][1]["against"] = None
    assert base.content_hash() != type(base).model_validate(plain).content_hash()
    write_knowledge(base, tmp_path / "copy.yaml")
    assert load_knowledge(tmp_path / "copy.yaml") == base
    for wrong in ("a", "stranger"):
        file.path.write_text(file.path.read_text().replace("against: b", f"against: {wrong}"))
        with pytest.raises(
            KnowledgeError, match=f"line 9, class 'a', description 2, against: '{wrong}' is no other class"
        ):
            load_knowledge(file.path)
        file.path.write_text(file.path.read_text().replace(f"against: {wrong}", "against: b"))


@given(
    st.text(
        alphabet=st.characters(exclude_categories=("Cs", "Cc"))
        | st.sampled_from("\x7f\x85\u2028\ufeff#:-'\"{}[],&*!|>%@`"),
        min_size=1,
    )
)
def test_any_text_reads_back(text):
    for line in (f"a: {to_scalar(text)}", f"- {to_scalar(text)}"):
        data = parse_source("x", line.encode(), is_json=False).data
        assert (data["a"] if isinstance(data, dict) else data[0]) == text
