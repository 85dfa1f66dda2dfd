"""What the schema cannot judge: sentences longer than an encoder reads, and other modalities."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kpl.errors import KnowledgeError
from kpl.knowledge.folding import fold_name
from kpl.knowledge.schema import KnowledgeBase


def count_prompt_tokens(kb: KnowledgeBase, count_tokens: Callable[[str], int]) -> list[list[int]]:
    """Count the tokens of every filled prompt: one list a class, one count a description."""
    return [[count_tokens(prompt) for prompt in prompts] for prompts in kb.prompts()]


def check_tokens(kb: KnowledgeBase, count_tokens: Callable[[str], int], context_length: int) -> None:
    """Refuse a knowledge base with a prompt that the encoder cannot read to its end.

    `count_tokens` is the encoder's own tokenizer and counts every token that takes a place, start and end included.
    Nothing is ever cut: half a sentence may say the opposite of the whole.

    Raises:
        KnowledgeError: names the class, the description, its tokens, the limit and the mend.

    Example:
        >>> from kpl.knowledge import load_knowledge
        >>> check_tokens(load_knowledge("blood-cells"), lambda sentence: len(sentence.split()), 77)
    """
    too_long = [
        (entry.key, number, tokens)
        for entry, counts in zip(kb.classes, count_prompt_tokens(kb, count_tokens), strict=True)
        for number, tokens in enumerate(counts, start=1)
        if tokens > context_length
    ]
    for entry, prompt in zip(kb.classes, kb.name_prompts(), strict=True):
        if (tokens := count_tokens(prompt)) > context_length:
            raise KnowledgeError(
                f"{kb.task.name}, class {entry.key!r}: its name alone makes {tokens} tokens, "
                f"the encoder reads at most {context_length}: shorten 'name'"
            )
    if too_long:
        key, number, tokens = too_long[0]
        more = f" ({len(too_long) - 1} more are too long)" if len(too_long) > 1 else ""
        raise KnowledgeError(
            f"{kb.task.name}, class {key!r}, description {number}: {tokens} tokens with the template, "
            f"the encoder reads at most {context_length}: shorten it or split it in two{more}"
        )


def fits_modality(kb: KnowledgeBase, modalities: Iterable[str]) -> bool:
    """Tell whether an encoder made for these modalities may read this knowledge without being asked for by name.

    An encoder that lists none is a general one and reads all. Knowledge that states none fits only a general one: what
    is unknown must not be read confidently by a specialist. Case, spaces, hyphens and a plural s do not count.

    Example:
        >>> from kpl.knowledge import load_knowledge
        >>> blood = load_knowledge("blood-cells")
        >>> fits_modality(blood, ["Blood-Smears"]), fits_modality(blood, ["chest X-ray"]), fits_modality(blood, [])
        (True, False, True)
    """
    allowed = {fold_name(modality).removesuffix("s") for modality in modalities}
    if not allowed:
        return True
    return kb.task.modality is not None and fold_name(kb.task.modality).removesuffix("s") in allowed
