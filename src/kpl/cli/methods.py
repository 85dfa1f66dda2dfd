"""`kpl methods`: the methods by name."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="List the methods.")


@app.callback()
def _group() -> None:
    """List the methods."""


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
