"""Where encoders that were fetched or brought are kept: one folder each, below one folder of the user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["home", "kept", "kept_folder"]


def home() -> Path:
    """The folder of everything that KPL keeps for a user: `$KPL_HOME`, else the platform's folder for such data."""
    if chosen := os.environ.get("KPL_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "kpl"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "kpl"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "kpl"


def kept_folder(name: str) -> Path:
    """Where the encoder of this name is kept, whether it is there or not."""
    return home() / "encoders" / name


def kept() -> dict[str, Path]:
    """Every encoder that is kept: name to folder, sorted by name."""
    return {path.parent.name: path.parent for path in sorted((home() / "encoders").glob("*/card.json"))}
