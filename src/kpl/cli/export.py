"""`kpl export`: a run in the form that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kpl.cli.outputs import spare_inputs
from kpl.cli.terminal import Console, complain, print_notes, say

Format = Literal["csv", "parquet", "label-studio", "folders", "imagefolder", "fiftyone", "dicom-sr"]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `kpl classify`.")],
    to: Annotated[Format, typer.Option(help="For what.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file or folder to make; no other is replaced.")],
    pictures: Annotated[
        Path | None, typer.Option(help="Where the pictures are, for the formats that copy them.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option(help="Where the DICOM studies are, for dicom-sr: they say whose the results are.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="For csv and parquet: your table; its rows, by names, patient numbers or UIDs, are written."),
    ] = None,
) -> None:
    """Export a run; labels that people corrected stand in the place of predictions.

    csv and parquet: a table. label-studio: tasks with predictions and corrections. folders: a folder a class.
    imagefolder: for datasets.load_dataset. fiftyone: FiftyOneImageClassificationDataset. These three copy pictures.
    dicom-sr: a structured report a study; these alone hold names and UIDs, of the studies in --source.

    Examples:

      kpl export run/ --to csv --out labels.csv

      kpl export run/ --to csv --table worklist.csv --out worklist-read.csv

      kpl export run/ --to imagefolder --pictures SCANS/ --out curated/

      kpl export run/ --to dicom-sr --source STUDIES/ --out sr/
    """
    from kpl.curation import export as write
    from kpl.runs import open_run

    spare_inputs([out], [run, pictures, source, table])
    opened = open_run(run)
    done = write(opened, to, out, pictures=pictures, source=source, table=table)
    noun = opened.noun.removesuffix("s") if done.pictures == 1 else opened.noun
    say(f"{done.pictures} {noun} exported to {done.path}")
    print_notes(Console(), list(done.told))
    if done.missing:
        some = ", ".join(done.missing[:3]) + (", ..." if len(done.missing) > 3 else "")
        complain(f"{len(done.missing)} {opened.noun} of the run are not there, or are others now: {some}")
