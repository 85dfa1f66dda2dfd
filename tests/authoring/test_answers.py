"""Whatever a model says around its descriptions stays outside."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpl.authoring.answers import clean_sentence, fold_loosely, read_answer, read_json, read_numbers
from kpl.knowledge import Description

GOOD = ["a dark round nucleus", "pale pink cytoplasm", "fine granules along the border"]

SHAPES = {
    "json": json.dumps({"descriptions": GOOD}),
    "list": json.dumps(GOOD),
    "fence": f"Sure! Here you go:\n```json\n{json.dumps({'features': GOOD}, indent=2)}\n```\nLet me know if it helps.",
    "grid": json.dumps({"nucleus": GOOD[:1], "rest": {"colour": GOOD[1:2], "texture": GOOD[2]}}),
    "objects": json.dumps([{"id": n, "feature": text} for n, text in enumerate(GOOD)]),
    "numbers": "Here are 3 visual features:\n\n" + "\n".join(f"{n}. {text}." for n, text in enumerate(GOOD, 1)),
    "brackets": "\n".join(f"{n}) **{text}**" for n, text in enumerate(GOOD, 1)),
    "bullets": "### Neutrophil\n\n" + "\n".join(f"- {text}" for text in GOOD) + "\n\nNote: consult a doctor.",
    "labels": "\n".join(f"* **Part {n}:** {text}" for n, text in zip("xyz", GOOD, strict=True)),
    "lines": "\n".join(GOOD),
    "thinking": f"<think>The user wants 3.\n- [1] a wrong idea\n- another wrong idea</think>\n{json.dumps(GOOD)}",
    "thought": f"Okay, let me see {{...}}\n</think>\n{json.dumps(GOOD)}",
    "quoted": "\n".join(f'{n}. "{text}"' for n, text in enumerate(GOOD, 1)),
    "html": "\n".join(f"- <b>{text}</b>&nbsp;" for text in GOOD),
    "repeats": "\n".join(f"- {text}" for text in [*GOOD, "A dark, round nucleus.", GOOD[1].upper()]),
    "cut": json.dumps({"descriptions": [*GOOD, "and one that is cut in the midd"]})[:-6],
    "refusal inside": "\n".join(
        f"- {text}" for text in [*GOOD, "I'm sorry, I cannot describe more.", "As an AI language model"]
    ),
    "prose": "A dark round nucleus. Pale pink cytoplasm.\n\nFine granules along the border.",
    "names": "\n".join(f"- {text}" for text in ["Neutrophil", *GOOD, "**Basophil**"]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_sentences(shape):
    said = [said.text for said in read_answer(SHAPES[shape], ["neutrophil", "basophil"])]
    assert [text[0].lower() + text[1:] for text in said] == GOOD


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I'm sorry, but I can't help with medical images.",
        "As an AI language model I cannot see pictures.",
        "<think>so many things to say about a round nucleus",
        '<think>\n{"descriptions": ["a round nucleus"]}',
        "{}",
        '{"descriptions": []}',
        '{"descriptions": ["", ".", "...", "N/A", "none", "12", "- ", "a?"]}',
        "Sure!",
        "Here are the features of a neutrophil:",
        "```json\n```",
        "[[[[[[[[[[[[[[[[[[[[" * 50,
        '{"a": ' * 2000,
        "\x00\x1b[31m\u202e\ufeff",
    ],
)
def test_what_says_nothing_gives_nothing(answer):
    assert read_answer(answer) == []


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("1. A round nucleus.", "a round nucleus"),
        ("- 2) the edge is sharp;", "the edge is sharp"),
        ("Kerley B lines at the bases", "Kerley B lines at the bases"),
        ("great white patch on the wing", "great white patch on the wing"),
        ("Okay, a patch", None),
        ("see [the atlas](https://example.org/a) of lines", "see the atlas of lines"),
        ("a nucleus of 10-15 µm in width", "a nucleus of 10-15 µm in width"),
        ("a_b_c marks in a row", "a_b_c marks in a row"),
        ("nucleus <3 lobes> here", "nucleus <3 lobes> here"),
        ("<script>alert(1)</script>a round nucleus", "a round nucleus"),
        ("a round\x00 \x1b[31mnucleus\u200b", "a round [31mnucleus"),
        ("圆形的深色细胞核", "圆形的深色细胞核"),
        ("نواة مستديرة داكنة", "نواة مستديرة داكنة"),
        ("می\u200cشود گرد و تیره", "می\u200cشود گرد و تیره"),
        ("x" * 301, None),
        ("the nucleus is cut...", None),
        ("what does it look like?", None),
    ],
)
def test_sentences_are_cleaned(raw, clean):
    assert clean_sentence(raw) == clean


def test_passages_are_read_from_json_and_from_prose():
    said = read_answer(
        '{"descriptions": [{"text": "a round nucleus", "passage": 3}, {"text": "a rim", "passage": "[4]"}]}'
    )
    assert [(each.text, each.number) for each in said] == [("a round nucleus", 3), ("a rim", 4)]
    said = read_answer("1. A round nucleus [3].\n2. A pale rim (passage 4)")
    assert [(each.text, each.number) for each in said] == [("a round nucleus", 3), ("a pale rim", 4)]


def test_numbers_are_read_from_every_shape():
    assert read_numbers('{"items": [{"number": 2, "text": "x"}, {"number": 5}]}') == {2: "x", 5: ""}
    assert list(read_numbers('{"numbers": [4, "7"]}')) == [4, 7]
    assert list(read_numbers("[1, 3]")) == [1, 3]
    assert read_numbers("3: not visible\n**9.** names the class") == {3: "not visible", 9: "names the class"}
    assert read_numbers("All are good.") == {}


@given(st.text(max_size=200))
@example("²²")
def test_whatever_comes_only_sentences_get_through(text):
    for said in read_answer(text):
        assert Description(text=said.text).text == said.text, "white space is in order"
        assert not any(unicodedata.category(c) in ("Cc", "Cs", "Cn") for c in said.text)
        assert len(said.text) <= 300
    folded = [fold_loosely(said.text) for said in read_answer(text)]
    assert len(folded) == len(set(folded))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
        max_leaves=12,
    ),
    st.integers(0, 200),
)
def test_any_json_and_any_part_of_it_is_read(data, cut):
    text = json.dumps(data)
    read_json(text[:cut])
    read_answer(text)
    read_numbers(text[:cut])


@pytest.mark.parametrize(
    "text",
    ["կx 窤 rim ث dark ލ", "c}3{[;.9 \\\\/ dark <;}{", "a rim ] } { $ % ; : = + ~ ^"],
)
def test_gibberish_is_no_description(text):
    assert clean_sentence(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "β-cell islets of 5–10 µm (>50 %)",
        "肺野に小さな結節が見られる",
        "узелковые тени в верхних долях",
        "عقيدات صغيرة",
    ],
)
def test_other_scripts_and_signs_are_taken(text):
    assert clean_sentence(text) == text


def test_a_cut_answer_is_read_to_its_last_whole_sentence():
    said = ["a round nucleus", "a pale rim", "a dark gran"]
    prose = "\n".join(f"{n}. {text}" for n, text in enumerate(said, start=1))
    running = "A round nucleus. A pale rim. A dark gran"
    begun = '{"descriptions": ["a round nucleus", "a pale rim", "a dark gran'
    for answer in (prose, running, begun):
        assert [each.text for each in read_answer(answer, cut=True)] == said[:2]
    whole = json.dumps({"descriptions": said})
    assert len(read_answer(whole, cut=True)) == 3, "the JSON is whole: nothing of it was cut"
    assert list(read_numbers(prose, cut=True)) == [1, 2]
    assert list(read_numbers(prose)) == [1, 2, 3]
