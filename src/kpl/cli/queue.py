"""`kpl queue`: which pictures of a run to look at first."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated

import typer

from kpl.cli.label_options import listed
from kpl.cli.outputs import spare_inputs
from kpl.cli.terminal import Console, percent, plain, say, table_of
from kpl.errors import OutputError

_HEADER = ["image", "label", "said", "runner_up", "why"]


def queue(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `kpl classify`.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many pictures.")] = 20,
    by: Annotated[str, typer.Option(help="Why, in turn: coverage, doubt, disagreement.")] = "coverage",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write them to a CSV to fill in.")] = None,
) -> None:
    """List the pictures that tell most when somebody looks at them; those corrected already are left out.

    coverage: typical of a group of like pictures. doubt: the class is least sure. disagreement: the text alone says
    another class. A CSV has an empty column `label`; filled in, `kpl correct RUN --table` takes it.

    Examples:

      kpl queue run/ --n 50

      kpl queue run/ --n 50 --by doubt,disagreement,coverage --out to-read.csv
    """
    from kpl.curation import queue as choose
    from kpl.files import put, working_folder
    from kpl.runs import open_single_label
    from kpl.runs.corrections import read_corrections
    from kpl.runs.tables import write_csv

    spare_inputs([out], [run])
    opened = open_single_label(run)
    found = choose(opened, n, by=listed(by), done={each.image for each in read_corrections(opened)})
    table = table_of(opened.noun.removesuffix("s"), "the run says", "then", "why", figures=["confidence"])
    for each in found:
        said = opened.called(each.label) if each.label else "(no label)"
        told = (each.image, said, opened.called(each.runner_up), each.reason)
        table.add_row(*map(plain, told), percent(each.confidence))
    Console().print(table)
    if out is not None:
        rows = ([each.image, "", each.label or "", each.runner_up, each.reason] for each in found)
        with working_folder(out) as work:
            _spare_what_is_filled_in(out)
            write_csv(work / out.name, _HEADER, rows)
            put(work / out.name, out)
        say(f"To fill in: {out}")


def _spare_what_is_filled_in(out: Path) -> None:
    """Refuse to replace anything but a list in which nobody has written yet: that work is nowhere else."""
    from kpl.bounded import read_bounded

    if not out.exists():
        return
    try:
        header, *rows = csv.reader(io.StringIO(read_bounded(out).decode("utf-8")))
    except (OSError, ValueError, csv.Error):
        header, rows = [], []
    if header != _HEADER or any(not row or row[1] for row in rows):
        raise OutputError(
            f"{str(out)!r} exists, and is no list that is still to be filled in: name another --out, or remove it"
        )
