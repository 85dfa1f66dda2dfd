"""Descriptions changed and removed in place: comments and layout stay, and the file reads back as meant."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.errors import KnowledgeError
from kpl.knowledge import Description, KnowledgeBase, Provenance, load_knowledge
from kpl.knowledge.editing import KnowledgeFile
from kpl.knowledge.records import Rejected

LAYOUTS = """\
# the head
kpl_knowledge: 1   # the version
task: {name: x}
provenance: {author: me}
classes:
  - key: b
    descriptions:
      - one   # behind one
      # under one
      - 'two'   # behind two
      - three
    absent:
      - not one  # first
      - not two
      - not three

  - key: c
    descriptions:
      - text: foo   # behind foo
        provenance: {author: you}   # behind you
      # under foo
      - {text: bar, provenance: {author: you}}
      - text: baz
        ignore:
          - {rule: K301, reason: meant}  # why
  - {key: e, descriptions: [four, "five", {text: six}], aliases: [ee]}
  - key: g
    descriptions:
      - "long
         folded"
      - >
        # block
        scalar

      # under the block
      - seven
"""
SIGNED = Provenance(author="me", reviewed_by="Dr. A, B: C", reviewed_on="2026-11-22")


@settings(deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_any_change_and_removal_reads_back_and_keeps_comments(tmp_path_factory, data, suffix):
    path = tmp_path_factory.mktemp("edit") / f"my{suffix}"
    path.write_text(LAYOUTS)
    if suffix == ".json":
        path.write_text(json.dumps(_plain(tmp_path_factory)))
    before = load_knowledge(path)
    file = KnowledgeFile(path)
    wanted = []
    for number, entry in enumerate(before.classes):
        count = len(entry.descriptions)
        gone = data.draw(st.sets(st.integers(0, count - 1), max_size=count - 1))
        changed = data.draw(st.sets(st.integers(0, count - 1))) - gone
        file.remove_descriptions(number, list(gone))
        for position in gone:
            file.record_rejected(number, Rejected(text=entry.descriptions[position].text, rejected_by="me"))
        texts = [each.text for each in entry.descriptions]
        for position in changed:
            texts[position] += ": edited"
            file.change_description(number, position, Description(text=texts[position], provenance=SIGNED))
        wanted.append([(text, i in changed) for i, text in enumerate(texts) if i not in gone])
    file.save()
    after = load_knowledge(path)
    found = [[(d.text, d.provenance == SIGNED) for d in entry.descriptions] for entry in after.classes]
    assert found == wanted
    if suffix == ".yaml":
        text = path.read_text()
        assert text.startswith("# the head\n")
        assert all(comment in text for comment in ("# the version", "# under one", "# under foo", "# under the block"))


def _plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "x.yaml"
    path.write_text(LAYOUTS)
    file = KnowledgeFile(path)
    return file._data


def test_the_absent_sentence_goes_with_its_description(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(LAYOUTS)
    file = KnowledgeFile(path)
    file.remove_descriptions(0, [1])
    file.save()
    assert load_knowledge(path).classes[0].absent == ("not one", "not three")
    assert "# behind two" not in path.read_text()
    assert LAYOUTS.replace("      - 'two'   # behind two\n", "").replace("      - not two\n", "") == path.read_text()


def test_the_last_description_of_a_class_stays(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(LAYOUTS)
    with pytest.raises(KnowledgeError, match="its last description cannot go"):
        KnowledgeFile(path).remove_descriptions(0, [0, 1, 2])


def test_what_is_said_in_the_records_of_review_does_not_count_in_the_hash(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(LAYOUTS)
    base = load_knowledge(path)
    file = KnowledgeFile(path)
    file.record_rejected(0, Rejected(text="gone", rejected_by="me", rejected_on="2026-11-22"))
    file.save()
    after = load_knowledge(path)
    assert after.kpl_knowledge == 2
    assert after.classes[0].rejected[0].text == "gone"
    assert after.content_hash() == base.content_hash()
    assert KnowledgeBase.model_validate(after.model_dump()).classes[0].rejected == after.classes[0].rejected
