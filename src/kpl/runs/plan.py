"""Plan, then do: what a run will compute, as one frozen value whose hash names the run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """Everything that decides the numbers of a run; paths, times and machines do not.

    Attributes:
        encoder: identity, "name:hash".
        knowledge: content hash of the knowledge base.
        pictures: hash of the pictures' ids and contents.
        method: registry name.
        settings: the method's settings, all of them.
    """

    encoder: str
    knowledge: str
    pictures: str
    method: str
    settings: dict[str, float | int | str | bool | None]

    def content_hash(self) -> str:
        """Return the SHA-256 of the plan (hexadecimal)."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
