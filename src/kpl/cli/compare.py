"""`kpl compare`: two runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kpl.cli import label_options as scoring
from kpl.cli.outputs import spare_inputs, write_figures
from kpl.cli.terminal import Console, plain, print_notes, table_of
from kpl.errors import LabelsError
from kpl.visible import visible

if TYPE_CHECKING:
    from kpl.evaluation import Reading

_LISTED = 20


@scoring.reads_table("blank", "uncertain", "none")
def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `kpl classify`.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another, of the same pictures or some of them.")],
    *,
    labels: scoring.Labels = None,
    replicates: Annotated[int | None, typer.Option(min=0, help="Bootstrap replicates. Default: 2000.")] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write all figures to this file.")] = None,
    reading: Reading,
) -> None:
    """Say how far two runs agree, what moved from which class to which, and with labels which is better.

    Examples:

      kpl compare run/ corrected/

      kpl compare run/ other/ --labels labels.csv
    """
    from kpl.curation import compare_runs
    from kpl.runs import open_single_label

    if labels is None and (replicates is not None or reading != type(reading)()):
        raise LabelsError("--replicates and the columns are about labels: give --labels too")
    spare_inputs([json_out], [first, second, labels])
    opened = open_single_label(first)
    found = compare_runs(
        opened,
        open_single_label(second),
        labels=labels,
        reading=reading,
        replicates=2000 if replicates is None else replicates,
    )
    kappa = "-" if found.kappa is None else f"{found.kappa:.3f}"
    console = Console()
    console.print(
        f"{found.both} {opened.noun} in both: {found.agreement:.1%} have the same label, Cohen's kappa {kappa}"
    )
    if found.only_first or found.only_second:
        console.print(f"Only in the first: {found.only_first}; only in the second: {found.only_second}")
    if found.moves:
        table = table_of("first", "second", title="What moved", figures=[opened.noun])
        for (one, two), count in list(found.moves.items())[:_LISTED]:
            table.add_row(plain(opened.called(one)), plain(opened.called(two)), str(count))
        console.print(table)
    if found.accuracy and found.difference:
        gain = found.difference
        over = visible(found.unit or "")
        interval = "" if gain.interval is None else " (95 % interval {:+.3f} to {:+.3f}".format(*gain.interval)
        interval += f" over {over})" if interval else ""
        chance = "" if gain.p_value is None else f", p = {gain.p_value:.3g}"
        console.print(
            f"{found.labelled} labelled {opened.noun}: accuracy {found.accuracy[0]:.3f} and {found.accuracy[1]:.3f}; "
            f"the second less the first {gain.accuracy:+.3f}{interval}{chance}",
            soft_wrap=True,
            highlight=False,
        )
        print_notes(console, list(found.notices))
    write_figures(json_out, found.to_json())
