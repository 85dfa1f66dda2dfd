"""OpenCLIP's tokenizers, called as OpenCLIP calls them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray


class BytePairs:
    """OpenCLIP's own tokenizer, which knows every word."""

    def __init__(self, simple: Any) -> None:  # noqa: ANN401 - no types
        self.original = simple

    def counts(self, sentences: Sequence[str]) -> list[int]:
        """Count the tokens of each sentence, special tokens included."""
        return [len(self.original.encode(sentence)) + 2 for sentence in sentences]  # start and end

    def arrays(self, sentences: Sequence[str], width: int | None = None) -> dict[str, NDArray[Any]]:
        """An array with a row a sentence: of this width, or padded to the whole context."""
        return {"text": self.original(list(sentences)).numpy()[:, :width]}

    def unknown(self, _sentence: str) -> list[str]:
        """List the words that become the unknown token."""
        return []


class Wrapped:
    """A tokenizer of transformers, called as OpenCLIP calls it."""

    def __init__(self, whole: Any) -> None:  # noqa: ANN401 - no types
        self.original = whole

    def counts(self, sentences: Sequence[str]) -> list[int]:
        """Count the tokens of each sentence, special tokens included, in one call."""
        clips = bool(self.original.tokenizer_mode == "clips")  # it adds three special tokens of its own
        cleaned = [self.original.clean_fn(sentence) for sentence in sentences]
        ids = self.original.tokenizer(cleaned, add_special_tokens=not clips, verbose=False).input_ids
        return [len(row) + (3 if clips else 0) for row in ids]

    def arrays(self, sentences: Sequence[str], width: int | None = None) -> dict[str, NDArray[Any]]:
        """An array with a row a sentence: of this width, or padded to the whole context."""
        return {"text": self.original(list(sentences)).numpy()[:, :width]}

    def unknown(self, sentence: str) -> list[str]:
        """List the words that become the unknown token."""
        from kpl.encoders.transformers_parts import unknown_words

        return unknown_words(self.original.tokenizer, sentence, self.original.clean_fn)


def reads_short(model: Any) -> bool:  # noqa: ANN401 - torch
    """Whether a text tower of OpenCLIP gives the same features without the padding behind a sentence.

    A tower that looks only backwards does, if it gathers a sentence at its end token; so does one of transformers,
    which masks the padding.
    """
    tower = getattr(model, "text", model)
    if type(tower).__name__ == "HFTextEncoder":
        return True
    if type(tower).__name__ not in ("TextTransformer", "CLIP") or getattr(tower, "cls_emb", None) is not None:
        return False
    pool = getattr(tower, "pool_type", getattr(tower, "text_pool_type", ""))
    return (
        pool in ("argmax", "eos")
        and getattr(tower, "attn_mask", None) is not None
        and not getattr(tower, "use_pad_mask", False)
    )


def text_rows(model: Any, ids: Any) -> Any:  # noqa: ANN401 - torch
    """Features of sentences of any width, by the modules of OpenCLIP's `encode_text`, which wants the whole context."""
    tower = getattr(model, "text", model)
    width = ids.shape[1]
    if type(tower).__name__ == "HFTextEncoder" or width == len(tower.positional_embedding):
        return model.encode_text(ids)
    from open_clip.transformer import text_global_pool

    kind = tower.transformer.get_cast_dtype()
    rows = tower.token_embedding(ids).to(kind) + tower.positional_embedding[:width].to(kind)
    rows = tower.ln_final(tower.transformer(rows, attn_mask=tower.attn_mask[:width, :width]))
    pool = getattr(tower, "pool_type", None) or tower.text_pool_type
    end = getattr(tower, "eos_id", getattr(tower, "text_eos_id", None))
    rows = text_global_pool(rows, ids, pool, eos_token_id=end)
    last = tower.text_projection
    return rows if last is None else last(rows) if callable(last) else rows @ last
