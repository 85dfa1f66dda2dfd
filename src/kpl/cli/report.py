"""`kpl report`: what came out of a run, as one page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kpl.cli import scoring
from kpl.cli.explain import announce
from kpl.cli.progress import stages
from kpl.cli.shown import say

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `kpl classify`.")],
    labels: scoring.Labels = None,
    methods: scoring.Methods = None,
    by: scoring.By = None,
    ordered: scoring.Ordered = False,
    replicates: scoring.Replicates = 2000,
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
    ignore_unknown: scoring.IgnoreUnknown = False,
    image_column: scoring.ImageColumn = None,
    label_column: scoring.LabelColumn = None,
    group_column: scoring.GroupColumn = None,
    sheet: scoring.Sheet = None,
    label_numbers: scoring.LabelNumbers = None,
    blank: scoring.Blank = None,
    uncertain: scoring.Uncertain = "ignore",
    none: scoring.NoClass = None,
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
            labels=labels,
            methods=scoring.chosen_methods(methods) if methods else None,
            by=scoring.listed(by),
            ordered=ordered,
            replicates=replicates,
            pictures=pictures,
            maps=maps,
            window=window,
            encoder=encoder,
            announce=announce,
            ignore_unknown=ignore_unknown,
            reading=scoring.reading_of(
                image_column, label_column, group_column, sheet, label_numbers, blank, uncertain, none
            ),
            progress=progress,
        )
    say(f"Look at it: {written}")
