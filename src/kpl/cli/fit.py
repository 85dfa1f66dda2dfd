"""`kpl fit`: learn from unlabelled pictures once; `kpl classify --model` uses it on others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
from kpl.cli.named import tell_own_pack
from kpl.cli.progress import stages
from kpl.cli.shown import Console, plain

__all__ = ["fit"]


def fit(
    inputs: Annotated[
        list[str], typer.Argument(metavar="SCANS...", help="Folders (any depth) or files, or one feature folder.")
    ],
    knowledge: Annotated[
        str, typer.Option("--knowledge", "-k", callback=tell_own_pack, help="A .yaml or .json file, or a pack's name.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model file to make, such as cells.kpl.")],
    encoder: Annotated[
        str | None, typer.Option(help="Encoder by name. Default: the features' own, else 'mini'.")
    ] = None,
    method: Annotated[str, typer.Option(help="Method by name: see `kpl methods list`.")] = "kpl",
    k: Annotated[
        int | None,
        typer.Option("--k", min=1, help="Descriptions retrieved per class, as --set k=. Default: the method's."),
    ] = None,
    settings: Settings = None,
    batch_size: BatchSize = None,
    workers: Workers = None,
    device: Device = None,
    allow_pickle: AllowPickle = False,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier model in --out.")] = False,
) -> None:
    """Learn from unlabelled pictures and save the model.

    Examples:

      kpl fit SCANS/ --knowledge blood-cells --out cells.kpl

      kpl fit features/ --knowledge my-classes.yaml --out cells.kpl

      kpl classify NEW/ --model cells.kpl --out run/
    """
    from kpl.runs import fit as run_fit

    coder = chosen_encoder(encoder, device=device, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)
    with stages() as progress:
        model = run_fit(
            inputs,
            knowledge=knowledge,
            out=out,
            encoder=coder,
            method=method,
            settings=chosen_settings(method, k, settings),
            batch_size=batch_size,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    rows = sum(lot.rows for lot in model.learnt_from)
    size = out.stat().st_size / 1e6
    said = f"{model.method.name} learnt {len(model.keys)} classes from {rows} pictures with {model.encoder_name}"
    console = Console()
    console.print(plain(said), soft_wrap=True)
    console.print(
        plain(f"Written to {out} ({size:.1f} MB): kpl classify NEW/ --model {out} --out run/"), soft_wrap=True
    )
