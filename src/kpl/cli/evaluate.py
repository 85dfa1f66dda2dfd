"""`kpl evaluate`: methods side by side against labels, with intervals and the majority rate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kpl.cli.label_options import chosen_scoring, read_rule
from kpl.cli.multi_label import print_classes
from kpl.cli.options import gathers
from kpl.cli.outputs import spare_inputs
from kpl.cli.progress import stages
from kpl.cli.terminal import Console, plain, print_notes, say, table_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kpl.evaluation import Scores
    from kpl.evaluation import Table as ScoreTable
    from kpl.evaluation.weighted import Metric
    from kpl.runs import Evaluation

_WITH_INTERVAL = ("accuracy", "balanced_accuracy")  # as much as 80 columns hold; --json has them all

_Against = Annotated[
    str | None, typer.Option(help="Compare the others with this method. Default: the run's own, else kpl.")
]
_Encoder = Annotated[
    str | None,
    typer.Option(help="Where the run's encoder is, if a method reads further texts. Default: by its name."),
]
_Classes = Annotated[bool, typer.Option("--classes", help="Also print each class by itself.")]
_At = Annotated[str | None, typer.Option(help="Operating point of each class: sensitivity=0.95, or specificity=0.9.")]


@gathers("scoring", chosen_scoring)
def evaluate(
    target: Annotated[Path, typer.Argument(metavar="RUN|BUNDLE", help="A run of `kpl classify`, or a feature bundle.")],
    *,
    scoring: dict[str, Any],
    against: _Against = None,
    classes: _Classes = False,
    at: _At = None,
    encoder: _Encoder = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write all figures to this file.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Also draw them: a .svg, .png or .pdf file.")] = None,
) -> None:
    """Score methods against labels. No label reaches what is learnt.

    Examples:

      kpl evaluate run/ --labels labels.csv

      kpl evaluate run/ --labels labels.csv --by site --classes --at sensitivity=0.95

      kpl evaluate bundle/ --methods all --json scores.json --figure scores.svg
    """
    from kpl.evaluation import Table, check_figure, draw_table
    from kpl.files import write_file
    from kpl.runs import evaluate as run_evaluate

    if figure is not None:
        check_figure(figure)
    spare_inputs([json_out, figure], [target, scoring["labels"]])
    rule = None if at is None else read_rule(at)
    with stages() as progress:
        result = run_evaluate(
            target,
            encoder=encoder,
            against=against,
            rule=rule,
            **scoring,
            progress=progress,
        )
    drawn = None if figure is None else draw_table(result.methods, figure.suffix)
    if isinstance(result.table, Table):
        print_evaluation(result)
        _print_more(result, classes=classes or rule is not None)
    else:
        print_classes(result, rule)
    if json_out is not None:
        told = result.table.to_json()
        told |= (
            {"levels": {str(level): above.to_json() for level, above in result.levels.items()}} if result.levels else {}
        )
        told |= {"none_of_these": result.unlisted.to_json()} if result.unlisted else {}
        write_file(json_out, (json.dumps(told, indent=2) + "\n").encode())
        say(f"Figures written to {json_out}")
    if figure is not None and drawn is not None:
        write_file(figure, drawn)
        say(f"Drawn in {figure}")


def _print_more(result: Evaluation, *, classes: bool) -> None:
    """Print each class, if that was asked for, and each value of the columns that were."""
    console = Console()
    if classes:
        _print_classes(console, result.methods, result.names)
    _print_subgroups(console, result.methods)


def print_evaluation(result: Evaluation) -> None:
    """Print the methods with the majority and chance rows, how they compare, and what was left out."""
    from kpl.evaluation.metrics import FIRST, REGISTRY

    console = Console()
    table = result.methods
    title = f"{table.majority.n} labelled images (95 % interval over {table.unit})"
    _print_scores(console, title, table, FIRST)
    rest = [
        metric
        for metric in REGISTRY
        if not metric.first and any(scores.figures[metric.name] is not None for scores in table.scores.values())
    ]
    _print_scores(console, "Agreement, and whether the probabilities can be believed", table, rest)
    if table.differences:
        title = f"Accuracy less that of {table.reference}"
        rows = table_of("method", "accuracy", "95 % interval", "p", "p (Holm)", title=title)
        for name, difference in table.differences.items():
            interval = "-" if not difference.interval else "{:+.3f} to {:+.3f}".format(*difference.interval)
            p_values = (_p_value(difference.p_value), _p_value(difference.p_holm))
            rows.add_row(name, f"{difference.accuracy:+.3f}", interval, *p_values)
        console.print(rows)
    console.print(f"Guessing evenly: {table.chance:.1%}", highlight=False)
    for level, above in result.levels.items():
        names = list(above.details[next(iter(above.details))].classes)
        some = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        _print_scores(console, f"Level {level} above the classes: {some}", above, FIRST)
    left_out = [f"{name} was left out: {why}" for name, why in result.left_out.items()]
    print_notes(console, [*result.notices, *left_out])


def _print_scores(console: Console, title: str, table: ScoreTable, metrics: Sequence[Metric]) -> None:
    shown = table_of("method", title=plain(title), figures=[metric.short for metric in metrics])
    for name, scores in table.scores.items():
        shown.add_row(name, *(_cell(scores, metric.name) for metric in metrics))
    shown.add_section()
    for name, scores in (("majority", table.majority), ("chance", table.guessing)):
        shown.add_row(name, *(_cell(scores, metric.name) for metric in metrics), style="dim")
    console.print(shown)


def _print_classes(console: Console, table: ScoreTable, names: Mapping[str, str]) -> None:
    """Print the classes of the method that the others are compared with, else of the first."""
    name = table.reference or next(iter(table.scores))
    entries = table.details[name].classes
    columns = ("n", "sensitivity", "specificity", "F1", "AUROC", "AP")
    shown = table_of("class", title=f"Each class against the rest, by {name}", figures=columns)
    for key, entry in entries.items():
        shown.add_row(
            plain(names.get(key, key)),
            str(entry.n),
            _number(entry.sensitivity, entry.intervals.get("sensitivity")),
            *(_number(value) for value in (entry.specificity, entry.f1, entry.auroc, entry.average_precision)),
        )
    console.print(shown)
    if not any(entry.operating for entry in entries.values()):
        return
    points = ("threshold", "sensitivity", "specificity")
    shown = table_of("class", title=f"Operating points of {name}", figures=points)
    for key, entry in entries.items():
        shown.add_row(plain(names.get(key, key)), *(_number(value) for value in entry.operating or (None, None, None)))
    console.print(shown)
    console.print("Thresholds chosen on these very labels: new pictures will do a little worse.", soft_wrap=True)


def _print_subgroups(console: Console, table: ScoreTable) -> None:
    from kpl.evaluation.metrics import FIRST

    name = table.reference or next(iter(table.scores))
    for column, values in table.subgroups.get(name, {}).items():
        figures = ("n", *(metric.short for metric in FIRST))
        shown = table_of(plain(column), title=plain(f"By {column}, {name}"), figures=figures)
        for value, scores in values.items():
            n = f"{scores.n}" if scores.units is None else f"{scores.n} ({scores.units} units)"
            shown.add_row(plain(value), n, *(_cell(scores, metric.name) for metric in FIRST))
        console.print(shown)


def _cell(scores: Scores, metric: str) -> str:
    value = scores.figures[metric]
    return _number(value, scores.intervals.get(metric) if metric in _WITH_INTERVAL else None)


def _number(value: float | None, interval: tuple[float, float] | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ({interval[0]:.3f}-{interval[1]:.3f})" if interval else "")


def _p_value(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
