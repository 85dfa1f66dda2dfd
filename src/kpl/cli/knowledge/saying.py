"""What the commands of `kpl knowledge` share: their first argument, and how much is shown."""

from __future__ import annotations

from typing import Annotated

import typer

from kpl.cli.named import tell_own_pack

__all__ = ["SHOWN", "Knowledge"]

SHOWN = 20
"""Doubts and unknown words in the terminal; a file of generated text has hundreds."""

Knowledge = Annotated[
    str,
    typer.Argument(metavar="FILE|PACK", callback=tell_own_pack, help="A .yaml or .json file, or a pack's name."),
]
