"""Encoders: one protocol, a card for each model, and the loaders behind one function."""

from kpl.encoders.protocol import Encoder, EncoderCard
from kpl.encoders.registry import encoder_names, load_card, load_encoder

__all__ = ["Encoder", "EncoderCard", "encoder_names", "load_card", "load_encoder"]
