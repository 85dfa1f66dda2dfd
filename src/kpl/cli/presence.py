"""The multi-label side of `kpl classify`, `evaluate` and `explain`: classes that are present or not by themselves."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from kpl.cli.notes import print_notes
from kpl.cli.progress import stages
from kpl.cli.shown import Console, percent, plain, say
from kpl.errors import InputError, LabelsError

if TYPE_CHECKING:
    from kpl.encoders import Encoder
    from kpl.evaluation import OperatingRule, Reading
    from kpl.report import ClassPresence
    from kpl.runs import Run

__all__ = ["classify_multi_label", "evaluate_multi_label", "explain_multi_label"]

_SHOWN = 3  # sentences for presence, and for absence

_COLUMNS = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "f1": "F1",
    "accuracy": "accuracy",
}


def classify_multi_label(
    inputs: Sequence[str],
    *,
    knowledge: str | None,
    out: Path,
    encoder: str | Encoder | None,
    thresholds: Sequence[str],
    batch_size: int | None,
    workers: int | None,
    overwrite: bool,
) -> None:
    """Run `kpl classify --multi-label` and print the classes with the pictures that have them."""
    from kpl.report import REPORT_FILE, write_report
    from kpl.runs import classify_presence

    if knowledge is None:
        raise InputError("--multi-label needs --knowledge: name a file or a pack")
    common, own = _thresholds(thresholds)
    with stages() as progress:
        result = classify_presence(
            inputs,
            knowledge=knowledge,
            out=out,
            encoder=encoder,
            threshold=common,
            thresholds=own,
            batch_size=batch_size,
            workers=workers,
            overwrite=overwrite,
            finish=write_report,
            progress=progress,
        )
    console = Console()
    table = Table("class", title=result.title, title_justify="left")
    table.add_column("pictures", justify="right")
    table.add_column("share", justify="right")
    for key, count in result.counts.items():
        table.add_row(plain(key), str(count), f"{count / result.n:.1%}")
    console.print(table)
    console.print(f"{result.empty} without any class; {result.seconds or 0.0:.1f} s", highlight=False)
    if result.set_aside:
        console.print(f"{len(result.set_aside)} set aside, listed in run.json", style="yellow", highlight=False)
    if others := result.summary["other_files"]:
        console.print(f"{others} other file{'s' * (others != 1)} passed over", highlight=False)
    print_notes(console, result.warnings)
    console.print(plain(f"Written to {out}/: predictions.csv, run.json"), soft_wrap=True)
    console.print(plain(f"Look at it: {out / REPORT_FILE}", style="bold"), soft_wrap=True)


def explain_multi_label(run: Run, image: str, *, mapped: bool = False) -> None:
    """Run `kpl explain` on a multi-label run and print the evidence of each class, present against absent."""
    from kpl.report import explain_presence

    if mapped:
        raise InputError("a map is drawn for the one label of a picture, and a multi-label run has several: leave it")
    name, classes = explain_presence(run, image)
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


def _evidence(found: ClassPresence) -> Table:
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


def evaluate_multi_label(
    target: Run,
    labels: Path | None,
    *,
    by: Sequence[str] = (),
    rule: OperatingRule | None,
    replicates: int,
    json_out: Path | None,
    reading: Reading | None = None,
) -> None:
    """Run `kpl evaluate` on a multi-label run and print each class and the mean."""
    from kpl.files import write_file
    from kpl.runs import evaluate_presence

    if labels is None:
        raise LabelsError("labels are needed to score a run: give --labels, a CSV")
    result, notices = evaluate_presence(target, labels=labels, by=by, replicates=replicates, rule=rule, reading=reading)
    console = Console()
    table = Table("class", title=f"{result.n} labelled images (95 % interval)", title_justify="left")
    for column in ("present", *_COLUMNS.values(), *(["threshold"] if rule else [])):
        table.add_column(column, justify="right")
    for key, figures in result.classes.items():
        point = result.operating.get(key)
        chosen = ["-" if point is None else _usable(point.threshold, rule)] if rule else []
        cells = (_cell(figures[metric], result.intervals.get(f"{metric} {key}"), metric) for metric in _COLUMNS)
        table.add_row(plain(key), f"{figures['positives']} of {figures['n']}", *cells, *chosen)
    table.add_section()
    means = (_cell(result.mean[metric], result.intervals.get(metric), metric) for metric in _COLUMNS)
    table.add_row("mean", "", *means, *([""] if rule else []))
    table.add_row("majority", "", "-", "-", "-", "-", "-", f"{result.majority:.3f}", style="dim")
    table.add_row("chance", "", "0.500", f"{result.prevalence:.3f}", "-", "-", "-", "0.500", style="dim")
    console.print(table)
    for column, values in result.subgroups.items():
        shown = Table(title=plain(f"By {column}, mean over classes"), title_justify="left")
        shown.add_column(plain(column))
        for heading in ("pictures", *_COLUMNS.values()):
            shown.add_column(heading, justify="right")
        for value, inside in values.items():
            cells = (_cell(inside.mean[metric], inside.intervals.get(metric), metric) for metric in _COLUMNS)
            shown.add_row(plain(value), str(inside.n), *cells)
        console.print(shown)
    print_notes(console, notices)
    if rule:
        console.print(f"Thresholds reach a {rule.reach} of {rule.value:g} on these very labels.", highlight=False)
    if json_out is not None:
        write_file(json_out, (json.dumps(result.to_json(), indent=2) + "\n").encode())
        say(f"Figures written to {json_out}")


def _thresholds(given: Sequence[str]) -> tuple[float, dict[str, float]]:
    """Read 0.6 for all classes, and CLASS=0.7 for one."""
    common, own = 0.5, {}
    for text in given:
        name, named, value = text.rpartition("=")
        try:
            share = float(value)
        except ValueError as error:
            raise InputError(f"--threshold {text!r} holds no number: write 0.6, or CLASS=0.6") from error
        if named:
            own[name] = share
        else:
            common = share
    return common, own


def _usable(threshold: float, rule: OperatingRule) -> str:
    """Write a threshold so that it still reaches the rule when it is typed: a little lower, or higher, is as good."""
    rounded = math.floor(threshold * 1e6) if rule.reach == "sensitivity" else math.ceil(threshold * 1e6)
    return f"{rounded / 1e6:g}"


def _cell(value: float | None, interval: tuple[float, float] | None, metric: str) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ({interval[0]:.2f}-{interval[1]:.2f})" if interval and metric == "auroc" else "")
