"""`kpl calibrate`: a few labelled pictures make a run's probabilities ones to believe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kpl.cli.notes import print_notes
from kpl.cli.outputs import spare_inputs
from kpl.cli.progress import stages
from kpl.cli.scoring import GroupColumn, ImageColumn, LabelColumn, LabelNumbers, Sheet, reading_of
from kpl.cli.shown import Console, plain

__all__ = ["calibrate"]

_TITLES = {"nll": "NLL", "ece": "ECE", "brier": "Brier", "accuracy": "accuracy"}


def calibrate(
    target: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `kpl classify`.")],
    labels: Annotated[
        Path, typer.Option(help="CSV with image,label[,group] of a few pictures of the run, ten or more.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("calibration.json"),
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Leave out pictures whose label is no class of the knowledge.")
    ] = False,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    sheet: Sheet = None,
    label_numbers: LabelNumbers = None,
) -> None:
    """Fit a temperature and a shift of the class prior to a few labels. No label reaches what a method learns.

    Example:

      kpl calibrate run/ --labels few.csv --out calibration.json

      kpl classify SCANS/ --knowledge my-classes.yaml --calibration calibration.json --out calibrated/
    """
    from kpl.runs import calibrate as run_calibrate

    spare_inputs([out], [target, labels])
    with stages() as progress:
        result = run_calibrate(
            target,
            labels=labels,
            out=out,
            ignore_unknown=ignore_unknown,
            reading=reading_of(image_column, label_column, group_column, sheet, label_numbers),
            progress=progress,
        )
    file, console = result.file, Console()
    table = Table(
        "", title=f"{file.labelled} labelled pictures, one of {file.folds} parts held out in turn", title_justify="left"
    )
    for title in _TITLES.values():
        table.add_column(title, justify="right")
    for row, figures in (("as it was", file.before), ("calibrated", file.after)):
        table.add_row(row, *(f"{figures[name]:.3f}" for name in _TITLES))
    console.print(table)
    console.print(
        f"Chosen: {file.kind}" + ("" if file.kind == "none" else f", temperature {file.temperature:.3g}"),
        highlight=False,
    )
    print_notes(console, result.notices)
    console.print(plain(f"Written to {out}; apply it with: kpl classify ... --calibration {out}"), soft_wrap=True)
