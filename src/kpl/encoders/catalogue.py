"""The encoders that are known by name: what is said of each before any of its files is there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from kpl.encoders.protocol import CatalogueEntry

__all__ = ["catalogue"]

_FOLDER: Final = Path(__file__).parent / "catalogue"


@cache
def catalogue() -> Mapping[str, CatalogueEntry]:
    """Every encoder that KPL knows by name and does not ship: name to entry, sorted by name.

    Example:
        >>> catalogue()["biomedclip"].sources[0].hub_id
        'microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224'
    """
    reader = YAML(typ="safe", pure=True)
    files = sorted(_FOLDER.glob("*.yaml"))
    return {
        path.stem: CatalogueEntry.model_validate({"name": path.stem} | reader.load(path.read_text(encoding="utf-8")))
        for path in files
    }
