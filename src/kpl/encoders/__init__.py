"""Encoders: one protocol, a card for each model, and the loaders behind one function."""

from kpl.encoders.catalogue import catalogue
from kpl.encoders.protocol import CatalogueEntry, Encoder, EncoderCard, HubSource
from kpl.encoders.registry import encoder_names, load_card, load_encoder

__all__ = [
    "CatalogueEntry",
    "Encoder",
    "EncoderCard",
    "HubSource",
    "catalogue",
    "encoder_names",
    "load_card",
    "load_encoder",
]
