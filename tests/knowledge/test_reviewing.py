"""A review: the file on disk always holds the decisions so far, and undoing leaves no trace."""

from __future__ import annotations

import pytest

from kpl.errors import KnowledgeError, OutputError
from kpl.knowledge import Provenance, load_knowledge
from kpl.knowledge.reviewing import Review

YAML = """\
# mine
kpl_knowledge: 1
task: {name: x}
provenance: {author: me}
classes:
  - key: disc   # the round one
    descriptions:
      - a round outline   # first
      - a thin rim
      - text: a flat face
        provenance: {author: you, reviewed_by: her}
  - key: box
    descriptions:
      - four corners
      - four sides
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text(YAML)
    return file


def test_every_decision_is_on_disk_at_once(path):
    review = Review(path, "Dr. A", "2026-11-22")
    assert review.total == 4
    review.accept()
    review.edit("a very thin rim")
    review.reject()
    base = load_knowledge(path)
    first, second, third = base.classes[0].descriptions
    assert (first.text, second.text) == ("a round outline", "a very thin rim")
    assert first.provenance.reviewed_by == second.provenance.reviewed_by == "Dr. A"
    assert (first.provenance.author, first.provenance.reviewed_on) == ("me", "2026-11-22")
    assert third.provenance.reviewed_by == "her"
    assert [d.text for d in base.classes[1].descriptions] == ["four sides"]
    (record,) = base.classes[1].rejected
    assert (record.text, record.rejected_by, record.author) == ("four corners", "Dr. A", "me")
    assert review.counts() == {"accepted": 1, "edited": 1, "rejected": 1}
    assert all(comment in path.read_text() for comment in ("# mine", "# the round one", "# first"))
    assert Review(path, "B", "2026-11-23").total == 1


def test_what_is_edited_is_the_reviewers_own(path):
    own = '      - {text: old, against: box, provenance: {author: "qwen3:8b", written: 2026-01-01, source: a book}}\n'
    path.write_text(YAML.replace("      - a thin rim\n", own))
    before = path.read_bytes()
    review = Review(path, "Dr. A", "2026-11-22")
    review.accept()
    review.edit("new")
    entry = load_knowledge(path).classes[0]
    signed = {"reviewed_by": "Dr. A", "reviewed_on": "2026-11-22"}
    assert entry.descriptions[1].text == "new"
    assert entry.descriptions[1].against == "box"
    assert entry.descriptions[1].provenance == Provenance(author="Dr. A", written="2026-11-22", **signed)
    (record,) = entry.rejected
    assert record.model_dump() == {
        "text": "old",
        "rejected_by": "Dr. A",
        "rejected_on": "2026-11-22",
        "author": "qwen3:8b",
        "written": "2026-01-01",
        "source": "a book",
        "against": "box",
    }
    assert review.undo()
    assert review.undo()
    assert path.read_bytes() == before


def test_an_edit_by_the_author_of_the_file_is_not_the_former_authors(path):
    """Also where the new provenance is that of the file, which a plain sentence would have."""
    file = "{author: Dr. A, written: 2026-11-22, reviewed_by: Dr. A, reviewed_on: 2026-11-22}"
    path.write_text(
        YAML.replace("{author: me}", file)
        .replace("- four corners", "- {text: four corners, provenance: {author: you}}")
        .replace("{author: you, reviewed_by: her}", "{author: you}")
    )
    review = Review(path, "Dr. A", "2026-11-22")
    assert review.total == 2
    review.edit("a very flat face")
    review.edit("just four corners")
    base = load_knowledge(path)
    assert {each.provenance.author for entry in base.classes for each in entry.descriptions} == {"Dr. A"}


def test_absent_sentences_are_shown_with_what_they_deny(path):
    path.write_text(YAML + "    absent: [round corners, no sides]\n")
    review = Review(path, "Dr. A", "2026-11-22")
    assert review.unshown == 0
    shown = []
    while review.turn:
        shown.append(review.turn.absent)
        review.reject() if review.turn.description.text == "four corners" else review.accept()
    assert shown == [None, None, "round corners", "no sides"]
    assert load_knowledge(path).classes[1].absent == ("no sides",)
    assert Review(path, "B", "2026-11-23").unshown == 1
    path.write_text(YAML + "    absent: [round corners]\n")
    review = Review(path, "Dr. A", "2026-11-22")
    for _ in range(2):
        review.accept()
    assert review.turn.absent == "round corners"


def test_undo_restores_the_file_to_the_byte(path):
    review = Review(path, "Dr. A", "2026-11-22")
    review.reject()
    review.accept()
    assert review.undo()
    assert review.undo()
    assert not review.undo()
    assert path.read_text() == YAML


def test_what_cannot_be_decided(path):
    review = Review(path, "Dr. A", "2026-11-22")
    for text, problem in (("  ", "is empty"), ("A thin rim.", "has this sentence already")):
        with pytest.raises(KnowledgeError, match=problem):
            review.edit(text)
    for _ in range(2):
        review.accept()
    review.reject()
    with pytest.raises(KnowledgeError, match="last description of its class"):
        review.reject()
    review.accept()
    assert review.turn is None
    with pytest.raises(KnowledgeError, match="every sentence has been reviewed"):
        review.accept()


def test_a_file_changed_by_somebody_else_is_not_overwritten(path):
    review = Review(path, "Dr. A", "2026-11-22")
    review.accept()
    path.write_text(path.read_text() + "# theirs\n")
    with pytest.raises(OutputError, match="was changed while"):
        review.accept()
    assert review.done == 1
    assert path.read_text().endswith("# theirs\n")
