"""A thought is never taken for an answer, whatever marks it, and whether it comes to its end or not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpl.authoring.answers import read_answer, read_json, why_unusable
from kpl.authoring.prompts import _NUMBERED, _SENTENCES
from kpl.authoring.thoughts import spoken

GOOD = json.dumps({"descriptions": ["a dark round nucleus", "a pale rim"]})
DRAFT = json.dumps({"descriptions": ["a discarded ring", "a discarded wedge"]})
THOUGHT = f"Perhaps {DRAFT} but no."

MARKS = [
    ("<think>", "</think>"),
    ("<THINK>\n", "\n</THINK>\n"),
    ("<thinking>", "</thinking>\n\n"),
    ("<|channel>thought\n", "<channel|>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|channel|>commentary<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<unused94>thought\n", "<unused95>"),
    ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>\n<|begin_of_solution|>"),
    ("<｜begin▁of▁thinking｜>", "<｜end▁of▁thinking｜>"),
    ("<thought>", "</thought><answer>"),
    ("analysisWe need to look. ", "assistantfinal"),
    ("【思考】", "【/思考】"),
    # of no model that anybody has seen
    ("<musing>", "</musing>"),
    ("<scratch pad>", "</scratch pad>"),
    ("Let me see.\n<draft>", "</draft>\n"),
    ("<|rumination|>", "<|/rumination|>"),
    ("<|inner_voice_start|>", "<|inner_voice_end|>"),
    ("[PLAN]", "[/PLAN]"),
    ("⟨grübeln⟩", "⟨/grübeln⟩"),
    ("<think>\n<plan>", "</plan>\n</think>"),
    ("<brooding>", "</brooding>\n<output>"),
    ('<think effort="high">', "</think>"),
    ("<<thinking>>", "<</thinking>>\n"),
    ("<ctrl94>thought\n", "<ctrl95>"),
    ("<|reserved_200|>", "<|reserved_201|>"),
    ("<|channel|>reflection<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<思考>", "</思考>"),
    ("[[think]]", "[[/think]]\n"),
    ("{think}", "{/think}\n"),
    ("<details><summary>Thoughts</summary>", "</details>\n"),
    # announced, not marked
    ("### Thinking\n", "\n### Answer\n"),
    ("**Thought process:** ", "\n**Final answer:**\n"),
    ("My reasoning: ", "\nOutput:\n"),
    ("```thinking\n", "\n```\n"),
    ("<!-- thinking\n", "\n-->\n"),
]


def texts(answer, **options):
    return [said.text for said in read_answer(answer, **options)]


@pytest.mark.parametrize(("begin", "end"), MARKS)
def test_what_is_between_the_marks_is_not_said(begin, end):
    for answer in (begin + THOUGHT + end + GOOD, begin + THOUGHT + end + "Here it is:\n```json\n" + GOOD + "\n```"):
        assert texts(answer) == ["a dark round nucleus", "a pale rim"]
    assert texts(f"{begin}{THOUGHT}{end}- a dark round nucleus\n- a pale rim") == ["a dark round nucleus", "a pale rim"]
    if "reserved" not in begin:  # nothing says that such a one begins a thought
        assert texts(begin + THOUGHT) == [], "a thought without an end"
        assert why_unusable(begin + THOUGHT, _SENTENCES)
    assert texts(begin + THOUGHT + end) == [], "a thought, and no answer"
    assert why_unusable(begin + THOUGHT + end + GOOD, _SENTENCES) is None
    cut = GOOD[: GOOD.index("a pale") + 4]
    assert texts(begin + THOUGHT + end + cut, cut=True) == ["a dark round nucleus"]


@pytest.mark.parametrize("end", [end for _, end in MARKS if "think" in end.lower() and "plan" not in end])
def test_the_server_may_have_kept_the_mark_that_opens(end):
    assert texts(THOUGHT + end + GOOD) == ["a dark round nucleus", "a pale rim"]


def test_without_any_mark_the_last_answer_counts():
    assert texts(f"{THOUGHT}\n{GOOD}") == ["a dark round nucleus", "a pale rim"]
    assert texts(f"{GOOD}\nI hope that helps!") == ["a dark round nucleus", "a pale rim"]
    notes = json.dumps({"notes": ["all of them can be seen"]})
    assert texts(f"{GOOD}\n{notes}", form=_SENTENCES) == ["a dark round nucleus", "a pale rim"], "the last that fits"
    numbers = '{"items": [{"number": 1, "text": "x"}]} no: {"items": []}'
    assert read_json(numbers, _NUMBERED) == {"items": []}


def test_what_was_cut_while_thinking_without_marks_is_no_answer():
    assert texts(f"{THOUGHT} Or rather", cut=True) == []
    assert texts(json.dumps({"descriptions": ["a draft"]}, indent=1) + " Or rather", cut=True) == []
    assert why_unusable(f"{THOUGHT} Or rather", _SENTENCES, cut=True)
    items = '{"items": [{"number": 1, "text": "one"}, {"number": 2, "text": "two"}, {"numb'
    assert read_json(items, _NUMBERED, cut=True)["items"][-1] == {"number": 2, "text": "two"}


@pytest.mark.parametrize(
    "answer",
    [
        f"<answer>{GOOD}</answer>",
        f"<|im_start|>assistant\n{GOOD}<|im_end|>",
        f"<|begin_of_box|>{GOOD}<|end_of_box|>",
        f"<start_of_turn>model\n{GOOD}<end_of_turn>",
        f"<s>{GOOD}</s>",
        f"<|channel|>final<|message|>{GOOD}<|return|>",
        "<ul><li>a dark round nucleus</li>\n<li>a pale rim</li></ul>",
        "- a dark round nucleus\n- a pale rim",
    ],
)
def test_other_marks_hold_no_thoughts(answer):
    assert texts(answer) == ["a dark round nucleus", "a pale rim"]


def test_marks_in_the_sentences_themselves_are_none():
    said = ["a <small> ring [THINK] of dots", "</think> a rim"]
    assert spoken(json.dumps(said)) == json.dumps(said)
    assert spoken("a nucleus <3 lobes> with a <small> rim") == "a nucleus <3 lobes> with a <small> rim"
    assert spoken("【形】a ring\n【色】dark") == "【形】a ring\n【色】dark", "headings"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "it is empty"),
        ("  \n", "it is empty"),
        ("<hmm> so", "it holds a thought without an end, and no answer"),
        ("I'm sorry, but I cannot help with that.", "the model declines"),
        ("```json\n```", "it holds nothing of the form asked for"),
        ('{"descriptions": []}', None),
        ("- a dark ring\n- a pale rim", None),
    ],
)
def test_why_an_answer_cannot_be_used(answer, why):
    assert why_unusable(answer, _SENTENCES) == why


def test_a_judgement_may_be_that_all_is_good():
    assert why_unusable("All are good.", _NUMBERED) is None
    assert why_unusable('{"items": []}', _NUMBERED) is None
    assert why_unusable("I'm sorry, I can't assist with that.", _NUMBERED) == "the model declines"


@given(st.text(alphabet='<>|/[]{}":,think aé\n◁▷', max_size=80), st.sampled_from(MARKS))
def test_whatever_a_thought_holds_it_stays_outside(thought, marks):
    begin, end = ("<think>", "</think>") if "<" in thought or "◁" in thought or "[" in thought else marks
    if "think" in thought:
        return
    assert "discarded" not in " ".join(texts(f"{begin}{DRAFT} {thought} {DRAFT}{end}{GOOD}"))
