"""`kpl encoders`: what can read pictures and sentences here."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="List encoders, read their cards.")


@app.command("list")
def list_encoders() -> None:
    """List the encoders by name.

    Example:

      kpl encoders list
    """
    from kpl.encoders import catalogue, encoder_names, load_card
    from kpl.encoders.registry import parse_spec

    table = Table("encoder", "what it is", "reads", "licence", "here")
    for name in encoder_names():
        here = parse_spec(name).folder is not None
        card = load_card(name) if here else catalogue()[name]
        table.add_row(name, card.title, ", ".join(card.modalities[:3]) or "any", card.licence, "yes" if here else "no")
    Console().print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="An encoder's name: see `kpl encoders list`.")]) -> None:
    """Print an encoder's card: what it is for, what it was made of, what it cannot do.

    Example:

      kpl encoders show mini
    """
    from kpl.encoders import load_card

    Console().print_json(load_card(name).model_dump_json())
