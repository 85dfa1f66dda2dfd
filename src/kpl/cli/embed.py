"""`kpl embed`: pictures to features, once; later commands take the features."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from kpl.cli.options import chosen_pictures, gathers
from kpl.cli.progress import stages
from kpl.cli.terminal import say

__all__ = ["embed"]


class _Stored(StrEnum):
    float32 = "float32"
    float16 = "float16"


@gathers("pictures", chosen_pictures, encoder="mini")
def embed(
    inputs: Annotated[
        list[str], typer.Argument(metavar="SCANS...", help="Folders (any depth) or files, or a table of them.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The feature folder to make, or to go on with.")],
    *,
    pictures: dict[str, Any],
    dtype: Annotated[_Stored, typer.Option(help="How features are stored.")] = _Stored.float32,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace features of other pictures there.")] = False,
) -> None:
    """Embed pictures into a feature folder. Interrupted, the same command goes on where it stopped.

    Examples:

      kpl embed SCANS/ --encoder mini --out features/

      kpl classify features/ --knowledge blood-cells --out run/
    """
    from kpl.embeddings import embed_pictures
    from kpl.encoders import load_encoder
    from kpl.images import find_inputs
    from kpl.runs.source import asked_of, card_of

    coder = pictures.pop("encoder")
    with stages() as progress:
        found = find_inputs(inputs, asked_of(None, pictures.pop("asked"), partial(card_of, coder), progress))
        folder = embed_pictures(
            found.pictures,
            load_encoder(coder) if isinstance(coder, str) else coder,
            out,
            units=found.units,
            asked=found.asked,
            dtype=dtype.value,
            **pictures,
            set_aside=found.set_aside,
            overwrite=overwrite,
            progress=lambda done, total: progress("pictures", done, total),
        )
    for note in found.notes:
        say(f"Note: {note}")
    kept = f" ({folder.reused} were there already)" if folder.reused else ""
    say(f"{folder.n} pictures{kept}, {folder.d} features each, in {out}/")
    if folder.set_aside:
        say(f"{len(folder.set_aside)} set aside, listed with their reasons in index.json; the first:")
        say(f"  {folder.set_aside[0].id!r}: {folder.set_aside[0].reason}")
