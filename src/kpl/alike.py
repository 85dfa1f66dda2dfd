"""Whether two files, or two folders, hold the same."""

from __future__ import annotations

import filecmp
from pathlib import Path


def holds(one: Path, other: Path) -> bool:
    """Say whether a folder has every file of another one, alike."""
    files = [path.relative_to(other) for path in other.rglob("*") if path.is_file()]
    return all((one / name).is_file() and filecmp.cmp(one / name, other / name, shallow=False) for name in files)


def same_content(one: Path, other: Path) -> bool:
    """Say whether two files, or two folders with all that they hold, are alike."""
    files = {path.relative_to(one) for path in one.rglob("*") if path.is_file()}
    others = {path.relative_to(other) for path in other.rglob("*") if not path.is_dir()}
    pairs = [(one / name, other / name) for name in files] or [(one, other)]
    return files == others and all(filecmp.cmp(*pair, shallow=False) for pair in pairs)
