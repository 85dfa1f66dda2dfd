"""Knowledge bases drawn at random, for every test of this room."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from kpl.knowledge import KnowledgeBase
from kpl.knowledge.folding import fold_name, fold_sentence

WORDS = st.text(alphabet=st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20)
NAMES = WORDS.filter(lambda s: any(c.isalnum() for c in s) and fold_name(s) != "")
SENTENCES = WORDS.filter(lambda s: any(c.isalpha() for c in s))


@st.composite
def drawn_bases(draw):
    names = draw(st.lists(NAMES, min_size=2, max_size=5, unique_by=fold_name))
    classes = [
        {
            "key": name,
            "name": name,
            "descriptions": draw(st.lists(SENTENCES, min_size=1, max_size=4, unique_by=fold_sentence)),
        }
        for name in names
    ]
    provenance = draw(st.none() | st.fixed_dictionaries({"author": WORDS, "written": st.none() | WORDS}))
    if draw(st.booleans()):
        classes[0]["descriptions"][0] = {"text": classes[0]["descriptions"][0], "provenance": {"source": draw(WORDS)}}
    task = {"name": "drawn", "version": draw(st.none() | st.integers(min_value=1))}
    return KnowledgeBase.model_validate(
        {"kpl_knowledge": 1, "task": task, "provenance": provenance, "classes": classes}
    )


@pytest.fixture(scope="session")
def bases():
    """The strategy itself: a module of helpers beside the tests would depend on how pytest imports them."""
    return drawn_bases()
