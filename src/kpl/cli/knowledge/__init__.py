"""`kpl knowledge`: begin and write knowledge bases, look at them, check them, bring in other files."""

from __future__ import annotations

import typer

from kpl.cli.knowledge.authoring import new, write
from kpl.cli.knowledge.combining import diff, merge
from kpl.cli.knowledge.importing import import_
from kpl.cli.knowledge.linting import lint, rules
from kpl.cli.knowledge.looking import packs, schema, show
from kpl.cli.knowledge.reviewing import review

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Write knowledge, look at it, check it, review it, bring in other files.")

for _command in (new, write, schema, packs, show, lint, rules, review, diff, merge):
    app.command()(_command)
app.command("import")(import_)
