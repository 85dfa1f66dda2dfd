"""`kpl knowledge`: begin and write knowledge bases, look at them, check them, bring in other files."""

from __future__ import annotations

import typer

from kpl.cli.knowledge.authoring import new, write
from kpl.cli.knowledge.combining import diff, merge
from kpl.cli.knowledge.converting import convert
from kpl.cli.knowledge.linting import lint, rules
from kpl.cli.knowledge.looking import packs, schema, show
from kpl.cli.knowledge.reviewing import review

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Write knowledge bases, look at them, check them, convert other files.")

for _command in (new, write, schema, packs, show, lint, rules, review, diff, merge, convert):
    app.command()(_command)
