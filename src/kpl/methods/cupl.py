"""All descriptions of a class, averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from kpl.methods.contract import Facts
from kpl.methods.textual import Textual
from kpl.proxies.arrays import Floats

__all__ = ["CuPL"]


@dataclass(kw_only=True, eq=False)
class CuPL(Textual):
    """The cosine with the average of all descriptions of a class.

    Source: Pratt et al., "What does a platypus look like?", ICCV 2023; KPL's text proxy with k = all.

    Example:
        >>> images = np.eye(2)
        >>> CuPL().fit(images, [np.array([[1.0, 0.1]]), np.array([[0.1, 1.0]])]).predict(images).tolist()
        [0, 1]
    """

    name: ClassVar[str] = "cupl"
    summary: ClassVar[str] = "all descriptions averaged"
    facts: ClassVar[Facts] = Facts(
        source="Pratt et al., ICCV 2023",
        assumes="descriptions that say how a class looks",
        cost="O(n C d); streams",
        fails="generic or wrong sentences weigh as much as good ones",
    )

    def _scores(self, chunk: Floats) -> Floats:
        return np.asarray(chunk @ self.text_.proxies.T)
