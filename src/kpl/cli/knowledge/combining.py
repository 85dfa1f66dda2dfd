"""`kpl knowledge diff` and `merge`: two knowledge bases side by side, and one made of two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kpl.cli.options import Knowledge
from kpl.cli.terminal import complain, say
from kpl.errors import KplError
from kpl.knowledge import load_knowledge
from kpl.knowledge.combining import diff_knowledge, merge_knowledge


def diff(first: Knowledge, second: Knowledge) -> None:
    """Show what two knowledge bases say differently; order, layout, provenance and records do not count.

    The exit code is 0 where they say the same, 1 where they differ, and 2 where one cannot be read.

    Example:

      kpl knowledge diff blood-cells my-classes.yaml
    """
    try:
        changes = diff_knowledge(load_knowledge(first), load_knowledge(second))
    except KplError as error:
        complain(str(error))
        raise typer.Exit(2) from None
    for change in changes:
        where = f"{change.class_key}, " if change.class_key and change.kind != "class" else ""
        say(f"{change.sign} {where}{change.kind}: {change.text}")
    say(f"{len(changes)} difference{'' if len(changes) == 1 else 's'}")
    raise typer.Exit(int(bool(changes)))


def merge(
    first: Knowledge,
    second: Knowledge,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, .yaml or .json.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
) -> None:
    """Write the first knowledge base with what only the second says; every sentence keeps its provenance.

    The first keeps its comments, order and layout; what cannot be kept of the second is refused, not dropped.

    Example:

      kpl knowledge merge a.yaml b.yaml -o c.yaml
    """
    merged = merge_knowledge(first, second, out, overwrite=overwrite)
    say(f"wrote {out}: {len(merged.classes)} classes, {sum(len(e.descriptions) for e in merged.classes)} descriptions")
