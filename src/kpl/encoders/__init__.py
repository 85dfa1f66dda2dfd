"""Encoders: one protocol, a card for each model, and the loaders behind one function."""

from kpl.encoders.adapters import adapt
from kpl.encoders.bundles import unpacked, write_bundle
from kpl.encoders.catalogue import catalogue, unusable
from kpl.encoders.checking import Checked, check_encoder
from kpl.encoders.protocol import CatalogueEntry, Encoder, EncoderCard, HubSource, PatchEncoder
from kpl.encoders.pull import pull
from kpl.encoders.registry import encoder_names, load_card, load_encoder, parse_spec, suited

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
    "parse_spec",
    "pull",
    "suited",
    "unpacked",
    "unusable",
    "write_bundle",
]
