"""`kpl fit`: learn from unlabelled pictures once; `kpl classify --model` uses it on others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kpl.cli.options import (
    Address,
    K,
    On,
    Settings,
    chosen_pictures,
    chosen_settings,
    gathers,
    on_cluster,
    tell_own_pack,
)
from kpl.cli.progress import stages
from kpl.cli.terminal import Console, plain


@gathers("pictures", chosen_pictures)
def fit(
    inputs: Annotated[
        list[str], typer.Argument(metavar="SCANS...", help="Folders (any depth) or files, or one feature folder.")
    ],
    knowledge: Annotated[
        str, typer.Option("--knowledge", "-k", callback=tell_own_pack, help="A .yaml or .json file, or a pack's name.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model file to make, such as cells.kpl.")],
    *,
    pictures: dict[str, Any],
    method: Annotated[str, typer.Option(help="Method by name: see `kpl methods list`.")] = "kpl",
    k: K = None,
    settings: Settings = None,
    on: On = None,
    address: Address = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier model in --out.")] = False,
) -> None:
    """Learn from unlabelled pictures and save the model.

    Examples:

      kpl fit SCANS/ --knowledge blood-cells --out cells.kpl

      kpl fit features/ --knowledge my-classes.yaml --out cells.kpl

      kpl fit features/ --knowledge my-classes.yaml --out cells.kpl --on ray --address head:6379

      kpl classify NEW/ --model cells.kpl --out run/
    """
    from kpl.runs import fit as run_fit

    with stages() as progress:
        model = run_fit(
            inputs,
            knowledge=knowledge,
            out=out,
            method=method,
            settings=chosen_settings(method, k, settings),
            **pictures,
            on="ray" if on_cluster(on, address) else None,
            address=address,
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
