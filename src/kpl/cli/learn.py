"""`kpl learn`: learn on from corrected pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kpl.cli.terminal import Console, plain, say, table_of


def learn(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `kpl classify` with corrections.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run to make; RUN stays as it is.")],
    encoder: Annotated[str | None, typer.Option(help="Where the run's encoder is. Default: by its name.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in --out.")] = False,
) -> None:
    """Learn on from what people said with `kpl correct`, and say what moved.

    This is the one command in which labels reach what is learnt; its runs say so by the method's name, kpl-corrected.
    Scores against labels leave the corrected pictures out.

    Example:

      kpl learn run/ --out corrected/
    """
    from kpl.curation import learn as learn_on
    from kpl.report import write_report
    from kpl.runs import open_single_label

    found = learn_on(
        open_single_label(run), out, encoder=encoder, overwrite=overwrite, finish=lambda folder: write_report(folder)
    )
    total = found.learnt + found.none
    say(f"Learnt on from {total} corrected {found.run.noun}, {found.none} of them of none of the classes")
    if found.disputed or found.unsure:
        say(f"Not learnt from: {found.disputed} that readers disagree on, {found.unsure} that nobody is sure of")
    moved = sum(found.moves.values())
    say(f"{moved} of the {found.run.n - total} other {found.run.noun} have another class now")
    if moved:
        table = table_of("was", "is now", figures=[found.run.noun])
        for (before, now), count in list(found.moves.items())[:12]:
            table.add_row(plain(found.run.called(before)), plain(found.run.called(now)), str(count))
        Console().print(table)
    say(f"Look at it: {out / 'report.html'}")
