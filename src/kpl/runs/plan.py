"""Plan, then do: what a run will compute, as one frozen value whose hash names the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """Everything that decides the numbers of a run; paths, times and machines do not.

    Attributes:
        encoder: identity, "name:hash".
        knowledge: content hash of the knowledge base.
        pictures: hash of the pictures' ids and contents.
        method: registry name.
        settings: the method's settings, all of them.
        calibration: content hash of the calibration that was applied, if any.
        abstain: what was asked of abstention, if anything.
        thresholds: of each class in a multi-label run.
        model: hash of the saved model that was used; None if the run learnt from its own pictures.
        other: True if pictures of no listed class were to be found.
        pool: how the scores of a unit's instances were pooled; None where every picture stands for itself.
    """

    encoder: str
    knowledge: str
    pictures: str
    method: str
    settings: dict[str, float | int | str | bool | None]
    calibration: str | None = None
    abstain: dict[str, float] | None = None
    thresholds: dict[str, float] | None = None
    model: str | None = None
    pool: str | None = None
    other: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what is stated; what was not asked for is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def is_of(self, told: object, pictures: Callable[[], str]) -> bool:
        """Say whether a run's own account of its plan is this one; the pictures take time to read and are asked last.

        Args:
            told: what `to_json` returned then.
            pictures: hashes those of this plan, whose own `pictures` are not looked at.
        """
        if not isinstance(told, dict) or told | {"pictures": ""} != self.to_json() | {"pictures": ""}:
            return False
        return bool(told.get("pictures") == pictures())

    def content_hash(self) -> str:
        """Return the SHA-256 of the plan (hexadecimal)."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()
