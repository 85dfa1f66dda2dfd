"""`kpl update`: teach a saved model more pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kpl.cli.options import Address, On, on_cluster
from kpl.cli.progress import stages
from kpl.cli.terminal import Console, plain


def update(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model of `kpl fit`; it is replaced.")],
    inputs: Annotated[
        list[str], typer.Argument(metavar="MORE...", help="Folders or files of new pictures, or one feature folder.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the updated model here and leave MODEL as it is.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Features of the earlier pictures: say how far the result is from a fit on all. Repeatable."),
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="Where the model's encoder is. Default: by its name.")] = None,
    on: On = None,
    address: Address = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier model in --out.")] = False,
) -> None:
    """Teach a saved model more unlabelled pictures, without the earlier ones.

    Examples:

      kpl update cells.kpl MORE/

      kpl update cells.kpl more-features/ --against features/ --out newer.kpl

      kpl update cells.kpl more-features/ --on ray --address head:6379
    """
    from kpl.runs import update as run_update

    with stages() as progress:
        result = run_update(
            model,
            inputs,
            out=out,
            against=against or (),
            encoder=encoder,
            overwrite=overwrite,
            progress=progress,
            on="ray" if on_cluster(on, address) else None,
            address=address,
        )
    total = sum(lot.rows for lot in result.model.learnt_from)
    console = Console()
    console.print(plain(f"{result.added} pictures added, {total} in all; written to {out or model}"), soft_wrap=True)
    if result.exact:
        console.print("Exact: the same as a fit on all of them, up to rounding.")
    else:
        console.print("Approximate: a fit on all of them at once would differ.", style="yellow")
    if result.moved is not None:
        console.print(f"Of the earlier pictures about {result.moved:.1%} get another class now.", highlight=False)
    if result.drift:
        drift = result.drift
        console.print(
            f"From a fit on all {drift.n} pictures: {drift.changed:.2%} get another class; probabilities differ by "
            f"{drift.mean:.4f} on average and {drift.largest:.4f} at most.",
            highlight=False,
            soft_wrap=True,
        )
    elif not result.exact:
        console.print("How much: give the features of the earlier pictures with --against.")
