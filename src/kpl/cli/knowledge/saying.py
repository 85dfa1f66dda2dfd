"""What the commands of `kpl knowledge` share: their first argument, and plain lines on the terminal."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from kpl.cli.named import tell_own_pack
from kpl.cli.shown import visible

__all__ = ["SHOWN", "Knowledge", "say"]

SHOWN = 20
"""Doubts and unknown words in the terminal; a file of generated text has hundreds."""

Knowledge = Annotated[
    str,
    typer.Argument(metavar="FILE|PACK", callback=tell_own_pack, help="A .yaml or .json file, or a pack's name."),
]


def say(text: str) -> None:
    """Print text as it is: brackets in a sentence are not markup, and nothing in it steers the terminal."""
    Console().print(visible(text), markup=False, highlight=False, soft_wrap=True)
