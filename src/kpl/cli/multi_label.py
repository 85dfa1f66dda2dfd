"""The multi-label side of `kpl classify`, `evaluate` and `explain`: classes that are present or not by themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from kpl.cli.options import named_numbers
from kpl.cli.terminal import Console, percent, plain, print_notes, table_of
from kpl.errors import InputError

if TYPE_CHECKING:
    from kpl.evaluation import OperatingRule
    from kpl.report import ClassExplained
    from kpl.runs import ChosenThresholds, Evaluation, Run

_SHOWN = 3  # sentences for presence, and for absence


def explain_multi_label(run: Run, image: str, *, mapped: bool = False) -> None:
    """Run `kpl explain` on a multi-label run and print the evidence of each class, present against absent."""
    from kpl.report import explain_classes

    if mapped:
        raise InputError("a map is drawn for the one label of a picture, and a multi-label run has several: leave it")
    name, classes = explain_classes(run, image)
    console = Console()
    there = [f"{each.class_name} {percent(each.probability)}" for each in classes if each.present]
    console.print(plain(f"{name}: {', '.join(there) or 'none of the classes'}", style="bold"), soft_wrap=True)
    for each in classes:
        console.print(_evidence(each))
        for words, near in each.nearest:
            listed = ", ".join(f"{image} ({cosine:.3f})" for image, cosine in near)
            console.print(plain(f"Nearest {words}: {listed or 'none'}"), soft_wrap=True)
    console.print(
        "by itself: the class's probability by this sentence against its absence alone. share: the sentence's exact "
        "part of the margin, which is the logarithm of the probability over the threshold.",
        soft_wrap=True,
    )


def _evidence(found: ClassExplained) -> Table:
    verdict = "present" if found.present else "absent"
    title = f"{found.class_name} {percent(found.probability)}, threshold {percent(found.threshold)}: {verdict}"
    table = Table("seen if present", "seen if absent", title=plain(title), title_justify="left", show_footer=True)
    table.columns[0].footer = "the whole margin"
    table.add_column("by itself", justify="right", footer=percent(found.probability))
    table.add_column("share", justify="right", footer=f"{found.margin:+.4f}")
    shown = found.sentences
    between = shown[_SHOWN:-_SHOWN] if len(shown) > 2 * _SHOWN else ()
    for number, said in enumerate(shown if not between else (*shown[:_SHOWN], *shown[-_SHOWN:])):
        if between and number == _SHOWN:
            table.add_row(f"{len(between)} more between these", "", "", f"{sum(s.share for s in between):+.4f}")
        table.add_row(plain(said.text), plain(said.against), percent(said.chance), f"{said.share:+.4f}")
    return table


def print_classes(scored: Evaluation, rule: OperatingRule | None) -> None:
    """Print each class of a multi-label run that was scored, and the mean."""
    from kpl.evaluation import CLASS_METRICS

    result = scored.multi_label
    columns = {metric.name: metric.short for metric in CLASS_METRICS if metric.first}
    console = Console()
    title = plain(f"{result.n} labelled images (95 % interval over {result.unit})")
    table = table_of("class", title=title, figures=("present", *columns.values(), *(["threshold"] if rule else [])))
    for key, figures in result.classes.items():
        point = result.operating.get(key)
        chosen = ["-" if point is None else _usable(point.threshold, rule)] if rule else []
        cells = (_cell(figures[metric], result.intervals.get(f"{metric} {key}"), metric) for metric in columns)
        table.add_row(plain(scored.names.get(key, key)), f"{figures['positives']} of {figures['n']}", *cells, *chosen)
    table.add_section()
    means = (_cell(result.mean[metric], result.intervals.get(metric), metric) for metric in columns)
    table.add_row("mean", "", *means, *([""] if rule else []))
    table.add_row("majority", "", "-", "-", "-", "-", "-", f"{result.majority:.3f}", style="dim")
    table.add_row("chance", "", "0.500", f"{result.prevalence:.3f}", "-", "-", "-", "0.500", style="dim")
    console.print(table)
    for column, values in result.subgroups.items():
        title = plain(f"By {column}, mean over classes")
        shown = table_of(plain(column), title=title, figures=("pictures", *columns.values()))
        for value, inside in values.items():
            cells = (_cell(inside.mean[metric], inside.intervals.get(metric), metric) for metric in columns)
            n = f"{inside.n}" if inside.units is None else f"{inside.n} ({inside.units} units)"
            shown.add_row(plain(value), n, *cells)
        console.print(shown)
    print_notes(console, scored.notices)
    if rule:
        console.print(f"Thresholds reach a {rule.reach} of {rule.value:g} on these very labels.", highlight=False)


def print_thresholds(found: ChosenThresholds) -> None:
    """Print the thresholds that few labels chose, and how good they are on labels that had no part in choosing."""
    file, console = found.file, Console()
    title = f"{file.labelled} labelled pictures, one of {file.folds} parts held out in turn ({found.unit})"
    figures = ("present", "threshold", "sensitivity", "specificity", "F1")
    table = table_of("class", title=plain(title), figures=figures)
    for (key, was), each in zip(found.before.items(), found.report.classes, strict=True):
        moved = [f"{was:g}", f"{each.threshold:.4g}"] if each.threshold != was else [f"{was:g}"]
        both = (_both(each.before[metric], each.after[metric]) for metric in ("sensitivity", "specificity", "f1"))
        table.add_row(plain(key), f"{each.positives} of {each.n}", " > ".join(moved), *both)
    table.add_section()
    means = (_both(file.before.get(m), file.after.get(m)) for m in ("sensitivity", "specificity", "f1"))
    table.add_row("mean", "", "", *means)
    console.print(table)
    console.print(plain(f"As it was > with the thresholds chosen for {file.rule}, held out"), soft_wrap=True)
    print_notes(console, found.notices)


def _both(before: float | None, after: float | None) -> str:
    said = ["-" if value is None else f"{value:.3f}" for value in (before, after)]
    return said[0] if before == after else " > ".join(said)


def read_thresholds(given: Sequence[str]) -> dict[str, Any]:
    """Read 0.6 for all classes, CLASS=0.7 for one, or auto, as `kpl.classify_multi_label` takes them."""
    if list(given) == ["auto"]:
        return {"threshold": "auto"}
    found = named_numbers("--threshold", given, plain=True)
    return {"threshold": found.pop(None, None), "thresholds": found}


def _usable(threshold: float, rule: OperatingRule) -> str:
    """Write a threshold so that it still reaches the rule when it is typed: a little lower, or higher, is as good."""
    rounded = math.floor(threshold * 1e6) if rule.reach == "sensitivity" else math.ceil(threshold * 1e6)
    return f"{rounded / 1e6:g}"


def _cell(value: float | None, interval: tuple[float, float] | None, metric: str) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ({interval[0]:.2f}-{interval[1]:.2f})" if interval and metric == "auroc" else "")
