"""Class names in many templates, averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kpl.errors import InputError
from kpl.methods.contract import Facts, Reading
from kpl.methods.cupl import CuPL
from kpl.proxies.arrays import Floats

__all__ = ["PromptEnsemble"]


@dataclass(kw_only=True, eq=False)
class PromptEnsemble(CuPL):
    """The cosine with the normalised mean of the class name's embeddings in many templates.

    Source: Radford et al., ICML 2021, section 3.1.4 (80 templates for ImageNet; 7 of them do as well).

    Attributes:
        templates: how many of the templates given are averaged, spread evenly over their list; all if there are fewer.
    """

    name: ClassVar[str] = "ensemble"
    reads: ClassVar[Reading] = "templates"
    summary: ClassVar[str] = "class names in many templates, averaged"
    facts: ClassVar[Facts] = Facts(
        source="Radford et al., ICML 2021, section 3.1.4",
        assumes="the encoder knows the class names",
        cost="O(n C d); streams",
        fails="names that the encoder has not met",
        configured="80 templates; also 7",
    )

    templates: int = 80

    def _read(self, texts: list[Floats]) -> list[Floats]:
        if self.templates < 1:
            raise InputError(f"templates must be at least 1, got {self.templates}")
        return [rows[_spread(len(rows), self.templates)] for rows in texts]


def _spread(available: int, wanted: int) -> list[int]:
    """Return `wanted` places spread evenly over `available`, all of them if there are fewer.

    Example:
        >>> _spread(10, 4), _spread(2, 4)
        ([0, 2, 5, 7], [0, 1])
    """
    wanted = min(available, wanted)
    return [place * available // wanted for place in range(wanted)]
