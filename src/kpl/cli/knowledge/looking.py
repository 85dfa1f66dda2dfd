"""`kpl knowledge schema`, `packs` and `show`: look at the format, at what ships, and at what an encoder reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kpl.cli.knowledge.inspecting import inspect
from kpl.cli.options import SHOWN, AllowPickle, Knowledge, TrustRemoteCode, chosen_encoder
from kpl.cli.outputs import spare_inputs
from kpl.cli.terminal import Console, plain, say
from kpl.errors import InputError, UnknownNameError
from kpl.knowledge import load_knowledge, own_packs_folder, pack_names, read_pack_head
from kpl.knowledge.schema_file import published_schema, write_schema


def schema(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it to a file instead.")] = None,
) -> None:
    """Print the JSON Schema of a knowledge file, for editors that check while you write.

    Files that are begun or written beside a knowledge.schema.json name it to the editor.

    Example:

      kpl knowledge schema --out knowledge.schema.json
    """
    if out is None:
        say(published_schema(), end="")
        return
    write_schema(out)
    say(f"wrote {out}")


def packs() -> None:
    """List the knowledge bases that have a name; "names only" marks a list of classes to write descriptions for.

    A file NAME.yaml in the folder of your own packs is the pack NAME, before one that comes with KPL.

    Example:

      kpl knowledge packs
    """
    table = Table("pack", "version", "modality", "classes", "descriptions")
    for name in pack_names():
        head = read_pack_head(name)
        sentences = str(head.descriptions or "names only")
        shown = plain(f"{name} (own)" if head.own else name)
        version = str(head.task.version or "")
        table.add_row(shown, version, plain(head.task.modality or "unknown"), str(head.classes), sentences)
    Console().print(table)
    say(f"your own packs lie in {own_packs_folder()}")


def show(
    knowledge: Knowledge,
    class_name: Annotated[
        str | None, typer.Argument(metavar="[CLASS]", help="Only this class: key, name, alias.")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Say what each description does over these pictures: a folder of `kpl embed`, or a run."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="With --features: where their encoder is. Default: where its name says.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="With --features: rows of a table; 0 prints every description.")
    ] = SHOWN,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="With --features: also write all figures to this file.")
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="With --features: also draw how alike the classes are, a .svg, .png or .pdf file."),
    ] = None,
    allow_pickle: AllowPickle = False,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Print the prompts of a knowledge base, exactly as an encoder reads them; of a list of names, those of the names.

    With --features, say instead what each description does over pictures, without labels: how near it is to them, how
    much nearer to those of its own class, which sentences repeat it, and a verdict; and which classes the text cannot
    tell apart.

    Examples:

      kpl knowledge show blood-cells

      kpl knowledge show my-classes.yaml neutrophil

      kpl knowledge show my-classes.yaml --features features/ --figure classes.svg

      kpl knowledge show my-classes.yaml neutrophil --features run/
    """
    kb = load_knowledge(knowledge)
    chosen = range(len(kb.classes))
    if class_name is not None:
        number = kb.resolve(class_name)
        if number is None:
            raise UnknownNameError("class", class_name, [entry.key for entry in kb.classes])
        chosen = range(number, number + 1)
    if features is not None:
        spare_inputs([json_out, figure], [knowledge, features])
        inspect(
            kb,
            features,
            chosen=None if class_name is None else chosen[0],
            encoder=chosen_encoder(encoder, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code),
            limit=limit,
            json_out=json_out,
            figure=figure,
        )
        return
    if encoder or json_out or figure:
        raise InputError("--encoder, --json and --figure go with --features: give the features of pictures too")
    prompts = [[name] for name in kb.name_prompts()] if kb.names_only else kb.prompts()
    say(f"{kb.task.name} · {kb.task.modality or 'modality unknown'} · content {kb.content_hash()[:12]}")
    for number in chosen:
        entry = kb.classes[number]
        say(f"\n{entry.key}{' = ' + ', '.join(entry.aliases) if entry.aliases else ''}")
        for prompt in prompts[number]:
            say(f"  {prompt}")
