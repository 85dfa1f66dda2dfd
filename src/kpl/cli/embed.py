"""`kpl embed`: pictures to features, once; later commands take the features."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kpl.cli.chosen import AllowPickle, BatchSize, Device, TrustRemoteCode, Workers, tell_terms
from kpl.cli.encoders import ENCODER_HELP
from kpl.cli.progress import stages
from kpl.cli.shown import say

__all__ = ["embed"]


class _Stored(StrEnum):
    float32 = "float32"
    float16 = "float16"


def embed(
    inputs: Annotated[list[str], typer.Argument(metavar="SCANS...", help="Folders (any depth) or files.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The feature folder to make, or to go on with.")],
    encoder: Annotated[
        str,
        typer.Option(help=ENCODER_HELP),
    ] = "mini",
    dtype: Annotated[_Stored, typer.Option(help="How features are stored.")] = _Stored.float32,
    batch_size: BatchSize = None,
    workers: Workers = None,
    device: Device = None,
    allow_pickle: AllowPickle = False,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace features of other pictures there.")] = False,
) -> None:
    """Embed pictures into a feature folder. Interrupted, the same command goes on where it stopped.

    Examples:

      kpl embed SCANS/ --encoder mini --out features/

      kpl classify features/ --knowledge blood-cells --out run/
    """
    from kpl.embeddings import embed_pictures
    from kpl.encoders import load_encoder
    from kpl.images import find_pictures

    found = find_pictures(inputs)
    tell_terms(encoder)
    loaded = load_encoder(encoder, device=device, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)
    with stages() as progress:
        folder = embed_pictures(
            found.pictures,
            loaded,
            out,
            dtype=dtype.value,
            batch_size=batch_size,
            workers=workers,
            set_aside=found.set_aside,
            overwrite=overwrite,
            progress=lambda done, total: progress("pictures", done, total),
        )
    say(f"{folder.n} pictures, {folder.d} features each, in {out}/")
    if folder.set_aside:
        say(f"{len(folder.set_aside)} set aside, listed with their reasons in index.json; the first:")
        say(f"  {folder.set_aside[0].id!r}: {folder.set_aside[0].reason}")
