"""`kpl evaluate`: methods side by side against labels, with intervals and the majority rate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kpl.cli.progress import stages

if TYPE_CHECKING:
    from kpl.evaluation import Scores
    from kpl.runs import Evaluation

__all__ = ["evaluate", "print_evaluation"]

_COLUMNS = (("accuracy", "accuracy"), ("balanced_accuracy", "balanced"), ("macro_f1", "macro F1"), ("auroc", "AUROC"))
_WITH_INTERVAL = ("accuracy", "balanced_accuracy")  # as much as 80 columns hold; --json has them all


def evaluate(
    target: Annotated[Path, typer.Argument(metavar="RUN|BUNDLE", help="A run of `kpl classify`, or a feature bundle.")],
    labels: Annotated[
        Path | None, typer.Option(help="CSV with image,label[,group]; or a folder whose sub-folders are the classes.")
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="Comma-separated names. Default: names,cupl,text,inmap,kpl-official,kpl.")
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
    replicates: Annotated[int, typer.Option(min=0, help="Bootstrap replicates of the 95 % intervals.")] = 2000,
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Leave out images whose label is no class of the knowledge.")
    ] = False,
) -> None:
    """Score methods against labels. No label reaches what is learnt.

    Examples:

      kpl evaluate run/ --labels labels.csv

      kpl evaluate run/ --labels SCANS/ --methods cupl,kpl --json scores.json

      kpl evaluate bundle/ --json scores.json
    """
    from kpl.embeddings import write_atomically
    from kpl.runs import EVALUATED
    from kpl.runs import evaluate as run_evaluate

    chosen = [name.strip() for name in methods.split(",") if name.strip()] if methods else list(EVALUATED)
    with stages() as progress:
        result = run_evaluate(
            target,
            labels=labels,
            methods=chosen,
            replicates=replicates,
            ignore_unknown=ignore_unknown,
            progress=progress,
        )
    print_evaluation(result)
    if json_out is not None:
        write_atomically(json_out, (json.dumps(result.table.to_json(), indent=2) + "\n").encode())
        typer.echo(f"Figures written to {json_out}")


def print_evaluation(result: Evaluation) -> None:
    """Print the table of methods, the majority and chance rates, and what was left out."""
    console = Console()
    any_row = result.table.majority
    table = Table("method", title=f"{any_row.n} labelled images (95 % interval)", title_justify="left")
    for _, title in _COLUMNS:
        table.add_column(title, justify="right")
    for name, scores in result.table.scores.items():
        table.add_row(name, *(_cell(scores, metric) for metric, _ in _COLUMNS))
    table.add_section()
    table.add_row("majority", *(_cell(any_row, metric) for metric, _ in _COLUMNS), style="dim")
    console.print(table)
    console.print(f"Guessing evenly: {result.table.chance:.1%}", highlight=False)
    for notice in result.notices:
        console.print(Text(f"Note: {notice}", style="yellow"), soft_wrap=True)
    for name in result.left_out:
        console.print(f"Note: {name} was left out: the source has no class-name prompt", style="yellow")


def _cell(scores: Scores, metric: str) -> str:
    value = getattr(scores, metric)
    if value is None:
        return "-"
    interval = scores.intervals.get(metric) if metric in _WITH_INTERVAL else None
    return f"{value:.3f}" + (f" ({interval[0]:.3f}-{interval[1]:.3f})" if interval else "")
