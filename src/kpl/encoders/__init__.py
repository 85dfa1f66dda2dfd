"""Encoders: one protocol, a card for each model, and the loaders behind one function."""

from kpl.encoders.bundles import unpacked, write_bundle
from kpl.encoders.catalogue import catalogue
from kpl.encoders.checking import Checked, check_encoder
from kpl.encoders.protocol import CatalogueEntry, Encoder, EncoderCard, HubSource, PatchEncoder
from kpl.encoders.pull import pull
from kpl.encoders.registry import encoder_names, load_card, load_encoder, parse_spec

__all__ = [
    "CatalogueEntry",
    "Checked",
    "Encoder",
    "EncoderCard",
    "HubSource",
    "PatchEncoder",
    "catalogue",
    "check_encoder",
    "encoder_names",
    "load_card",
    "load_encoder",
    "parse_spec",
    "pull",
    "unpacked",
    "write_bundle",
]
