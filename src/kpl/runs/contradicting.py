"""Sentences that the pictures of a run contradict, in words."""

from __future__ import annotations

from typing import NamedTuple

from kpl.knowledge import KnowledgeBase
from kpl.methods import Method


class Contradiction(NamedTuple):
    """A description that the pictures contradict.

    Attributes:
        key: of its class.
        text: the sentence.
        instead: key of the class whose pictures support it most.
        score: how much more it looks like one of another class; zero is the average of all descriptions.
    """

    key: str
    text: str
    instead: str
    score: float


def contradictions(method: Method, knowledge: KnowledgeBase) -> tuple[Contradiction, ...]:
    """Return what the pictures that a method was fitted on contradict, the worst first."""
    entries = knowledge.classes
    return tuple(
        Contradiction(
            entries[said.class_index].key,
            entries[said.class_index].descriptions[said.description].text,
            entries[said.instead].key,
            round(said.score, 3),
        )
        for said in method.contradicted()
    )
