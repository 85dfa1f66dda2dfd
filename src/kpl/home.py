"""Where KPL keeps what is the user's: encoders, packs of their own, features of sentences."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def home() -> Path:
    """The folder of everything that KPL keeps for a user: `$KPL_HOME`, else the platform's folder for such data."""
    if chosen := os.environ.get("KPL_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "kpl"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "kpl"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "kpl"
