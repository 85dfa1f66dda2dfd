"""The encoders that are known by name: what is said of each before any of its files is there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from kpl.encoders.protocol import CatalogueEntry

_UNUSABLE: Final = Path(__file__).parent / "unusable.yaml"
_FOLDER: Final = Path(__file__).parent / "catalogue"


@cache
def catalogue() -> Mapping[str, CatalogueEntry]:
    """Every encoder that KPL knows by name and does not ship: name to entry, sorted by name.

    Example:
        >>> catalogue()["biomedclip"].sources[0].hub_id
        'microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224'
    """
    files = sorted(_FOLDER.glob("*.yaml"))
    read = {path.stem: _read(path) for path in files}
    return {name: CatalogueEntry.model_validate({"name": name} | told) for name, told in read.items()}


def _read(path: Path) -> dict[str, Any]:
    """Read a file, at the speed of C where PyYAML was built with it."""
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    told: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe
    return told


@cache
def unusable() -> Mapping[str, tuple[tuple[str, ...], str]]:
    """Models that cannot be made an encoder of: name to their hub ids and the reason.

    Example:
        >>> unusable()["TITAN"][1]
        'It reads whole slides as sets of patch features, not pictures.'
    """
    return {name: (tuple(told["hub_ids"]), str(told["why"])) for name, told in _read(_UNUSABLE).items()}
