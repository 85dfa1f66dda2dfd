"""What a sample of a run knows of all of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Whole:
    """What a sample of a run knows of the whole.

    Attributes:
        n: pictures.
        counts: (C,) of each class, also by the likeliest where no label was given; in a multi-label run that have it.
        rows: of the sample, rising.
    """

    n: int
    counts: NDArray[np.intp]
    rows: NDArray[np.intp]
