"""From scores to answers: a calibration is applied, and pictures too uncertain are left to a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError
from kpl.evaluation import Calibration
from kpl.proxies.arrays import Floats

__all__ = ["Deciding"]


@dataclass(frozen=True)
class Deciding:
    """How scores become answers.

    Attributes:
        calibration: applied to the method's log probabilities; None leaves them.
        abstain_below: no label for a picture whose confidence is lower, 0 to 1.
        coverage: no label but for this share of the pictures, the most confident; above 0 and at most 1.

    Raises:
        InputError: both or a value out of range.
    """

    calibration: Calibration | None = None
    abstain_below: float | None = None
    coverage: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.abstain_below is not None and self.coverage is not None:
            raise InputError("abstain below a confidence, or answer a share of the pictures: give one of the two")
        if self.abstain_below is not None and not 0 <= self.abstain_below <= 1:
            raise InputError(f"a confidence to abstain below is a share from 0 to 1, got {self.abstain_below}")
        if self.coverage is not None and not 0 < self.coverage <= 1:
            raise InputError(f"the coverage is the share of pictures to answer, above 0 to 1, got {self.coverage}")

    @property
    def asked(self) -> dict[str, float] | None:
        """What was asked of abstention, for the plan; None if nothing."""
        stated = {"below": self.abstain_below, "coverage": self.coverage}
        return {name: value for name, value in stated.items() if value is not None} or None

    def calibrated(self, blocks: Iterable[Floats]) -> Iterator[Floats]:
        """Yield the blocks of log probabilities (n_k, C), calibrated; their rows may be off by a constant."""
        for block in blocks:
            yield block if self.calibration is None else self.calibration.logits(block)

    def answered(self, sureness: Floats) -> NDArray[np.bool_] | None:
        """Say which pictures get a label, (n,), from the calibrated log odds (n,) of their classes; None if all do.

        Example:
            >>> Deciding(coverage=0.5).answered(np.array([90.0, 80.0])).tolist()
            [True, False]
            >>> Deciding(abstain_below=0.5).answered(np.array([0.1, -0.1])).tolist()
            [True, False]
        """
        if self.coverage is not None:
            kept = max(1, int(self.coverage * len(sureness) + 1e-9))
            return np.asarray(sureness >= np.sort(sureness)[-kept])  # those that are equally sure are answered together
        if self.abstain_below is not None:
            from scipy.special import expit

            return np.asarray(expit(sureness) >= self.abstain_below)
        return None
