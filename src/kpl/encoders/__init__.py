"""Encoders: one protocol, a card for each model, and the loaders behind one function.

What gets and checks encoders loads on first use: a run only loads one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kpl.encoders.adapters import adapt
from kpl.encoders.bundles import unpacked, write_bundle
from kpl.encoders.catalogue import catalogue, unusable
from kpl.encoders.protocol import CatalogueEntry, Encoder, EncoderCard, HubSource, PatchEncoder
from kpl.encoders.registry import encoder_names, load_card, load_encoder, parse_spec, suited

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
    "parse_spec",
    "pull",
    "suited",
    "unpacked",
    "unusable",
    "write_bundle",
]

_HOME = {
    "Checked": "checking",
    "check_encoder": "checking",
    "pull": "pulling",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds under that name
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
