"""`kpl methods`: the methods by name."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from kpl.cli.terminal import Console

app = typer.Typer(no_args_is_help=True, help="List the methods, and say what each takes for granted.")


@app.callback()
def _group() -> None:
    """List the methods, and say what each takes for granted."""


@app.command("list")
def list_methods() -> None:
    """List the methods by name, with what each reads.

    Example:

      kpl methods list
    """
    from kpl.methods import METHODS

    table = Table("method", "what it is", "reads")
    for name, method in METHODS.items():
        table.add_row(name, method.summary, method.reads)
    Console().print(table)


@app.command("show")
def show_method(name: Annotated[str, typer.Argument(help="A name of `kpl methods list`.")]) -> None:
    """Say of one method where it comes from, what it assumes, costs and when it fails, and list its settings.

    Example:

      kpl methods show transclip
    """
    from dataclasses import fields

    from kpl.methods import make_method

    method, console = make_method(name), Console()
    console.print(f"{name}: {method.summary}", highlight=False)
    table = Table(show_header=False, box=None)
    table.add_row("reads", method.reads)
    if method.facts is not None:
        for part in fields(method.facts):
            table.add_row(part.name, getattr(method.facts, part.name))
    settings = "\n".join(f"{f.name} = {getattr(method, f.name)!r}" for f in fields(method) if f.init)
    table.add_row("settings", settings)
    console.print(table)
