"""`kpl calibrate`: a few labelled pictures make a run's probabilities ones to believe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kpl.cli.label_options import read_rule, reads_table
from kpl.cli.multi_label import print_thresholds
from kpl.cli.outputs import spare_inputs
from kpl.cli.progress import stages
from kpl.cli.terminal import Console, plain, print_notes, table_of
from kpl.errors import InputError

if TYPE_CHECKING:
    from kpl.evaluation import Reading
    from kpl.runs import CalibrationResult

_TITLES = {"nll": "NLL", "ece": "ECE", "brier": "Brier", "accuracy": "accuracy"}


@reads_table()
def calibrate(
    target: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `kpl classify`.")],
    *,
    labels: Annotated[
        Path, typer.Option(help="A table with image,label[,group], or a column a class, of ten pictures or more.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("calibration.json"),
    sets: Annotated[
        float | None,
        typer.Option(help="Also find sets of classes that hold the true one with this probability, 0.9 for 90 %."),
    ] = None,
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Leave out pictures whose label is no class of the knowledge.")
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(help="Of a multi-label run: what each class is to reach, sensitivity=0.95, or specificity=0.9."),
    ] = None,
    reading: Reading,
) -> None:
    """Fit a temperature and a shift of the class prior to a few labels. No label reaches what a method learns.

    Of a multi-label run the threshold of each class is chosen: by sensitivity + specificity, or as --at says.

    Examples:

      kpl calibrate run/ --labels few.csv --out calibration.json

      kpl calibrate run/ --labels few.csv --sets 0.9

      kpl classify SCANS/ --knowledge my-classes.yaml --calibration calibration.json --out calibrated/

      kpl calibrate findings/ --labels train.csv --blank absent --at sensitivity=0.9

      kpl classify SCANS/ --knowledge findings.yaml --multi-label --calibration calibration.json --out again/
    """
    from kpl.runs import MultiLabelRun, calibrate_multi_label, open_run
    from kpl.runs import calibrate as run_calibrate

    spare_inputs([out], [target, labels])
    run, rule = open_run(target), None if at is None else read_rule(at)
    if isinstance(run, MultiLabelRun):
        if sets is not None or ignore_unknown:
            name = "--ignore-unknown" if sets is None else "--sets"
            raise InputError(f"{name} is for runs of one label a picture, and this one has several: leave it out")
        print_thresholds(calibrate_multi_label(run, labels=labels, out=out, rule=rule, reading=reading))
        _print_next(out, "--multi-label ")
        return
    if rule is not None:
        raise InputError("--at is for multi-label runs, which have a threshold a class: leave it out")
    with stages() as progress:
        result = run_calibrate(
            run,
            labels=labels,
            out=out,
            sets=sets,
            ignore_unknown=ignore_unknown,
            reading=reading,
            progress=progress,
        )
    _print_calibration(result)
    _print_next(out)


def _print_next(out: Path, further: str = "") -> None:
    told = f"Written to {out}; apply it with: kpl classify ... {further}--calibration {out}"
    Console().print(plain(told), soft_wrap=True)


def _print_calibration(result: CalibrationResult) -> None:
    file, console = result.file, Console()
    title = f"{file.labelled} labelled pictures, one of {file.folds} parts held out in turn ({result.unit})"
    table = table_of("", title=plain(title), figures=_TITLES.values())
    for row, figures in (("as it was", file.before), ("calibrated", file.after)):
        table.add_row(row, *(f"{figures[name]:.3f}" for name in _TITLES))
    console.print(table)
    console.print(
        f"Chosen: {file.kind}" + ("" if file.kind == "none" else f", temperature {file.temperature:.3g}"),
        highlight=False,
    )
    if file.sets is not None:
        found = file.sets
        patients = f" of {found.units} patients" if found.units < found.labelled else ""
        console.print(
            f"Sets that hold the true class of {found.coverage:.0%} of new pictures, by {found.labelled} labelled "
            f"pictures{patients}: {found.mean_size:.1f} classes on average",
            highlight=False,
        )
    print_notes(console, result.notices)
