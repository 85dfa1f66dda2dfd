"""What a loaded encoder must do before it is trusted. Nothing here warns: a failure refuses, with its reason.

That weights, configuration and tokenizer belong together (activation, text tower, vocabulary, special tokens) is
checked while an encoder is loaded; here its features are looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kpl.encoders.golden import SENTENCES, fixed_pictures, read_golden
from kpl.encoders.protocol import Encoder, Traits
from kpl.errors import EncoderError

_UNIT: Final = 1e-3
_BATCH: Final = 1e-4
_LOWERED: Final = 2e-2  # bfloat16 has 8 bits


def self_test(encoder: Encoder) -> None:
    """Look at the features of a few drawn pictures and short sentences: shape, length, batches, differences.

    Raises:
        EncoderError: the first thing that is wrong.
    """
    pictures, sentences = fixed_pictures(), SENTENCES
    images, texts = encoder.encode_images(pictures), encoder.encode_texts(sentences)
    _check_rows(images, len(pictures), encoder, "pictures")
    _check_rows(texts, len(sentences), encoder, "sentences")
    alone = {
        "pictures": (images, np.concatenate([encoder.encode_images([picture]) for picture in pictures])),
        "sentences": (texts, np.concatenate([encoder.encode_texts([sentence]) for sentence in sentences])),
    }
    for what, (together, single) in alone.items():
        difference = float(np.abs(together - single).max())
        if not difference <= max(_batch_tolerance(encoder), encoder.card.tolerance):  # false for NaN too
            raise _failure(encoder, f"its features of {what} depend on the batch, by {difference:.2g}")
        distances = np.abs(together[:, None] - together[None]).max(axis=2) + np.eye(len(together))
        if distances.min() < 1e-7:
            raise _failure(encoder, f"two different {what} have the same features")
    lengths = [encoder.count_tokens(sentence) for sentence in sentences]
    if not all(0 < length <= encoder.context_length for length in lengths):
        raise _failure(encoder, f"it counts {lengths} tokens in short sentences and reads {encoder.context_length}")


def _batch_tolerance(encoder: Encoder) -> float:
    return _LOWERED if "bfloat16" in Traits.of(encoder).numerics else _BATCH


def _check_rows(rows: NDArray[np.float32], count: int, encoder: Encoder, what: str) -> None:
    if rows.shape != (count, encoder.card.dim) or rows.dtype != np.float32:
        expected = (count, encoder.card.dim)
        raise _failure(encoder, f"features of {what} are {rows.shape} {rows.dtype}, not {expected} float32")
    if not np.isfinite(rows).all():
        raise _failure(encoder, f"features of {what} are not finite")
    worst = float(np.abs(np.linalg.norm(rows, axis=1) - 1).max())
    if worst > _UNIT:
        raise _failure(encoder, f"features of {what} are not of unit length, by {worst:.2g}")


def check_golden(encoder: Encoder, folder: Path) -> float:
    """Compare an encoder with the golden vectors in its folder.

    Args:
        encoder: loaded on the processor; in bfloat16 the tolerance is wider.
        folder: the encoder's folder.

    Returns:
        The largest difference in any column.

    Raises:
        EncoderError: they differ by more than the card's tolerance, or cannot be read.
    """
    golden = read_golden(folder)
    allowed = encoder.card.tolerance
    if "bfloat16" in Traits.of(encoder).numerics:
        allowed = max(allowed, _LOWERED)
    found = {"pictures": encoder.encode_images(golden.pictures), "sentences": encoder.encode_texts(golden.sentences)}
    worst = 0.0
    for what, expected in (("pictures", golden.images), ("sentences", golden.texts)):
        if found[what].shape != expected.shape:
            raise _failure(encoder, f"features of {what} are {found[what].shape}, golden {expected.shape}")
        difference = float(np.abs(found[what] - expected).max())
        if not difference <= allowed:  # false for NaN too
            raise _failure(
                encoder,
                f"its features of {what} differ from the golden vectors by {difference:.2g}, {allowed:.2g} is allowed; "
                "the model, its configuration or a library is another than when they were made",
            )
        worst = max(worst, difference)
    return worst


def _failure(encoder: Encoder, what: str) -> EncoderError:
    return EncoderError(f"encoder {encoder.card.name!r} fails its self-test: {what}")
