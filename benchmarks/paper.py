"""Score methods on the ten data sets of the KPL paper, beside the figures of its released log: `make paper`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kpl.cli.outputs import spare_inputs
from kpl.cli.progress import stages
from kpl.cli.terminal import Console, plain, print_notes
from kpl.errors import InputError, KplError
from kpl.evaluation import Scores
from kpl.files import write_file
from paper_table import SetResult, bench_paper


def paper(
    data: Annotated[Path, typer.Option(help="The folder in which each data set has its own folder.")],
    encoder: Annotated[str, typer.Option(help="Encoder by name: see `kpl encoders list`.")],
    knowledge: Annotated[
        Path | None, typer.Option(help="A folder of KEY.yaml files that stand in for the shipped packs.")
    ] = None,
    sets: Annotated[str | None, typer.Option(help="Comma-separated keys. Default: all ten.")] = None,
    methods: Annotated[str | None, typer.Option(help="Comma-separated names. Default: all.")] = None,
    features: Annotated[
        Path | None, typer.Option(help="Where features are kept. Default: kpl-features in --data.")
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
    replicates: Annotated[int, typer.Option(min=0, help="Bootstrap replicates of the 95 % intervals.")] = 2000,
) -> None:
    """Score methods on the ten data sets of the KPL paper, beside the figures of its released log.

    Examples:

      python benchmarks/paper.py --data DATA/ --encoder mini --json paper.json

      python benchmarks/paper.py --data DATA/ --encoder openai-clip-l-14 --sets idrid,pets --methods cupl,kpl
    """
    spare_inputs([json_out], [data])
    with stages() as progress:
        results = bench_paper(
            data,
            encoder=encoder,
            knowledge=knowledge,
            features=features,
            sets=_names(sets),
            methods=_names(methods),
            replicates=replicates,
            progress=progress,
        )
    for result in results:
        _print_set(result)
    if json_out is not None:
        figures = {result.paper_set.key: result.to_json() for result in results}
        write_file(json_out, (json.dumps(figures, indent=2) + "\n").encode())
        typer.echo(f"Figures written to {json_out}")
    if all(result.table is None for result in results):
        raise InputError("no data set was scored; the lines above say what each of them lacks")


def _names(given: str | None) -> list[str]:
    return [name.strip() for name in (given or "").split(",") if name.strip()]


def _print_set(result: SetResult) -> None:
    console, told = Console(), result.paper_set
    if result.table is None:
        console.print(plain(f"{told.title}: {result.missing}", style="yellow"), soft_wrap=True)
        return
    title = f"{told.title}: {result.table.majority.n} labelled pictures (95 % interval)"
    table = Table("method", title=title, title_justify="left")
    table.add_column("accuracy", justify="right")
    table.add_column("balanced", justify="right")
    for name, scores in result.table.scores.items():
        table.add_row(name, _cell(scores, "accuracy"), _cell(scores, "balanced_accuracy"))
    table.add_section()
    majority = result.table.majority
    table.add_row("majority", _cell(majority, "accuracy"), _cell(majority, "balanced_accuracy"), style="dim")
    for released in told.released:
        for k, text, kpl in (*released.at, released.best):
            best = ", its best" if (k, text, kpl) == released.best else ""
            table.add_row(
                f"released log, {released.backbone}, k = {k}{best}", f"text {text:.2f}, KPL {kpl:.2f}", "-", style="dim"
            )
    console.print(table)
    print_notes(console, result.notices)


def _cell(scores: Scores, metric: str) -> str:
    value, interval = getattr(scores, metric), scores.intervals.get(metric)
    return f"{100 * value:.2f}" + (f" ({100 * interval[0]:.1f}-{100 * interval[1]:.1f})" if interval else "")


if __name__ == "__main__":
    try:
        typer.run(paper)
    except KplError as error:
        sys.exit(f"Error: {error}")
