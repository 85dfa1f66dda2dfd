"""`kpl knowledge check`: refuse faults, count descriptions and tokens, list what a person should look at."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kpl.cli.knowledge.saying import SHOWN, Knowledge, say
from kpl.knowledge import (
    KnowledgeBase,
    check_tokens,
    count_prompt_tokens,
    find_doubts,
    fits_modality,
    load_knowledge,
)

__all__ = ["check"]


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
    for doubt in doubts[:SHOWN]:
        where = f"class {doubt.class_key!r}, description {doubt.description}: " if doubt.class_key else ""
        say(f"look at: {where}{doubt.reason}")
    if len(doubts) > SHOWN:
        say(f"... and {len(doubts) - SHOWN} more to look at")
    say(f"{knowledge}: no errors, {len(doubts)} to look at")


def _check_with_encoder(kb: KnowledgeBase, name: str) -> None:
    """Print token counts, unknown words and an unfit modality; refuse a prompt that is too long."""
    from kpl.encoders import load_encoder

    encoder = load_encoder(name)
    _print_counts(kb, [max(counts) for counts in count_prompt_tokens(kb, encoder.count_tokens)])
    check_tokens(kb, encoder.count_tokens, encoder.context_length)
    say(f"{name} reads at most {encoder.context_length} tokens: no prompt is cut")
    if not fits_modality(kb, encoder.card.modalities):
        made_for = ", ".join(encoder.card.modalities)
        say(f"look at: the modality is {kb.task.modality or 'unknown'}, but {name} is made for {made_for}")
    unknown = Counter(
        word for entry in kb.classes for each in entry.descriptions for word in encoder.unknown_words(each.text)
    )
    if unknown:
        words = ", ".join(f"{word} ({count})" for word, count in unknown.most_common(SHOWN))
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        say(f"look at: words that {name} does not know: {words}{more}")


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
