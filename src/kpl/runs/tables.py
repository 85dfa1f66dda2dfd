"""CSV as everybody reads it: RFC 4180, UTF-8, any text survives the quoting."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["write_csv"]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write rows as they come; memory holds one.

    Raises:
        OSError: the disk refuses; whoever owns the folder says so to the user.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
