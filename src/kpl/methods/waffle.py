"""Random words in the place of descriptions: the control that any claim about knowledge needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kpl.methods.contract import Facts, Reading
from kpl.methods.visdesc import VisDesc

__all__ = ["Waffle"]


@dataclass(kw_only=True, eq=False)
class Waffle(VisDesc):
    """The mean cosine with prompts of random words and random characters, the same for every class.

    Source: Roth et al., "Waffling around for Performance: Visual Classification with Random Words and Broad Concepts",
    ICCV 2023 (15 pairs of a prompt of words and one of characters).

    Attributes:
        pairs: of random prompts for each class; drawn where the texts are made.
        seed: of the draw. The paper averages accuracies over seven.
    """

    name: ClassVar[str] = "waffle"
    reads: ClassVar[Reading] = "random"
    summary: ClassVar[str] = "random words: the control without knowledge"
    facts: ClassVar[Facts] = Facts(
        source="Roth et al., ICCV 2023",
        assumes="nothing of the classes beyond their names",
        cost="O(n C d); streams",
        fails="as class names do; a method with descriptions should beat it",
        configured="15 pairs, seed 0; on bundles the offsets that descriptions of random classes add to their name",
    )

    pairs: int = 15
    seed: int = 0
