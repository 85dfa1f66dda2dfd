"""`kpl knowledge import`: bring other files into KPL's format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kpl.cli.options import tell_own_pack
from kpl.cli.terminal import say
from kpl.knowledge import write_knowledge
from kpl.knowledge.editing import copy_knowledge
from kpl.knowledge.importing import import_knowledge, remark_on_prompts


def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER|PACK",
            callback=tell_own_pack,
            help="A .yaml, .json, .jsonl, .csv or .tsv file, a folder of CLASS.txt, or a pack's name.",
        ),
    ],
    name: Annotated[
        str,
        typer.Option("--as", help="The file to write; a bare NAME becomes NAME.yaml and the title."),
    ],
    tidy: Annotated[
        bool,
        typer.Option("--tidy", help="Drop empty and repeated sentences and refusals, take bullets off; say how many."),
    ] = False,
    title: Annotated[str | None, typer.Option(help="The title of the task.")] = None,
    modality: Annotated[str | None, typer.Option(help="The kind of picture, for example 'blood smear'.")] = None,
    template: Annotated[str | None, typer.Option(help="The prompt, with {description} and perhaps {class}.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
) -> None:
    """Write knowledge from another format in KPL's own, and say what it was taken for.

    Knowledge in KPL's own format is copied with its comments and order and brought to the format's present version.

    Examples:

      kpl knowledge import sentences.json --as my-classes --tidy --modality "blood smear"

      kpl knowledge import table.csv --as my-classes --template "{description}"
    """
    found = import_knowledge(source, tidy=tidy)
    out = Path(name) if Path(name).suffix else Path(f"{name}.yaml")
    title = title or (None if Path(name).suffix else Path(name).name.replace("_", " "))
    kb = found.knowledge.with_task(name=title, modality=modality, template=template)
    if not (found.own_format and copy_knowledge(source, out, kb.task, tidy=tidy, overwrite=overwrite)):
        write_knowledge(kb.model_copy(update={"kpl_knowledge": 2}), out, overwrite=overwrite)
    say(f"read as: {found.read_as}")
    for remark in (*found.remarks, remark_on_prompts(kb) if not found.own_format else None):
        if remark:
            say(remark)
    if found.dropped is not None:
        say(str(found.dropped))
    say(f"wrote {out}: {len(kb.classes)} classes, {sum(len(entry.descriptions) for entry in kb.classes)} descriptions")
