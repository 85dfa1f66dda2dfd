"""What a knowledge base promises once it exists."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import kpl.knowledge as room
from kpl.errors import KnowledgeError
from kpl.knowledge import DEFAULT_TEMPLATE, KnowledgeBase, Provenance


def base(**changes):
    document = {
        "kpl_knowledge": 1,
        "task": {"name": "shapes"},
        "classes": [
            {"key": "disc", "aliases": ["Round-Thing"], "descriptions": ["a round outline"]},
            {"key": "square_box", "descriptions": ["four corners", "straight sides"]},
        ],
    }
    return KnowledgeBase.model_validate(document | changes)


def test_public_names_exist():
    assert len(set(room.__all__)) == len(room.__all__)
    assert all(hasattr(room, name) for name in room.__all__)


@given(data=st.data())
def test_one_prompt_per_description_that_holds_name_and_sentence(bases, data):
    kb = data.draw(bases)
    assert [len(prompts) for prompts in kb.prompts()] == [len(entry.descriptions) for entry in kb.classes]
    for entry, prompts in zip(kb.classes, kb.prompts(), strict=True):
        assert all(entry.name in prompt for prompt in prompts)
        assert all(d.text in prompt for d, prompt in zip(entry.descriptions, prompts, strict=True))


@given(data=st.data())
def test_every_class_resolves_to_itself_in_any_spelling(bases, data):
    kb = data.draw(bases)
    for number, entry in enumerate(kb.classes):
        for spelling in (entry.key, entry.key.replace(" ", "_"), entry.key.replace(" ", ""), f" -{entry.key}_"):
            assert kb.resolve(spelling) == number


@pytest.mark.parametrize(
    ("label", "index"),
    [
        ("disc", 0),
        ("DISC", 0),
        ("round thing", 0),
        ("round_thing", 0),
        ("Square Box", 1),
        ("squarebox", 1),
        ("x", None),
    ],
)
def test_resolve_ignores_case_space_underscore_hyphen(label, index):
    assert base().resolve(label) == index


def test_resolve_matches_decomposed_folder_names():
    kb = base(classes=[{"key": "naïve", "descriptions": ["a"]}, {"key": "b", "descriptions": ["c"]}])
    assert kb.resolve(unicodedata.normalize("NFD", "naïve")) == 0


def test_frozen():
    with pytest.raises(ValidationError):
        base().task = None


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        (DEFAULT_TEMPLATE, "a photo of a disc."),
        ("{class}: {description}", "disc."),
        ("a smear of {class}, a {class} with {description}", "a smear of disc, a disc."),
        ("{description}", "a photo of a disc."),
        ("{description} on a {class}", "a photo of a disc."),
        ("a {{raw}} {class} with {description}", "a {raw} disc."),
    ],
)
def test_name_prompt_is_the_template_cut_after_the_class(template, prompt):
    assert base(task={"name": "t", "template": template}).name_prompts()[0] == prompt


def test_braces_in_names_and_sentences_are_plain_text():
    kb = base(
        task={"name": "t", "template": "{class} {description}"},
        classes=[{"key": "{description}", "descriptions": ["{class} {x}"]}, {"key": "b", "descriptions": ["c"]}],
    )
    assert kb.prompts()[0] == ["{description} {class} {x}"]
    assert kb.name_prompts()[0] == "{description}."


def test_name_defaults_to_the_key_in_words():
    assert base().classes[1].name == "square box"


def test_white_space_in_sentences_is_layout():
    kb = base(classes=[{"key": "a", "descriptions": ["  two\n lines "]}, {"key": "b", "descriptions": ["c"]}])
    assert kb.classes[0].descriptions[0].text == "two lines"


def test_a_description_has_its_own_provenance_or_that_of_the_file():
    kb = base(
        provenance={"author": "A", "reviewed_by": "R"},
        classes=[
            {"key": "a", "descriptions": ["x", {"text": "y", "provenance": {"source": "S"}}]},
            {"key": "b", "descriptions": ["z"]},
        ],
    )
    own, other = kb.classes[0].descriptions
    assert own.provenance == Provenance(author="A", reviewed_by="R")
    assert other.provenance == Provenance(source="S"), "a review of one sentence says nothing of another"


def test_hash_counts_content_and_not_layout():
    kb = base()
    assert base(task={"name": "another title", "version": 2}).content_hash() == kb.content_hash()
    assert base(task={"name": "shapes", "modality": "toys"}).content_hash() != kb.content_hash()
    assert base(task={"name": "shapes", "template": "{description}"}).content_hash() != kb.content_hash()
    assert base(classes=list(reversed(kb.model_dump()["classes"]))).content_hash() != kb.content_hash()
    provenance = {"author": "A"}
    spelled_out = [
        {**entry, "descriptions": [{**d, "provenance": provenance} for d in entry["descriptions"]]}
        for entry in kb.model_dump()["classes"]
    ]
    assert base(provenance=provenance).content_hash() == base(classes=spelled_out).content_hash()


def test_with_task_changes_what_is_stated_and_checks_it():
    kb = base().with_task(modality="toys", template="{description}")
    assert (kb.task.name, kb.task.modality, kb.task.template) == ("shapes", "toys", "{description}")
    with pytest.raises(KnowledgeError, match=r"template: .* has no {description}"):
        base().with_task(template="a {class}")


def test_schema_admits_a_sentence_as_text_or_mapping():
    schema = KnowledgeBase.model_json_schema()
    items = schema["$defs"]["KnowledgeClass"]["properties"]["descriptions"]["items"]
    assert {"type": "string"} in items["anyOf"]
    assert len(items["anyOf"]) == 2
    assert schema["additionalProperties"] is False
    assert ">>>" not in str(schema)


def with_absent(*absent):
    descriptions = ["a round outline", "no corner", "Smooth"]
    disc = {"key": "disc", "descriptions": descriptions, "absent": list(absent)}
    return base(classes=[disc, {"key": "box", "descriptions": ["four corners"]}])


def test_what_is_absent_is_stated_or_negated():
    template = "a photo of a disc, which has "
    negated = [template + text for text in ("no round outline", "corner", "no Smooth")]
    assert with_absent().absent_prompts() == [negated, ["a photo of a box, which has no four corners"]]
    assert with_absent("straight sides").absent_prompts()[0] == [template + "straight sides"]
    stated = ["edges", "corners", "rough"]
    assert with_absent(*stated).absent_prompts()[0] == [template + text for text in stated]
    with pytest.raises(ValidationError, match="2 absent sentences for 3 descriptions"):
        with_absent("one", "two")


def test_absent_sentences_survive_writing_and_count_in_the_hash_only_when_stated(tmp_path):
    stated = with_absent("straight sides")
    for name in ("a.yaml", "a.json"):
        room.write_knowledge(stated, tmp_path / name)
        assert room.load_knowledge(tmp_path / name) == stated
    assert stated.content_hash() != with_absent().content_hash()
    # What a file without the key hashed to before the key existed.
    assert base().content_hash() == "06b2f4075881173859be722b292bf3805de3281ea411b5a9e2722eaece8901ca"
