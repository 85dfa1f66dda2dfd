"""`kpl audit`: what the predictions follow that is no finding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from kpl.cli import label_options as scoring
from kpl.cli.outputs import spare_inputs, write_figures
from kpl.cli.progress import stages
from kpl.cli.terminal import Console, plain, print_notes

if TYPE_CHECKING:
    from kpl.curation.auditing import Followed
    from kpl.evaluation import Reading


@scoring.reads_table()
def audit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `kpl classify`.")],
    *,
    table: Annotated[Path, typer.Option(help="A table with a row a picture: site, scanner, view, sex, age ...")],
    labels: Annotated[
        Path | None, typer.Option(help="Labels, if they are not in the table: to ask of the errors too.")
    ] = None,
    replicates: Annotated[int, typer.Option(min=0, help="Of the intervals and of the shuffling.")] = 1000,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write all figures to this file.")] = None,
    reading: Reading,
) -> None:
    """Ask of every column of a table whether the predictions, and with labels the errors, go with it.

    A classifier that learnt the scanner instead of the finding follows the scanner. V is Cramer's, 0 to 1;
    intervals are over patients where they are known, p-values by shuffling, corrected for their number (Holm).

    Examples:

      kpl audit run/ --table cohort.csv

      kpl audit run/ --table cohort.xlsx --labels labels.csv --json audit.json
    """
    from kpl.curation import audit as look
    from kpl.runs import open_single_label

    spare_inputs([json_out], [run, table, labels])
    with stages() as progress:
        found = look(
            open_single_label(run),
            table,
            labels=labels,
            reading=reading,
            replicates=replicates,
            progress=lambda done, total: progress("columns", done, total),
        )
    console = Console()
    shown = Table("column", title=f"What predictions go with ({found.unit})", title_justify="left")
    shown.add_column("values")
    for title in ("n", "V, predictions", "p", "V, errors", "p"):
        shown.add_column(title, justify="right", no_wrap=True)
    for column in found.columns:
        values = ", ".join(column.values[:4]) + (" ..." if len(column.values) > 4 else "")
        cells = [*_cells(column.predictions), *_cells(column.errors)]
        shown.add_row(plain(column.title), plain(values), str(column.pictures), *cells)
    console.print(shown)
    left = [f"not looked at, {title!r}: {reason}" for title, reason in found.left_out.items()]
    print_notes(console, [*found.warnings, found.said, *found.notices, *left])
    write_figures(json_out, found.to_json())


def _cells(found: Followed | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    if found.interval is None:
        return f"{found.v:.2f}", ""
    low, high = found.interval
    return f"{found.v:.2f} ({low:.2f}-{high:.2f})", f"{found.p_holm:.3f}"
