"""How features are made, whoever makes them: the encoder, how they are stored, and how much is done at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from kpl.embeddings.done import Header
from kpl.embeddings.encoding import EmbedSettings, encoder_identity
from kpl.embeddings.layout import LeftOut
from kpl.embeddings.lots import Lots
from kpl.embeddings.shards import Shards
from kpl.encoders.protocol import Encoder, Traits
from kpl.errors import InputError
from kpl.images import default_workers

SHARD_SIZE: Final = 1024
"""Pictures a shard, where nobody says otherwise."""
SHRINK_FACTOR: Final = 3
"""Times the encoder's picture size: what Pillow's own `reducing_gap` calls indistinguishable."""


@dataclass(frozen=True)
class Making:
    """How features are made; fields as the arguments of `embed_pictures`."""

    encoder: Encoder
    dtype: Literal["float32", "float16"] = "float32"
    batch_size: int | None = None
    workers: int | None = None
    verify: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no number of pictures, with an `InputError`."""
        if any(each is not None and each < 1 for each in (self.batch_size, self.workers)):
            raise InputError("batch_size and workers must be at least 1")

    @cached_property
    def settings(self) -> EmbedSettings:
        """What shapes features beside the encoder."""
        return EmbedSettings(self.dtype, SHRINK_FACTOR * self.encoder.card.image_size)

    def header(self, lots: Lots, *, overwrite: bool = False) -> Header:
        """Say what all shards of these pictures have in common."""
        identity, settings = encoder_identity(self.encoder), self.settings.content_hash()
        return Header(
            plan=hashlib.sha256(f"{lots.key} {identity} {settings}".encode()).hexdigest(),
            encoder_name=self.encoder.card.name,
            encoder=identity,
            settings=settings,
            dtype=self.dtype,
            dim=self.encoder.card.dim,
            shards=lots.count,
            pictures=lots.total,
            set_aside=tuple(LeftOut(id=item.id, reason=item.reason) for item in lots.set_aside),
            asked=lots.asked,
            overwrite=overwrite,
        )

    def shards(
        self, folder: Path, old: Path | None, plan: str, receipts: Path | None = None, *, shared: bool = False
    ) -> Shards:
        """Return what makes shards in a folder; arguments as of `Shards`."""
        size = self.batch_size or Traits.of(self.encoder).call_size
        workers, identity = self.workers or default_workers(), encoder_identity(self.encoder)
        return Shards(
            folder, old, self.encoder, identity, self.settings, size, workers, plan, receipts, self.verify, shared
        )
