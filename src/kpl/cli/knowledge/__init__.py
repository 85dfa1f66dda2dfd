"""`kpl knowledge`: look at knowledge bases, check them, and bring other files into KPL's format."""

from __future__ import annotations

import typer

from kpl.cli.knowledge.checking import check
from kpl.cli.knowledge.converting import convert
from kpl.cli.knowledge.looking import packs, schema, show

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Look at knowledge bases, check them, convert other files.")

for _command in (schema, packs, show, check, convert):
    app.command()(_command)
