"""What two knowledge bases say differently, and one made of two."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from kpl.cli.knowledge import app
from kpl.errors import KnowledgeError
from kpl.knowledge import KnowledgeBase, load_knowledge, write_knowledge
from kpl.knowledge.combining import diff_knowledge, merge_knowledge


def base(author="me", **classes):
    entries = [
        {"key": key, **(said if isinstance(said, dict) else {"descriptions": said})} for key, said in classes.items()
    ]
    return KnowledgeBase.model_validate(
        {"kpl_knowledge": 1, "task": {"name": "x"}, "provenance": {"author": author}, "classes": entries}
    )


FIRST = base(disc=["round", "a thin rim"], box=["four corners"])
SECOND = base("you", Box={"aliases": ["square"], "descriptions": ["Four corners.", "four sides"]}, star=["five points"])


def test_diff_tells_what_only_one_says():
    told = [(c.sign, c.class_key, c.kind, c.text) for c in diff_knowledge(FIRST, SECOND)]
    assert told == [
        ("-", "disc", "class", "disc"),
        ("+", "box", "alias", "square"),
        ("+", "box", "description", "four sides"),
        ("+", "star", "class", "star"),
    ]
    assert diff_knowledge(FIRST, FIRST) == []
    assert diff_knowledge(FIRST, FIRST.with_task(modality="toys"))[1].text == "modality: toys"


def test_what_was_rejected_stays_rejected():
    refused = {"text": "Four sides", "rejected_by": "Dr. A", "rejected_on": "2026-11-22"}
    first = base(disc=["round"], box={"descriptions": ["four corners"], "rejected": [refused]})
    box = merge_knowledge(first, SECOND).classes[1]
    assert [each.text for each in box.descriptions] == ["four corners"]
    assert [each.text for each in box.rejected] == ["Four sides"]


def test_two_modalities_are_not_merged():
    toys, smears = FIRST.with_task(modality="toys"), SECOND.with_task(modality="blood smear")
    with pytest.raises(KnowledgeError, match="one is about 'toys', the other about 'blood smear'"):
        merge_knowledge(toys, smears)
    assert merge_knowledge(toys, SECOND).task.modality == "toys"


def test_merge_adds_and_keeps_who_wrote_what():
    merged = merge_knowledge(FIRST, SECOND)
    assert [entry.key for entry in merged.classes] == ["disc", "box", "star"]
    corners, sides = merged.classes[1].descriptions
    assert (corners.provenance.author, sides.provenance.author) == ("me", "you")
    assert merged.resolve("square") == 1
    assert {c.sign for c in diff_knowledge(FIRST, merged)} == {"+"}
    assert merge_knowledge(FIRST, FIRST).classes == FIRST.classes


def test_what_does_not_go_together():
    paired = base(disc={"descriptions": ["a", "b"], "absent": ["c", "d"]}, box=["e"])
    with pytest.raises(KnowledgeError, match="paired"):
        merge_knowledge(paired, base(disc=["f"], box=["e"]))
    with pytest.raises(KnowledgeError, match="do not go together"):
        merge_knowledge(FIRST, base(disc={"aliases": ["box"], "descriptions": ["f"]}, star=["e"]))


def test_the_commands(tmp_path):
    for name, knowledge in (("a", FIRST), ("b", SECOND)):
        write_knowledge(knowledge, tmp_path / f"{name}.yaml")
    files = [str(tmp_path / f"{name}.yaml") for name in "ab"]
    assert "+ box, description: four sides" in CliRunner().invoke(app, ["diff", *files]).stdout
    out = tmp_path / "c.yaml"
    assert "3 classes, 5 descriptions" in CliRunner().invoke(app, ["merge", *files, "-o", str(out)]).stdout
    assert load_knowledge(out) == merge_knowledge(FIRST, SECOND)
