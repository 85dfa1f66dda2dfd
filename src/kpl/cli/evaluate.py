"""`kpl evaluate`: methods side by side against labels, with intervals and the majority rate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from kpl.cli import scoring
from kpl.cli.notes import print_notes
from kpl.cli.outputs import spare_inputs
from kpl.cli.presence import evaluate_multi_label
from kpl.cli.progress import stages
from kpl.cli.shown import Console, plain, say
from kpl.errors import LabelsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kpl.evaluation import OperatingRule, Scores
    from kpl.evaluation import Table as ScoreTable
    from kpl.evaluation.metrics import Metric
    from kpl.runs import Evaluation

__all__ = ["evaluate", "print_evaluation"]

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


def evaluate(
    target: Annotated[Path, typer.Argument(metavar="RUN|BUNDLE", help="A run of `kpl classify`, or a feature bundle.")],
    labels: scoring.Labels = None,
    methods: scoring.Methods = None,
    against: _Against = None,
    by: scoring.By = None,
    classes: _Classes = False,
    at: _At = None,
    ordered: scoring.Ordered = False,
    encoder: _Encoder = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write all figures to this file.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Also draw them: a .svg, .png or .pdf file.")] = None,
    replicates: scoring.Replicates = 2000,
    ignore_unknown: scoring.IgnoreUnknown = False,
    image_column: scoring.ImageColumn = None,
    label_column: scoring.LabelColumn = None,
    group_column: scoring.GroupColumn = None,
    sheet: scoring.Sheet = None,
    label_numbers: scoring.LabelNumbers = None,
    blank: scoring.Blank = None,
    uncertain: scoring.Uncertain = "ignore",
    none: scoring.NoClass = None,
) -> None:
    """Score methods against labels. No label reaches what is learnt.

    Examples:

      kpl evaluate run/ --labels labels.csv

      kpl evaluate run/ --labels labels.csv --by site --classes --at sensitivity=0.95

      kpl evaluate bundle/ --methods all --json scores.json --figure scores.svg
    """
    from kpl.evaluation import check_figure
    from kpl.runs import MultiLabelRun, is_run, open_run
    from kpl.runs import evaluate as run_evaluate

    if figure is not None:
        check_figure(figure)
    spare_inputs([json_out, figure], [target, labels])
    rule = None if at is None else _rule(at)
    reading = scoring.reading_of(image_column, label_column, group_column, sheet, label_numbers, blank, uncertain, none)
    given = open_run(target) if is_run(target) else target
    if isinstance(given, MultiLabelRun):
        if methods or encoder or against or ordered or figure or ignore_unknown:
            raise LabelsError(
                "a multi-label run is scored by itself: give only --labels, --by, --at, --json, --replicates"
            )
        evaluate_multi_label(
            given, labels, by=scoring.listed(by), rule=rule, replicates=replicates, json_out=json_out, reading=reading
        )
        return
    with stages() as progress:
        result = run_evaluate(
            given,
            labels=labels,
            encoder=encoder,
            methods=scoring.chosen_methods(methods),
            replicates=replicates,
            ignore_unknown=ignore_unknown,
            against=against,
            by=scoring.listed(by),
            ordered=ordered,
            rule=rule,
            reading=reading,
            progress=progress,
        )
    print_evaluation(result)
    _print_more(result.table, classes=classes or rule is not None)
    _write(result.table, json_out, figure)


def _print_more(table: ScoreTable, *, classes: bool) -> None:
    """Print each class, if that was asked for, and each value of the columns that were."""
    console = Console()
    if classes:
        _print_classes(console, table)
    _print_subgroups(console, table)


def _write(table: ScoreTable, json_out: Path | None, figure: Path | None) -> None:
    """Write the figures as JSON and as a drawing, where they were asked for."""
    from kpl.evaluation import draw_table
    from kpl.files import write_file

    if json_out is not None:
        write_file(json_out, (json.dumps(table.to_json(), indent=2) + "\n").encode())
        say(f"Figures written to {json_out}")
    if figure is not None:
        write_file(figure, draw_table(table, figure.suffix))
        say(f"Drawn in {figure}")


def print_evaluation(result: Evaluation) -> None:
    """Print the methods with the majority and chance rows, how they compare, and what was left out."""
    from kpl.evaluation.metrics import FIRST, REGISTRY

    console = Console()
    table = result.table
    title = f"{table.majority.n} labelled images (95 % interval)"
    _print_scores(console, title, table, FIRST)
    rest = [
        metric
        for metric in REGISTRY
        if not metric.first and any(getattr(scores, metric.name) is not None for scores in table.scores.values())
    ]
    _print_scores(console, "Agreement, and whether the probabilities can be believed", table, rest)
    if table.differences:
        rows = Table(
            "method",
            "accuracy",
            "95 % interval",
            "p",
            "p (Holm)",
            title=f"Accuracy less that of {table.reference}",
            title_justify="left",
        )
        for name, difference in table.differences.items():
            interval = "-" if not difference.interval else "{:+.3f} to {:+.3f}".format(*difference.interval)
            p_values = (_p_value(difference.p_value), _p_value(difference.p_holm))
            rows.add_row(name, f"{difference.accuracy:+.3f}", interval, *p_values)
        console.print(rows)
    console.print(f"Guessing evenly: {table.chance:.1%}", highlight=False)
    left_out = [f"{name} was left out: {why}" for name, why in result.left_out.items()]
    print_notes(console, [*result.notices, *left_out])


def _print_scores(console: Console, title: str, table: ScoreTable, metrics: Sequence[Metric]) -> None:
    shown = Table("method", title=title, title_justify="left")
    for metric in metrics:
        shown.add_column(metric.short, justify="right")
    for name, scores in table.scores.items():
        shown.add_row(name, *(_cell(scores, metric.name) for metric in metrics))
    shown.add_section()
    for name, scores in (("majority", table.majority), ("chance", table.guessing)):
        shown.add_row(name, *(_cell(scores, metric.name) for metric in metrics), style="dim")
    console.print(shown)


def _print_classes(console: Console, table: ScoreTable) -> None:
    """Print the classes of the method that the others are compared with, else of the first."""
    name = table.reference or next(iter(table.scores))
    entries = table.details[name].classes
    shown = Table("class", title=f"Each class against the rest, by {name}", title_justify="left")
    for column in ("n", "sensitivity", "specificity", "F1", "AUROC", "AP"):
        shown.add_column(column, justify="right")
    for key, entry in entries.items():
        shown.add_row(
            plain(key),
            str(entry.n),
            _number(entry.sensitivity, entry.intervals.get("sensitivity")),
            *(_number(value) for value in (entry.specificity, entry.f1, entry.auroc, entry.average_precision)),
        )
    console.print(shown)
    if not any(entry.operating for entry in entries.values()):
        return
    shown = Table("class", title=f"Operating points of {name}", title_justify="left")
    for column in ("threshold", "sensitivity", "specificity"):
        shown.add_column(column, justify="right")
    for key, entry in entries.items():
        shown.add_row(plain(key), *(_number(value) for value in entry.operating or (None, None, None)))
    console.print(shown)
    console.print("Thresholds chosen on these very labels: new pictures will do a little worse.", soft_wrap=True)


def _print_subgroups(console: Console, table: ScoreTable) -> None:
    from kpl.evaluation.metrics import FIRST

    name = table.reference or next(iter(table.scores))
    for column, values in table.subgroups.get(name, {}).items():
        shown = Table(title=plain(f"By {column}, {name}"), title_justify="left")
        shown.add_column(plain(column))
        for heading in ("n", *(metric.short for metric in FIRST)):
            shown.add_column(heading, justify="right")
        for value, scores in values.items():
            shown.add_row(plain(value), str(scores.n), *(_cell(scores, metric.name) for metric in FIRST))
        console.print(shown)


def _rule(text: str) -> OperatingRule:
    from kpl.evaluation import OperatingRule

    reach, _, value = text.partition("=")
    try:
        share = float(value)
    except ValueError:
        share = float("nan")
    if reach == "sensitivity" and 0 < share <= 1:
        return OperatingRule("sensitivity", share)
    if reach == "specificity" and 0 < share <= 1:
        return OperatingRule("specificity", share)
    raise LabelsError(
        f"--at {text!r} is no operating point: write sensitivity=0.95 or specificity=0.9, a share up to 1"
    )


def _cell(scores: Scores, metric: str) -> str:
    value = getattr(scores, metric)
    return _number(value, scores.intervals.get(metric) if metric in _WITH_INTERVAL else None)


def _number(value: float | None, interval: tuple[float, float] | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ({interval[0]:.3f}-{interval[1]:.3f})" if interval else "")


def _p_value(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
