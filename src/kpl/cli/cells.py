"""`kpl cells`: draw stained cells, to try KPL without data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kpl.cli.progress import stages
from kpl.cli.shown import say

__all__ = ["cells"]


def cells(
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    count: Annotated[int, typer.Option(min=1, help="Pictures to draw.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same cells.")] = 0,
) -> None:
    """Draw stained blood cells of ten classes in unequal proportions, with their truth kept apart.

    Example:

      kpl cells drawn/ --count 400 --seed 7
    """
    from kpl.rendered import draw_demo

    with stages() as progress:
        pictures = draw_demo(out, count=count, seed=seed, progress=lambda done, total: progress("cells", done, total))
    say(f"{count} cells in {pictures}/, their classes in {out / 'truth.csv'}")
