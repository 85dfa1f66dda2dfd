"""Token limits and modalities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpl.errors import KnowledgeError
from kpl.knowledge import KnowledgeBase, check_tokens, count_prompt_tokens, fits_modality


def words(sentence):
    return len(sentence.split()) + 2


def make(first, second=("four corners",), **task):
    classes = [{"key": "disc", "descriptions": list(first)}, {"key": "box", "descriptions": list(second)}]
    return KnowledgeBase.model_validate({"kpl_knowledge": 1, "task": {"name": "shapes", **task}, "classes": classes})


@given(data=st.data(), limit=st.integers(1, 20))
def test_passes_exactly_when_every_prompt_fits(bases, data, limit):
    kb = data.draw(bases)
    prompts = [*kb.name_prompts(), *(prompt for prompts in kb.prompts() for prompt in prompts)]
    if max(map(words, prompts)) <= limit:
        check_tokens(kb, words, limit)
    else:
        with pytest.raises(KnowledgeError):
            check_tokens(kb, words, limit)


def test_counts_follow_the_prompts():
    assert count_prompt_tokens(make(["a b", "a"]), words) == [[11, 10], [11]]


def test_too_long_names_class_sentence_tokens_limit_and_mend():
    kb = make(["short", "one two three four", "five six seven eight"])
    with pytest.raises(KnowledgeError) as caught:
        check_tokens(kb, words, 12)
    expected = (
        "shapes, class 'disc', description 2: 13 tokens with the template, the encoder reads at most 12: shorten it"
    )
    assert expected in str(caught.value)
    assert str(caught.value).endswith("(1 more are too long)")
    with pytest.raises(
        KnowledgeError, match="class 'disc': its name alone makes 7 tokens, the encoder reads at most 6"
    ):
        check_tokens(kb, words, 6)


@pytest.mark.parametrize(
    ("stated", "modalities", "fits"),
    [
        ("blood smear", ["blood smear"], True),
        ("Blood_Smears", ["x", "blood-smear"], True),
        ("chest X-ray", ["blood smear"], False),
        (None, ["blood smear"], False),
        (None, [], True),
        ("chest X-ray", (), True),
    ],
)
def test_modality(stated, modalities, fits):
    assert fits_modality(make(["x"], modality=stated), modalities) is fits
