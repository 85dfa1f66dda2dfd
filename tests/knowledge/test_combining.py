"""What two knowledge bases say differently, and one made of two."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from kpl.cli.knowledge import app
from kpl.errors import KnowledgeError, OutputError
from kpl.knowledge import KnowledgeBase, Provenance, load_knowledge, write_knowledge
from kpl.knowledge.combining import diff_knowledge, merge_knowledge
from kpl.knowledge.folding import fold_sentence
from kpl.knowledge.packs import read_pack


def base(author="me", **classes):
    entries = [
        {"key": key, **(said if isinstance(said, dict) else {"descriptions": said})} for key, said in classes.items()
    ]
    return KnowledgeBase.model_validate(
        {
            "kpl_knowledge": 1,
            "task": {"name": "x"},
            "provenance": {"author": author} if author else None,
            "classes": entries,
        }
    )


@pytest.fixture
def merged(tmp_path):
    """Merge by files."""

    def merge(first, second):
        for name, knowledge in (("a", first), ("b", second)):
            write_knowledge(knowledge, tmp_path / f"{name}.yaml", overwrite=True)
        said = merge_knowledge(tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "c.yaml", overwrite=True)
        assert load_knowledge(tmp_path / "c.yaml") == said
        return said

    return merge


FIRST = base(disc=["round", "a thin rim"], box=["four corners"])
SECOND = base("you", Box={"aliases": ["square"], "descriptions": ["Four corners.", "four sides"]}, star=["five points"])
FILE = """\
# mine
kpl_knowledge: 1   # as it was
task: {name: "x"}
provenance: {author: Prof. A, source: a book, reviewed_by: Prof. B}
classes:
  # the round one
  - key: 'disc'
    aliases: [circle]
    descriptions:
      - 'round'   # all agree
      # under it
  - {key: box, descriptions: [four corners]}   # in braces
    # of box

# the end
"""


def told(first, second):
    return [(c.sign, c.class_key, c.kind, c.text) for c in diff_knowledge(first, second)]


def test_diff_tells_what_only_one_says():
    assert told(FIRST, SECOND) == [
        ("-", "disc", "class", "disc"),
        ("+", "box", "alias", "square"),
        ("+", "box", "description", "four sides"),
        ("+", "star", "class", "star"),
    ]
    assert diff_knowledge(FIRST, FIRST) == []
    assert diff_knowledge(FIRST, FIRST.with_task(modality="toys"))[1].text == "modality: toys"


def test_diff_tells_of_names_absent_sentences_and_what_a_sentence_is_set_against():
    def disc(against=None, absent=(), name="disc"):
        said = [{"text": "round", "against": against}, "thin"]
        return base(
            disc={"name": name, "descriptions": said, "absent": absent},
            box={"aliases": ["square"], "descriptions": ["flat"]},
        )

    assert told(disc(), disc("box")) == [
        ("-", "disc", "description", "round"),
        ("+", "disc", "description", "round (against box)"),
    ]
    assert told(disc("square"), disc("box")) == []
    assert told(disc(), disc(name="circle")) == [("-", "disc", "name", "disc"), ("+", "disc", "name", "circle")]
    assert told(disc(absent=["no disc"]), disc(absent=["edgy"])) == [
        ("-", "disc", "absent", "no disc"),
        ("+", "disc", "absent", "edgy"),
    ]
    assert told(disc(absent=["edgy", "thick"]), disc(absent=["edgy", "fat"])) == [
        ("-", "disc", "absent", "thick"),
        ("+", "disc", "absent", "fat"),
    ]
    assert told(disc(absent=["edgy", "thick"]), disc(absent=["edgy", "Thick."])) == []


def test_what_was_rejected_stays_rejected(merged):
    refused = {"text": "Four sides", "rejected_by": "Dr. A", "rejected_on": "2026-11-22"}
    first = base(disc=["round"], box={"descriptions": ["four corners"], "rejected": [refused]})
    box = merged(first, SECOND).classes[1]
    assert [each.text for each in box.descriptions] == ["four corners"]
    assert [each.text for each in box.rejected] == ["Four sides"]
    paired = base(disc=["round"], box={"descriptions": ["four corners", "four sides"], "absent": ["no", "none"]})
    with_absent = first.model_copy(
        update={"classes": (first.classes[0], first.classes[1].model_copy(update={"absent": ("no",)}))}
    )
    assert merged(with_absent, paired).classes[1].absent == ("no",)


def test_two_modalities_are_not_merged(merged):
    toys, smears = FIRST.with_task(modality="toys"), SECOND.with_task(modality="blood smear")
    with pytest.raises(KnowledgeError, match="one is about 'toys', the other about 'blood smear'"):
        merged(toys, smears)
    assert merged(toys, SECOND).task.modality == "toys"


def test_merge_adds_and_keeps_who_wrote_what(merged):
    said = merged(FIRST, SECOND)
    assert [entry.key for entry in said.classes] == ["disc", "box", "star"]
    corners, sides = said.classes[1].descriptions
    assert (corners.provenance.author, sides.provenance.author) == ("me", "you")
    assert said.resolve("square") == 1
    assert {c.sign for c in diff_knowledge(FIRST, said)} == {"+"}
    assert merged(FIRST, FIRST).classes == FIRST.classes


def test_what_nobody_has_signed_is_not_signed_by_the_first(merged):
    first = base(disc=["round"], box=["flat"])
    said = merged(first, base(None, disc=["thin"], star=["five points"]))
    own, new = said.classes[0].descriptions
    assert own.provenance == Provenance(author="me")
    assert new.provenance == said.classes[2].descriptions[0].provenance == Provenance()
    assert merged(said, said) == said


KEYS = ("disc", "box", "star", "ring")
SENTENCES = ("round", "a thin rim", "four corners", "flat: yes", "five points")
PROVENANCE = st.none() | st.fixed_dictionaries(
    {}, optional={"author": st.sampled_from("ab"), "reviewed_by": st.just("r"), "reviewed_on": st.just("2026-11-22")}
)


@st.composite
def overlapping(draw):
    """Bases of few classes and sentences, so that two of them have much in common."""
    classes = []
    for key in draw(st.lists(st.sampled_from(KEYS), min_size=2, unique=True)):
        texts = draw(st.lists(st.sampled_from(SENTENCES), min_size=1, unique=True))
        described = [{"text": text, "provenance": draw(PROVENANCE)} for text in texts]
        absent = draw(st.sampled_from([[], ["nothing"], [f"not {text}" for text in texts], ["other"] * len(texts)]))
        classes.append({"key": key, "descriptions": described, "absent": absent})
    document = {"kpl_knowledge": 2, "task": {"name": "x"}, "provenance": draw(PROVENANCE), "classes": classes}
    return KnowledgeBase.model_validate(document)


@settings(deadline=None)
@given(first=overlapping(), second=overlapping(), suffixes=st.lists(st.sampled_from((".yaml", ".json")), min_size=3))
def test_every_sentence_keeps_its_provenance_and_none_is_lost(tmp_path_factory, first, second, suffixes):
    a, b, c = (
        tmp_path_factory.mktemp("merged") / f"{name}{suffix}" for name, suffix in zip("abc", suffixes, strict=False)
    )
    write_knowledge(first, a)
    write_knowledge(second, b)
    try:
        merge_knowledge(a, b, c)
    except KnowledgeError:
        reject()
    after = load_knowledge(c)
    origin = {}
    for knowledge in (second, first):  # what both say is the first's
        for entry in knowledge.classes:
            for each in entry.descriptions:
                origin[entry.key, each.text] = each.provenance or Provenance()
    found = {
        (entry.key, each.text): each.provenance or Provenance()
        for entry in after.classes
        for each in entry.descriptions
    }
    assert found == origin
    for knowledge in (first, second):
        for entry in knowledge.classes:
            kept = after.classes[after.resolve(entry.key)]
            assert {*entry.absent} <= {*kept.absent}
            if len(entry.absent) == len(entry.descriptions) > 1:
                pairs = dict(zip([d.text for d in kept.descriptions], kept.absent, strict=True))
                assert [pairs[d.text] for d in entry.descriptions] == list(entry.absent)


def test_absent_sentences_are_kept_or_refused(merged):
    def disc(*said, absent=()):
        return base(disc={"descriptions": said, "absent": absent}, box=["flat"])

    def absent(first, second):
        return merged(first, second).classes[0].absent

    both, one = disc("a", "b", absent=["no a", "no b"]), disc("a", absent=["no a"])
    assert absent(disc("b", "a"), both) == ("no b", "no a")
    assert absent(one, both) == ("no a", "no b")
    assert absent(one, disc("b", absent=["no b"])) == ("no a", "no b")
    assert absent(disc("a"), disc("b", "c", absent=["none"])) == ("none",)
    assert absent(disc("a", "b", absent=["none"]), disc("c")) == ("none",)
    assert absent(both, disc("b")) == ("no a", "no b")
    for first, second in (
        (both, disc("c")),
        (both, disc("a", "b", absent=["no a", "never b"])),
        (both, disc("a", "b", absent=["none"])),
        (disc("a", "b", absent=["none"]), both),
        (disc("a", "b", absent=["none"]), disc("a", "b", absent=["nothing"])),
        (disc("c"), both),
    ):
        with pytest.raises(KnowledgeError, match="class 'disc': the absent sentences of the two can be kept neither"):
            merged(first, second)


def test_what_a_sentence_is_set_against_is_kept_or_refused(merged):
    def disc(against):
        others = {"box": {"aliases": ["square"], "descriptions": ["flat"]}, "star": ["pointed"]}
        return base(disc={"descriptions": [{"text": "round", "against": against}]}, **others)

    for first, second in ((None, "box"), ("box", None), ("box", "square")):
        assert merged(disc(first), disc(second)).classes[0].descriptions[0].against == "box"
    with pytest.raises(KnowledgeError, match="'round' is set against 'box' in the first and 'star' in the second"):
        merged(disc("box"), disc("star"))


def test_what_does_not_go_together(merged):
    with pytest.raises(KnowledgeError, match="do not go together"):
        merged(FIRST, base(disc={"aliases": ["box"], "descriptions": ["f"]}, star=["e"]))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_first_file_stays_as_it_is(tmp_path, newline):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_bytes(FILE.replace("\n", newline).encode())
    second.write_text(
        "kpl_knowledge: 1\ntask: {name: y}\nclasses:\n"
        "  - {key: disc, aliases: [ball], descriptions: [round, thin]}\n"
        "  - {key: star, aliases: [sun], descriptions: [five points, {text: a tip, provenance: {author: you}}],"
        " absent: [no, none]}\n"
    )
    merge_knowledge(first, second, first, overwrite=True)
    after = (
        FILE.replace("[circle]", "[circle, ball]")
        .replace("# all agree\n", "# all agree\n      - text: thin\n        provenance: {}\n")
        .replace(
            "    # of box\n",
            "    # of box\n  - key: star\n    name: star\n    aliases: [sun]\n    descriptions:\n"
            "      - text: five points\n        provenance: {}\n"
            '      - text: a tip\n        provenance: {author: you}\n    absent:\n      - "no"\n      - none\n',
        )
    )
    assert first.read_bytes().decode() == after.replace("\n", newline)
    with pytest.raises(OutputError, match="is there already"):
        merge_knowledge(first, second, first)
    with pytest.raises(OutputError, match="exists already"):
        merge_knowledge(first, second, second)


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_the_first_may_be_of_another_kind(tmp_path, name):
    """A plain file of sentences has no place for provenance, JSON none for YAML: it is laid out anew."""
    plain = tmp_path / name
    plain.write_text(json.dumps({"disc": ["round"], "box": ["flat"]}))
    write_knowledge(SECOND, tmp_path / "b.json")
    said = merge_knowledge(plain, tmp_path / "b.json", tmp_path / "c.yaml")
    assert [entry.key for entry in said.classes] == ["disc", "box", "star"]
    assert load_knowledge(tmp_path / "c.yaml") == said
    assert [each.provenance for each in said.classes[1].descriptions] == [None, *[Provenance(author="you")] * 2]


def test_a_pack_may_come_first(tmp_path):
    write_knowledge(SECOND, tmp_path / "b.yaml")
    said = merge_knowledge("blood-cells", tmp_path / "b.yaml", tmp_path / "c.yaml")
    blood = load_knowledge("blood-cells")
    assert said.classes[: len(blood.classes)] == blood.classes
    assert said.resolve("star") is not None
    assert (tmp_path / "c.yaml").read_text().startswith(read_pack("blood-cells").decode().rstrip("\n"))


def test_classes_in_brackets_take_another(tmp_path):
    first = tmp_path / "a.yaml"
    first.write_text(
        "{kpl_knowledge: 1, task: {name: x}, classes: [{key: a, descriptions: [c]}, {key: b, descriptions: [d]}]}"
    )
    write_knowledge(SECOND, tmp_path / "b.yaml")
    said = merge_knowledge(first, tmp_path / "b.yaml", tmp_path / "c.yaml")
    assert [entry.key for entry in said.classes] == ["a", "b", "Box", "star"]


def test_the_version_grows_with_what_is_added(merged):
    assert merged(FIRST, SECOND).kpl_knowledge == 1
    for own in ({"reviewed_on": "2026-11-22"}, {"author": "me"}):
        star = {"descriptions": [{"text": "tips", "provenance": own}], "ignore": [{"rule": "K301", "reason": "meant"}]}
        assert merged(FIRST, base(disc=["round"], star=star)).kpl_knowledge == 2
        disc = {"descriptions": [{"text": "tips", "provenance": own}]}
        assert merged(FIRST, base(disc=disc, box=["flat"])).kpl_knowledge == 1 + ("reviewed_on" in own)


def test_the_commands(tmp_path):
    for name, knowledge in (("a", FIRST), ("b", SECOND)):
        write_knowledge(knowledge, tmp_path / f"{name}.yaml")
    files = [str(tmp_path / f"{name}.yaml") for name in "ab"]
    differing = CliRunner().invoke(app, ["diff", *files])
    assert "- class: disc\n" in differing.stdout
    assert "+ box, description: four sides" in differing.stdout
    assert differing.exit_code == 1
    assert CliRunner().invoke(app, ["diff", files[0], files[0]]).exit_code == 0
    out = tmp_path / "c.yaml"
    assert "3 classes, 5 descriptions" in CliRunner().invoke(app, ["merge", *files, "-o", str(out)]).stdout
    assert {fold_sentence(d.text) for d in load_knowledge(out).classes[1].descriptions} == {
        "four corners",
        "four sides",
    }
