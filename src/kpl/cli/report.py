"""`kpl report`: what came out of a run, as one page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kpl.cli.explain import announce
from kpl.cli.label_options import chosen_scoring
from kpl.cli.options import gathers
from kpl.cli.progress import stages
from kpl.cli.terminal import say


@gathers("scoring", chosen_scoring)
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `kpl classify`.")],
    *,
    scoring: dict[str, Any],
    pictures: Annotated[
        Path | None, typer.Option(help="Where the pictures are: for --maps, or if the run was given features only.")
    ] = None,
    maps: Annotated[
        int, typer.Option(min=0, help="Also draw where the class is seen, for so many of the least sure pictures.")
    ] = 0,
    window: Annotated[
        int | None, typer.Option(min=8, help="With --maps: slide a window of this many pixels over each picture.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="With --maps: where the run's encoder is. Default: by its name.")
    ] = None,
) -> None:
    """Write report.html into a run folder again, with labels if you have them.

    One file that needs no network and no script. It shows thumbnails of the pictures: treat it as you treat them.

    Examples:

      kpl report run/

      kpl report run/ --labels labels.csv --by site

      kpl report run/ --labels grades.csv --ordered --methods all

      kpl report run/ --pictures SCANS/

      kpl report run/ --pictures SCANS/ --maps 12
    """
    from kpl.report import write_report

    with stages() as progress:
        written = write_report(
            run,
            pictures=pictures,
            maps=maps,
            window=window,
            encoder=encoder,
            announce=announce,
            **scoring,
            progress=progress,
        )
    say(f"Look at it: {written}")
