"""What every benchmark shares: where data lies, how a table is printed, how JSON is written."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["SHARED", "machine", "parser", "print_table", "save"]

sys.path.append(str(Path(__file__).resolve().parents[1] / "training"))  # for `rendered`, the generator of drawn cells

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def parser(description: str) -> argparse.ArgumentParser:
    """Return an argument parser with the option that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", type=Path, help="write the figures to this file")
    return made


def machine() -> dict[str, Any]:
    """Say on what the figures were measured."""
    return {"processors": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__}


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown, as the README has it."""
    print(f"\n{title}\n")
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def save(path: Path | None, figures: dict[str, Any]) -> None:
    """Write the figures as JSON, with the machine they were measured on."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**figures, "machine": machine()}, indent=1) + "\n", encoding="utf-8")
    print(f"\nFigures written to {path}")
