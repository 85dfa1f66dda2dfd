"""Encoders: one protocol, a card for each model, and the loaders behind one function.

What gets and checks encoders loads on first use: a run only loads one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kpl.encoders.adapters import adapt
from kpl.encoders.bundles import unpacked, write_bundle
from kpl.encoders.catalogue import catalogue, unusable
from kpl.encoders.protocol import CatalogueEntry, Encoder, EncoderCard, HubSource, PatchEncoder
from kpl.encoders.registry import encoder_names, load_card, load_encoder, made_for, parse_spec, suited
from kpl.later import on_first_use

if TYPE_CHECKING:
    from kpl.encoders.checking import Checked, check_encoder
    from kpl.encoders.pulling import pull

__all__ = [
    "CatalogueEntry",
    "Checked",
    "Encoder",
    "EncoderCard",
    "HubSource",
    "PatchEncoder",
    "adapt",
    "catalogue",
    "check_encoder",
    "encoder_names",
    "load_card",
    "load_encoder",
    "made_for",
    "parse_spec",
    "pull",
    "suited",
    "unpacked",
    "unusable",
    "write_bundle",
]

__getattr__ = on_first_use(
    __name__,
    {
        "checking": ("Checked", "check_encoder"),
        "pulling": ("pull",),
    },
)
