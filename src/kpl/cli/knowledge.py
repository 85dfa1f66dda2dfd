"""`kpl knowledge`: look at knowledge bases, check them, and bring other files into KPL's format."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kpl.errors import UnknownNameError
from kpl.knowledge import (
    KnowledgeBase,
    check_tokens,
    count_prompt_tokens,
    find_doubts,
    fits_modality,
    load_knowledge,
    load_tidied,
    pack_names,
    read_pack_head,
    write_knowledge,
)

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Look at knowledge bases, check them, convert other files.")

_SHOWN = 20  # doubts and unknown words in the terminal; a file of generated text has hundreds

Knowledge = Annotated[str, typer.Argument(metavar="FILE|PACK", help="A .yaml or .json file, or a shipped pack's name.")]


@app.command()
def schema() -> None:
    """Print the JSON Schema of a knowledge file, for editors that check while you write.

    Example:

      kpl knowledge schema > knowledge.schema.json
    """
    typer.echo(json.dumps(KnowledgeBase.model_json_schema(), indent=2, ensure_ascii=False))


@app.command()
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


@app.command()
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
    _say(f"{kb.task.name} · {kb.task.modality or 'modality unknown'} · content {kb.content_hash()[:12]}")
    for number in chosen:
        entry = kb.classes[number]
        _say(f"\n{entry.key}{' = ' + ', '.join(entry.aliases) if entry.aliases else ''}")
        for prompt in prompts[number]:
            _say(f"  {prompt}")


@app.command()
def check(
    knowledge: Knowledge,
    encoder: Annotated[
        str | None, typer.Option(help="Also count tokens and unknown words as this encoder does.")
    ] = None,
) -> None:
    """Check a knowledge base: refuse faults, count descriptions and tokens, list what a person should look at.

    Example:

      kpl knowledge check my-classes.yaml --encoder mini
    """
    kb = load_knowledge(knowledge)
    if encoder is None:
        _print_counts(kb, None)
    else:
        _check_with_encoder(kb, encoder)
    doubts = find_doubts(kb)
    for doubt in doubts[:_SHOWN]:
        where = f"class {doubt.class_key!r}, description {doubt.description}: " if doubt.class_key else ""
        _say(f"look at: {where}{doubt.reason}")
    if len(doubts) > _SHOWN:
        _say(f"... and {len(doubts) - _SHOWN} more to look at")
    _say(f"{knowledge}: no errors, {len(doubts)} to look at")


@app.command()
def convert(
    source: Knowledge,
    out: Annotated[Path, typer.Argument(help="The file to write, .yaml or .json.")],
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

      kpl knowledge convert sentences.json my-classes.yaml --tidy --modality "blood smear"
    """
    kb, dropped = load_tidied(source) if tidy else (load_knowledge(source), None)
    kb = kb.with_task(name=title, modality=modality, template=template)
    write_knowledge(kb, out, overwrite=overwrite)
    if dropped is not None:
        _say(str(dropped))
    _say(f"wrote {out}: {len(kb.classes)} classes")


def _check_with_encoder(kb: KnowledgeBase, name: str) -> None:
    """Print token counts, unknown words and an unfit modality; refuse a prompt that is too long."""
    from kpl.encoders import load_encoder

    encoder = load_encoder(name)
    _print_counts(kb, [max(counts) for counts in count_prompt_tokens(kb, encoder.count_tokens)])
    check_tokens(kb, encoder.count_tokens, encoder.context_length)
    _say(f"{name} reads at most {encoder.context_length} tokens: no prompt is cut")
    if not fits_modality(kb, encoder.card.modalities):
        made_for = ", ".join(encoder.card.modalities)
        _say(f"look at: the modality is {kb.task.modality or 'unknown'}, but {name} is made for {made_for}")
    unknown = Counter(
        word for entry in kb.classes for each in entry.descriptions for word in encoder.unknown_words(each.text)
    )
    if unknown:
        words = ", ".join(f"{word} ({count})" for word, count in unknown.most_common(_SHOWN))
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        _say(f"look at: words that {name} does not know: {words}{more}")


def _print_counts(kb: KnowledgeBase, longest: list[int] | None) -> None:
    """Print one row a class; `longest` holds the tokens of the longest prompt of each."""
    table = Table(
        "class", "name in prompts", "aliases", "descriptions", *(["longest prompt (tokens)"] if longest else [])
    )
    for number, entry in enumerate(kb.classes):
        tokens = [str(longest[number])] if longest else []
        aliases, sentences = str(len(entry.aliases)), str(len(entry.descriptions))
        table.add_row(Text(entry.key), Text(entry.name), aliases, sentences, *tokens)
    Console().print(table)


def _say(text: str) -> None:
    """Print text as it is: brackets in a sentence are not markup."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)
