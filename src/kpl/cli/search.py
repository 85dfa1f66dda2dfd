"""`kpl search`: pictures by a sentence or by a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kpl.cli.terminal import Console, plain, table_of
from kpl.errors import InputError


def search(
    features: Annotated[Path, typer.Argument(metavar="FEATURES|RUN", help="Of `kpl embed` or `kpl classify`.")],
    words: Annotated[str | None, typer.Argument(metavar="[WORDS]", help="A sentence.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Search by a picture, a clip, a volume or the folder of a series.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="How many pictures.")] = 12,
    encoder: Annotated[str | None, typer.Option(help="Where the features' encoder is. Default: by its name.")] = None,
) -> None:
    """Search pictures by what they show, nearest first, in the encoder's own space.

    Examples:

      kpl search features/ "a cell with two nuclei"

      kpl search run/ --picture odd-cell.png --n 30
    """
    from kpl.curation import search as find

    if words is not None and picture is not None:
        raise InputError("give a sentence or --picture, not both")
    query = words if picture is None else picture
    if query is None:
        raise InputError("nothing to search for: give a sentence in quotes, or --picture FILE")
    table = table_of("picture", figures=["cosine"])
    for image, cosine in find(features, query, n=n, encoder=encoder):
        table.add_row(plain(image), f"{cosine:.3f}")
    Console().print(table)
