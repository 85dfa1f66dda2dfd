"""`kpl knowledge schema`, `packs` and `show`: look at the format, at what ships, and at what an encoder reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kpl.cli.knowledge.saying import Knowledge, say
from kpl.errors import UnknownNameError
from kpl.knowledge import load_knowledge, pack_names, read_pack_head
from kpl.knowledge.editors import published_schema, write_schema

__all__ = ["packs", "schema", "show"]


def schema(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it to a file instead.")] = None,
) -> None:
    """Print the JSON Schema of a knowledge file, for editors that check while you write.

    Files that are begun or written beside a knowledge.schema.json name it to the editor.

    Example:

      kpl knowledge schema --out knowledge.schema.json
    """
    if out is None:
        typer.echo(published_schema(), nl=False)
        return
    write_schema(out)
    say(f"wrote {out}")


def packs() -> None:
    """List the knowledge bases that come with KPL; "names only" marks a list of classes to write descriptions for.

    Example:

      kpl knowledge packs
    """
    table = Table("pack", "modality", "classes", "descriptions")
    for name in pack_names():
        head = read_pack_head(name)
        sentences = str(head.descriptions or "names only")
        table.add_row(name, Text(head.task.modality or "unknown"), str(head.classes), sentences)
    Console().print(table)


def show(
    knowledge: Knowledge,
    class_name: Annotated[
        str | None, typer.Argument(metavar="[CLASS]", help="Only this class: key, name, alias.")
    ] = None,
) -> None:
    """Print the prompts of a knowledge base, exactly as an encoder reads them; of a list of names, those of the names.

    Examples:

      kpl knowledge show blood-cells

      kpl knowledge show my-classes.yaml neutrophil
    """
    kb = load_knowledge(knowledge)
    chosen = range(len(kb.classes))
    if class_name is not None:
        number = kb.resolve(class_name)
        if number is None:
            raise UnknownNameError("class", class_name, [entry.key for entry in kb.classes])
        chosen = range(number, number + 1)
    prompts = [[name] for name in kb.name_prompts()] if kb.names_only else kb.prompts()
    say(f"{kb.task.name} · {kb.task.modality or 'modality unknown'} · content {kb.content_hash()[:12]}")
    for number in chosen:
        entry = kb.classes[number]
        say(f"\n{entry.key}{' = ' + ', '.join(entry.aliases) if entry.aliases else ''}")
        for prompt in prompts[number]:
            say(f"  {prompt}")
