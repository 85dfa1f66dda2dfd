"""OpenCLIP's tokenizers, called as OpenCLIP calls them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

__all__ = ["BytePairs", "Wrapped"]


class BytePairs:
    """OpenCLIP's own tokenizer, which knows every word."""

    def __init__(self, simple: Any) -> None:  # noqa: ANN401 - no types
        self.original = simple

    def count(self, sentence: str) -> int:
        """Count the tokens of a sentence, special tokens included."""
        tokens: list[int] = self.original.encode(sentence)
        return len(tokens) + 2  # start and end

    def arrays(self, sentences: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Arrays with a row a sentence, padded."""
        return {"text": self.original(list(sentences)).numpy()}

    def unknown(self, _sentence: str) -> list[str]:
        """List the words that become the unknown token."""
        return []


class Wrapped:
    """A tokenizer of transformers, called as OpenCLIP calls it."""

    def __init__(self, whole: Any) -> None:  # noqa: ANN401 - no types
        self.original = whole

    def count(self, sentence: str) -> int:
        """Count the tokens of a sentence, special tokens included."""
        clips = bool(self.original.tokenizer_mode == "clips")  # it adds three special tokens of its own
        cleaned = self.original.clean_fn(sentence)
        ids = self.original.tokenizer(cleaned, add_special_tokens=not clips, verbose=False).input_ids
        return sum(1 for _ in ids) + (3 if clips else 0)

    def arrays(self, sentences: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Arrays with a row a sentence, padded."""
        return {"text": self.original(list(sentences)).numpy()}

    def unknown(self, sentence: str) -> list[str]:
        """List the words that become the unknown token."""
        from kpl.encoders.transformers import unknown_words

        return unknown_words(self.original.tokenizer, sentence)
