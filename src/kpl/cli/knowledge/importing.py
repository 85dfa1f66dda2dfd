"""`kpl knowledge import`: bring other files into KPL's format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kpl.cli.knowledge.saying import Knowledge, say
from kpl.knowledge import load_knowledge, load_tidied, write_knowledge

__all__ = ["import_"]


def import_(
    source: Knowledge,
    name: Annotated[
        str,
        typer.Option("--as", help="The file to write; a bare NAME becomes NAME.yaml and the title."),
    ],
    tidy: Annotated[
        bool, typer.Option("--tidy", help="Drop empty and repeated sentences and refusals; say how many.")
    ] = False,
    title: Annotated[str | None, typer.Option(help="The title of the task.")] = None,
    modality: Annotated[str | None, typer.Option(help="The kind of picture, for example 'blood smear'.")] = None,
    template: Annotated[str | None, typer.Option(help="The prompt, with {description} and perhaps {class}.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a knowledge base, or a plain file of sentences per class, in KPL's own format.

    Example:

      kpl knowledge import sentences.json --as my-classes --tidy --modality "blood smear"
    """
    kb, dropped = load_tidied(source) if tidy else (load_knowledge(source), None)
    out = Path(name) if Path(name).suffix else Path(f"{name}.yaml")
    title = title or (None if Path(name).suffix else Path(name).name.replace("_", " "))
    kb = kb.with_task(name=title, modality=modality, template=template)
    write_knowledge(kb, out, overwrite=overwrite)
    if dropped is not None:
        say(str(dropped))
    say(f"wrote {out}: {len(kb.classes)} classes")
