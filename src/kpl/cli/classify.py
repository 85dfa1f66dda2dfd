"""`kpl classify`: pictures and a knowledge base in, a run folder out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from kpl.cli.chosen import (
    AllowPickle,
    BatchSize,
    Device,
    Settings,
    TrustRemoteCode,
    Workers,
    chosen_encoder,
    chosen_settings,
)
from kpl.cli.encoders import ENCODER_HELP
from kpl.cli.named import tell_own_pack
from kpl.cli.notes import print_notes
from kpl.cli.presence import classify_multi_label
from kpl.cli.progress import stages
from kpl.cli.shown import Console, plain
from kpl.errors import InputError

if TYPE_CHECKING:
    from kpl.runs import SingleLabelRun

__all__ = ["classify", "print_result"]

_SHOWN = 5  # set-aside files named in the terminal; run.json has them all


_Calibration = Annotated[
    Path | None, typer.Option(help="Apply a file of `kpl calibrate`, made for this encoder, knowledge and method.")
]
_AbstainBelow = Annotated[
    float | None, typer.Option("--abstain-below", help="No label for pictures of lower confidence, 0 to 1.")
]
_Encoder = Annotated[str | None, typer.Option(help=f"{ENCODER_HELP} Default: the features' own, else 'mini'.")]
_K = Annotated[
    int | None,
    typer.Option("--k", min=1, help="Descriptions retrieved per class, as --set k=. Default: the method's."),
]
_Knowledge = Annotated[
    str | None,
    typer.Option("--knowledge", "-k", callback=tell_own_pack, help="A .yaml or .json file, or a pack's name."),
]
_Model = Annotated[
    Path | None, typer.Option(help="A model of `kpl fit`, in the place of knowledge and of learning from SCANS.")
]
_Coverage = Annotated[
    float | None, typer.Option(help="Label only this share of the pictures, the most confident: 0.8 for 80 %.")
]
_MultiLabel = Annotated[
    bool, typer.Option("--multi-label", help="Classes may occur together: each is present or not by itself.")
]
_Threshold = Annotated[
    list[str] | None,
    typer.Option(help="With --multi-label: present from this probability on, 0.5; or CLASS=0.7, again for others."),
]


def classify(
    inputs: Annotated[
        list[str], typer.Argument(metavar="SCANS...", help="Folders (any depth) or files, or one feature folder.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run folder to make.")],
    knowledge: _Knowledge = None,
    model: _Model = None,
    encoder: _Encoder = None,
    method: Annotated[str | None, typer.Option(help="Method by name: see `kpl methods list`. Default: 'kpl'.")] = None,
    k: _K = None,
    settings: Settings = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also write evidence.csv: sentences for and against each prediction.")
    ] = False,
    calibration: _Calibration = None,
    abstain_below: _AbstainBelow = None,
    coverage: _Coverage = None,
    multi_label: _MultiLabel = False,
    threshold: _Threshold = None,
    batch_size: BatchSize = None,
    workers: Workers = None,
    device: Device = None,
    allow_pickle: AllowPickle = False,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in --out.")] = False,
) -> None:
    """Classify pictures without labels.

    Examples:

      kpl classify SCANS/ --knowledge my-classes.yaml --out run/

      kpl classify SCANS/ --knowledge blood-cells --encoder mini --explain --out run/

      kpl classify SCANS/ --knowledge my-classes.yaml --encoder biomedclip --out run/

      kpl classify features/ --knowledge blood-cells --out run/

      kpl classify SCANS/ --knowledge findings.yaml --multi-label --threshold 0.6 --out run/

      kpl classify SCANS/ --knowledge blood-cells --method text --set retrieval=image --out run/

      kpl classify NEW/ --model cells.kpl --out run/
    """
    coder = chosen_encoder(encoder, device=device, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)
    common: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "overwrite": overwrite}
    if multi_label:
        _refuse_beside_multi_label(method=method, model=model, k=k, set=settings, explain=explain)
        _refuse_beside_multi_label(calibration=calibration, abstain_below=abstain_below, coverage=coverage)
        classify_multi_label(inputs, knowledge=knowledge, out=out, encoder=coder, thresholds=threshold or [], **common)
        return
    if threshold:
        raise InputError("--threshold goes with --multi-label: to leave uncertain pictures out, give --abstain-below")
    if model is not None and (k is not None or settings or method):
        raise InputError("a model has its method and settings already: leave --method, --k and --set out")
    from kpl.report import write_report
    from kpl.runs import classify as run_classify

    with stages() as progress:
        result = run_classify(
            inputs,
            knowledge=knowledge,
            model=model,
            out=out,
            encoder=coder,
            method=method,
            settings=chosen_settings(method, k, settings) if model is None else {},
            with_evidence=explain,
            calibration=calibration,
            abstain_below=abstain_below,
            coverage=coverage,
            finish=write_report,
            progress=progress,
            **common,
        )
    print_result(result)


def _refuse_beside_multi_label(**options: object) -> None:
    if refused := [name for name, given in options.items() if given not in (None, False)]:
        name = refused[0].replace("_", "-")
        raise InputError(f"--{name} does not go with --multi-label, which learns nothing: leave it out")


def print_result(result: SingleLabelRun) -> None:
    """Print the classes with counts and shares, the time, what was set aside, the warnings, and where to look."""
    console = Console()
    table = Table("class", title=result.title, title_justify="left")
    table.add_column("pictures", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    top = max(*result.counts.values(), 1)
    for key, count in result.counts.items():
        bar = "█" * round(20 * count / top)
        table.add_row(plain(key), str(count), f"{count / result.n:.1%}", plain(bar, style="cyan"))
    console.print(table)
    if result.abstained:
        console.print(f"{result.abstained} of {result.n} left without a label", highlight=False)
    pace = (
        f"; pictures read and embedded at {result.n / result.embed_seconds:.0f} a second"
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
    files = "predictions.csv, run.json" + (", evidence.csv" if (result.path / "evidence.csv").exists() else "")
    console.print(plain(f"Written to {result.path}/: {files}"), soft_wrap=True)
    if (result.path / "report.html").exists():
        console.print(plain(f"Look at it: {result.path / 'report.html'}", style="bold"), soft_wrap=True)
