"""The tokenizer of `mini`: whole words of the captions, a few endings, and [UNK] for all the rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

__all__ = ["CONTEXT", "SplitWords", "build_tokenizer"]

CONTEXT: Final = 64
SPECIAL: Final = ("[PAD]", "[UNK]")
ENDINGS: Final = tuple(
    re.findall(
        "[a-z]+",
        "s es d ed ing ingly y ly ish like er est ness al ular ulated ulation r ity ies ied ier ic n en less ful ous "
        "ment ate ated ates ating ation ative or able t ty lobed lobulated shaped coloured colored tinted nuclear "
        "nucleate nucleated granular vacuolated blue violet purple red pink grey gray ",
    )
)


def build_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """A WordPiece tokenizer whose whole words are those of `texts` and whose pieces are ENDINGS.

    A word that is neither known nor a known word with a known ending becomes [UNK].
    """
    normalizer = normalizers.Sequence(
        [
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex("['’`]s?\\b"), ""),
        ]
    )
    splitter = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\[unk\]|[a-z]+|[0-9]+"), "removed", invert=True)])
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    counts.pop("[unk]", None)
    words = sorted(counts)
    vocabulary = [*SPECIAL, *words, *(f"##{ending}" for ending in sorted(set(ENDINGS)))]
    tokenizer = Tokenizer(models.WordPiece({w: k for k, w in enumerate(vocabulary)}, unk_token=SPECIAL[1]))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    return tokenizer


class SplitWords:
    """Token ids for training: now and then a word is split at an ending, or becomes unknown."""

    def __init__(self, tokenizer: Tokenizer, *, split: float = 0.15, drop: float = 0.06) -> None:
        self.tokenizer = tokenizer
        self.split, self.drop = split, drop
        vocabulary = tokenizer.get_vocab()
        self.unknown = vocabulary["[UNK]"]
        self.parts: dict[int, list[tuple[int, int]]] = {}
        for word, k in vocabulary.items():
            for ending in ENDINGS:
                stem = word.removesuffix(ending)
                if len(stem) >= 3 and stem != word and stem in vocabulary and not word.startswith("##"):
                    self.parts.setdefault(k, []).append((vocabulary[stem], vocabulary[f"##{ending}"]))

    def __call__(self, texts: list[str], rng: np.random.Generator) -> list[list[int]]:
        """Ids of every text, at most CONTEXT each."""
        rows = []
        for encoding in self.tokenizer.encode_batch(texts):
            ids: list[int] = []
            for token in encoding.ids:
                draw = rng.random()
                if draw < self.drop:
                    ids.append(self.unknown)
                elif draw < self.drop + self.split and token in self.parts:
                    options = self.parts[token]
                    ids.extend(options[int(rng.integers(len(options)))])
                else:
                    ids.append(token)
            rows.append(ids[:CONTEXT] or [self.unknown])
        return rows
