"""Controls: the same training with words that mean nothing, or with captions of other pictures."""

from __future__ import annotations

import numpy as np

from captions import Bank, is_held_out
from pools import Pool

__all__ = ["invented_bank", "shuffle_states"]

_SYLLABLES = ("ba", "do", "fi", "gu", "ke", "lo", "mi", "nu", "pa", "re", "so", "ti", "vu", "wa", "xe", "zo")


def _word(rng: np.random.Generator) -> str:
    return "".join(str(rng.choice(_SYLLABLES)) for _ in range(4))


def invented_bank(like: Bank, *, held_out: bool = False) -> Bank:
    """A bank of phrases of invented words, a dozen words for each attribute value; always the same ones.

    With `held_out`, the combinations that training does not have.
    """
    rng = np.random.default_rng(11)
    bank = Bank()
    for key, phrases in like.phrases.items():
        words = [_word(rng) for _ in range(12)]
        texts = [" ".join(rng.permutation(words)[: rng.integers(2, 5)]) for _ in range(2 * max(len(phrases), 40))]
        bank.phrases[key] = [text for text in texts if is_held_out(text) is held_out]
    return bank


def shuffle_states(pool: Pool, seed: int) -> Pool:
    """The same pictures, each with what is true of another one."""
    order = np.random.default_rng([seed, 5]).permutation(len(pool))
    return Pool(pool.pictures, pool.states[order], pool.sources)
