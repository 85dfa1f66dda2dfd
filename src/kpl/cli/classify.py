"""`kpl classify`: pictures and a knowledge base in, a run folder out."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from kpl.cli.label_options import reads_table
from kpl.cli.multi_label import read_thresholds
from kpl.cli.options import (
    Address,
    K,
    KnowledgeOption,
    On,
    Settings,
    chosen_pictures,
    chosen_settings,
    gathers,
    named_numbers,
    on_cluster,
)
from kpl.cli.progress import stages
from kpl.cli.terminal import Console, plain, print_notes
from kpl.errors import InputError
from kpl.proxies.pooling import DEFAULT_POOL, SLIDE_POOL

if TYPE_CHECKING:
    from kpl.evaluation import Reading
    from kpl.knowledge import KnowledgeBase
    from kpl.runs import Run

_SHOWN = 5  # set-aside files named in the terminal; run.json has them all


class _Kept(StrEnum):
    csv = "csv"
    parquet = "parquet"


_Calibration = Annotated[
    Path | None, typer.Option(help="Apply a file of `kpl calibrate`, made for this encoder, knowledge and method.")
]
_AbstainBelow = Annotated[
    float | None, typer.Option("--abstain-below", help="No label for pictures of lower confidence, 0 to 1.")
]
_Model = Annotated[
    Path | None, typer.Option(help="A model of `kpl fit`, in the place of knowledge and of learning from SCANS.")
]
_Explain = Annotated[
    bool, typer.Option("--explain", help="Also write evidence.csv: sentences for and against each prediction.")
]
_Coverage = Annotated[
    float | None, typer.Option(help="Label only this share of the pictures, the most confident: 0.8 for 80 %.")
]
_Other = Annotated[bool, typer.Option("--other", help="Label pictures that are of no listed class 'none of these'.")]
_Pool = Annotated[
    str | None,
    typer.Option(
        help=f"Of units of several pictures: mean, max, top-K or top-K% over their scores. Default: {DEFAULT_POOL}, "
        f"of slides {SLIDE_POOL}."
    ),
]
_MultiLabel = Annotated[
    bool, typer.Option("--multi-label", help="Classes may occur together: each is present or not by itself.")
]
_Inputs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SCANS...", help="Folders (any depth) or files, one feature folder, or one table."),
]
_Table = Annotated[
    Path | None,
    typer.Option(help="A table that names the pictures of SCANS to take, and their patients; nothing else is read."),
]
_Threshold = Annotated[
    list[str] | None,
    typer.Option(
        help="A class is given from this confidence on, CLASS=0.7, again for others; 0.6 for all. With --multi-label "
        "it is present from there on, 0.5 if nothing is said; auto parts the pictures of each class by themselves."
    ),
]
_Only = Annotated[
    list[str] | None,
    typer.Option(help="Choose between some classes of the knowledge: a class, or a group of them; again for others."),
]
_Prior = Annotated[
    list[str] | None,
    typer.Option(
        help="A known share of a class, CLASS=0.6, again for others; those not named share the rest. Else estimated."
    ),
]
_Predictions = Annotated[
    _Kept, typer.Option("--predictions", help="Keep predictions as one CSV, or in Parquet (extra: parquet).")
]


@gathers("pictures", chosen_pictures)
@reads_table("label_column", "numbers", "blank", "uncertain", "none", "readers", "reader_column")
def classify(
    inputs: _Inputs = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run folder to make.")],
    table: _Table = None,
    knowledge: KnowledgeOption = None,
    model: _Model = None,
    pictures: dict[str, Any],
    method: Annotated[str | None, typer.Option(help="Method by name: see `kpl methods list`. Default: 'kpl'.")] = None,
    k: K = None,
    settings: Settings = None,
    explain: _Explain = False,
    calibration: _Calibration = None,
    abstain_below: _AbstainBelow = None,
    coverage: _Coverage = None,
    other: _Other = False,
    pool: _Pool = None,
    multi_label: _MultiLabel = False,
    threshold: _Threshold = None,
    only: _Only = None,
    prior: _Prior = None,
    predictions: _Predictions = _Kept.csv,
    on: On = None,
    address: Address = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in --out.")] = False,
    reading: Reading,
) -> None:
    """Classify pictures without labels.

    Examples:

      kpl classify SCANS/ --knowledge my-classes.yaml --out run/

      kpl classify SCANS/ --knowledge blood-cells --encoder mini --explain --out run/

      kpl classify SCANS/ --knowledge my-classes.yaml --encoder biomedclip --out run/

      kpl classify features/ --knowledge blood-cells --out run/

      kpl classify SCANS/ --knowledge my-classes.yaml --other --out run/

      kpl classify SCANS/ --knowledge findings.yaml --multi-label --threshold 0.6 --out run/

      kpl classify SCANS/ --knowledge blood-cells --only neutrophil --only lymphocyte --prior neutrophil=0.6 --out run/

      kpl classify SCANS/ --knowledge blood-cells --method text --set retrieval=image --out run/

      kpl classify NEW/ --model cells.kpl --out run/

      kpl classify features/ --model cells.kpl --on ray --address head:6379 --out run/

      kpl classify SCANS/ --table cohort.xlsx --knowledge my-classes.yaml --out run/

      kpl classify manifest.csv --knowledge my-classes.yaml --out run/

      kpl classify features/ --model cells.kpl --predictions parquet --out run/
    """
    from kpl.report import write_report
    from kpl.runs import classify as run_classify
    from kpl.runs import classify_multi_label

    given = pictures | {"out": out, "table": table, "reading": reading, "pool": pool, "overwrite": overwrite}
    given |= {"predictions": predictions.value, "calibration": calibration}
    learnt = {"method": method, "model": model, "k": k, "set": settings, "prior": prior, "explain": explain}
    learnt["other"] = other
    given |= {"on": "ray", "address": address} if on_cluster(on, address) else {}
    decided: dict[str, Any] = {"abstain_below": abstain_below, "coverage": coverage}
    base, shares = _of_classes(knowledge, only, prior)
    if multi_label:
        if refused := [name for name, value in {**learnt, **decided}.items() if value not in (None, False)]:
            name = refused[0].replace("_", "-")
            raise InputError(f"--{name} does not go with --multi-label, which learns nothing: leave it out")
        if knowledge is None:
            raise InputError("--multi-label needs --knowledge: name a file or a pack")
        run: Callable[..., Run] = partial(classify_multi_label, **read_thresholds(threshold or []))
    elif model is not None and (k is not None or settings or method or only or prior):
        raise InputError(
            "a model has its classes, method and settings already: leave --only, --prior, --method, --k and --set out"
        )
    else:
        chosen = shares | chosen_settings(method, k, settings) if model is None else {}
        how: dict[str, Any] = {"method": method, "model": model, "settings": chosen, "with_evidence": explain}
        how |= {"other": other, "thresholds": named_numbers("--threshold", threshold or [], plain=True)}
        run = partial(run_classify, **how, **decided)
    with stages() as progress:
        result = run(inputs or [], knowledge=base, **given, finish=write_report, progress=progress)
    print_result(result)


def _of_classes(
    knowledge: str | None, only: list[str] | None, prior: list[str] | None
) -> tuple[str | KnowledgeBase | None, dict[str, Any]]:
    """Return the knowledge with the classes that are chosen between, and the known shares of them as settings."""
    if knowledge is None or not (only or prior):
        return knowledge, {}
    from kpl.knowledge import load_knowledge, only_classes
    from kpl.runs.narrowing import known_prior

    base = load_knowledge(knowledge)
    base = only_classes(base, only) if only else base
    shares = named_numbers("--prior", prior or [], plain=False)
    return base, {"prior": known_prior(base, {str(name): share for name, share in shares.items()})} if prior else {}


def print_result(result: Run) -> None:
    """Print the classes with counts and shares, the time, what was set aside, the warnings, and where to look."""
    console = Console()
    table = Table("class", title=result.title, title_justify="left")
    table.add_column("pictures" if result.pooling.plain else "units", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    top = max(*result.counts.values(), 1)
    for key, count in result.counts.items():
        bar = "█" * round(20 * count / top)
        table.add_row(plain(result.called(key)), str(count), f"{count / result.n:.1%}", plain(bar, style="cyan"))
    console.print(table)
    for said in result.left_out:
        console.print(said, highlight=False)
    if result.site:
        console.print(result.site.told, highlight=False)
    pace = (
        f"; pictures read and embedded at {result.features.n / result.embed_seconds:.0f} a second"
        if result.embed_seconds
        else ""
    )
    console.print(f"{result.seconds or 0.0:.1f} s{pace}", highlight=False)
    if result.set_aside:
        console.print(f"{len(result.set_aside)} set aside, listed in run.json:", style="yellow", highlight=False)
        for item in result.set_aside[:_SHOWN]:
            console.print(plain(f"  {item.id!r}: {item.reason}"), soft_wrap=True)
    if others := result.summary["other_files"]:
        console.print(f"{others} other file{'s' * (others != 1)} passed over", highlight=False)
    print_notes(console, result.warnings)
    further = ("instances.csv", "units.csv", "evidence.csv")
    files = ", ".join(
        [result.predictions_file.name, "run.json", *(name for name in further if (result.path / name).exists())]
    )
    console.print(plain(f"Written to {result.path}/: {files}"), soft_wrap=True)
    if (result.path / "report.html").exists():
        console.print(plain(f"Look at it: {result.path / 'report.html'}", style="bold"), soft_wrap=True)
