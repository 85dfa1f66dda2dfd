"""Calling an encoder, and not believing it: what comes back is checked before anything is built on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings.text_cache import TextCache
from kpl.encoders.protocol import Encoder, EncoderCard, PatchEncoder, Traits, check_sentences
from kpl.errors import EncoderError, InputError

_SHAPING_FIELDS = {"name", "files", "dim", "padding", "image_size", "resize", "resize_to", "crop", "fill"} | {
    "interpolation",
    "mean",
    "std",
}
_UNIT_TOLERANCE = 1e-3
_TEXTS_KEPT = 512  # sentences that are encoded before they are kept, for the next run if this one is stopped


@dataclass(frozen=True, slots=True)
class EmbedSettings:
    """Everything beside the encoder and the pictures that shapes the stored features.

    Attributes:
        dtype: how features are stored; float16 halves the folder and costs about 0.0005 of a row's length
        shrink_to: shorter side in pixels above which large pictures may be read smaller, see `kpl.images.decode`
    """

    dtype: Literal["float32", "float16"]
    shrink_to: int

    def content_hash(self) -> str:
        """Hash the settings; 16 hexadecimal digits."""
        return _short_hash(asdict(self))


def encoder_identity(encoder: Encoder) -> str:
    """Name an encoder for caches: its card's name, and a hash of its files' hashes and of its picture preparation.

    Two encoders with the same identity give the same features; the free text of a card does not count.

    Returns:
        "name:0123456789abcdef".
    """
    return card_identity(encoder.card)


def card_identity(card: EncoderCard) -> str:
    """Return what `encoder_identity` says of the encoder that has this card, before it is loaded."""
    shaping = _SHAPING_FIELDS | ({"text_cleaning"} if card.text_cleaning != "tokenizer" else set())
    shaping |= {"patch_size"} if card.patch_size else set()
    shaping |= {"loader"} if card.loader == "openvino" else set()  # the files of "onnx", computed otherwise
    return f"{card.name}:{_short_hash(card.model_dump(mode='json', include=shaping))}"


def encode_pictures(pictures: Sequence[NDArray[np.uint8]], encoder: Encoder) -> NDArray[np.float32]:
    """Encode pictures and check the result.

    Args:
        pictures: (height, width, 3) arrays of 0..255.
        encoder: gives (n, d) unit rows.

    Returns:
        (n, d) float32 unit rows.

    Raises:
        EncoderError: the encoder broke its contract.
    """
    return _checked(encoder.encode_images(pictures), len(pictures), encoder)


def encode_patches(picture: NDArray[np.uint8], encoder: PatchEncoder) -> NDArray[np.float32]:
    """Encode the patches of one picture and check the result.

    Args:
        picture: (height, width, 3) of 0..255.
        encoder: gives (1, rows, columns, d) unit rows.

    Returns:
        (rows, columns, d) float32 unit rows.

    Raises:
        EncoderError: the encoder broke its contract.
    """
    found = encoder.encode_patches([picture])
    if found.ndim != 4 or len(found) != 1 or 0 in found.shape:
        raise EncoderError(
            f"encoder {encoder.card.name!r} gave patches of shape {found.shape}, not (1, rows, columns, dimensions)"
        )
    rows, columns, dim = found.shape[1:]
    return _checked(found.reshape(-1, dim), rows * columns, encoder).reshape(rows, columns, dim)


def embed_texts(
    prompts: Sequence[Sequence[str]], encoder: Encoder, *, cache: TextCache | None = None
) -> list[NDArray[np.float32]]:
    """Encode the sentences of every class.

    A sentence is encoded once, and alone unless the encoder says, in an attribute `independent_texts`, that a row does
    not depend, by a rounding, on the other sentences of a call.

    Args:
        prompts: one list of sentences a class, as `KnowledgeBase.prompts()` gives them.
        encoder: gives (m, d) unit rows.
        cache: where features are looked up and kept; they come out the same without it. It is used only with an
            encoder that says, in an attribute `numerics`, what beside its identity its features depend on.

    Returns:
        One (m_c, d) float32 array of unit rows a class.

    Raises:
        InputError: there is no class, or one has no sentence.
        EncoderError: the encoder broke its contract.
    """
    if not prompts:
        raise InputError("no class to encode: a knowledge base has at least one class with a description")
    check_sentences(prompts)
    for place, sentences in enumerate(prompts):
        check_sentences(sentences)
        if not sentences:
            raise InputError(
                f"class {place} of {len(prompts)} has no sentence to encode: give it at least one description"
            )
    wanted = list(dict.fromkeys(sentence for sentences in prompts for sentence in sentences))
    told = Traits.of(encoder)
    keys = {sentence: f"{encoder_identity(encoder)}\n{told.numerics}\n{sentence}" for sentence in wanted}
    usable = cache if told.numerics else None
    held = usable.get(list(keys.values()), dim=encoder.card.dim) if usable else {}
    rows = {sentence: held[key] for sentence, key in keys.items() if key in held}
    fresh = [sentence for sentence in wanted if sentence not in rows]
    for start in range(0, len(fresh), _TEXTS_KEPT):
        part = fresh[start : start + _TEXTS_KEPT]
        calls = [part] if told.independent_texts else [[sentence] for sentence in part]
        encoded = [_checked(encoder.encode_texts(call), len(call), encoder) for call in calls]
        found = dict(zip(part, np.concatenate(encoded), strict=True))
        rows |= found
        if usable:
            usable.put({keys[sentence]: row for sentence, row in found.items()})
    return [np.stack([rows[sentence] for sentence in sentences]) for sentences in prompts]


def _checked(features: NDArray[np.float32], count: int, encoder: Encoder) -> NDArray[np.float32]:
    name, dim = encoder.card.name, encoder.card.dim
    if features.shape != (count, dim):
        raise EncoderError(
            f"encoder {name!r} gave features of shape {features.shape}, not {(count, dim)} as its card says"
        )
    lengths = np.linalg.norm(features, axis=1)
    if not np.all(np.abs(lengths - 1.0) <= _UNIT_TOLERANCE):  # false for NaN too
        row = int(np.argmin(np.abs(lengths - 1.0) <= _UNIT_TOLERANCE))
        raise EncoderError(f"encoder {name!r} gave a feature of length {lengths[row]:.4g}: unit length is its contract")
    return features.astype(np.float32, copy=False)


def _short_hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
