"""Class names alone: CLIP's own zero-shot classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kpl.methods.contract import Facts, Reading
from kpl.methods.cupl import CuPL

__all__ = ["ClassNames"]


@dataclass(kw_only=True, eq=False)
class ClassNames(CuPL):
    """The cosine with the class name in one template.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021.
    """

    name: ClassVar[str] = "names"
    reads: ClassVar[Reading] = "names"
    summary: ClassVar[str] = "CLIP zero-shot: class names in one template"
    facts: ClassVar[Facts] = Facts(
        source="Radford et al., ICML 2021",
        assumes="the encoder knows the class names",
        cost="O(n C d); streams",
        fails="names that the encoder has not met; one template's whims",
        configured="the plainest template",
    )
