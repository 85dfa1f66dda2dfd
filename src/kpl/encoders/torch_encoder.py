"""An encoder whose towers are torch modules; both torch loaders make one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kpl.encoders.preprocess import prepare
from kpl.encoders.protocol import EncoderCard, check_sentences
from kpl.encoders.torch_patches import Gathering, patch_tower
from kpl.encoders.torch_runtime import Tensors, TorchRuntime
from kpl.errors import InputError

__all__ = ["SentenceTokenizer", "TorchEncoder", "TorchPatchEncoder", "check_lengths"]


class SentenceTokenizer(Protocol):
    """Turns sentences into what a text tower reads.

    Attributes:
        original: the library's own tokenizer
    """

    original: Any

    def count(self, sentence: str) -> int:
        """Count the tokens of a sentence, special tokens included, nothing cut."""
        ...

    def arrays(self, sentences: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Arrays with a row a sentence, padded, by name."""
        ...

    def unknown(self, sentence: str) -> list[str]:
        """List the words of a sentence that become the unknown token."""
        ...


class TorchEncoder:
    """A frozen model of two towers, see `kpl.encoders.Encoder`.

    Attributes:
        model: the torch module, on its device
        image_rows: from (n, 3, image_size, image_size) pixels to (n, d) features of any length
        text_rows: from the tensors of `tokenizer.arrays`, by name, to (m, d) features of any length
        tokenizer: the model's own
        runtime: where it runs
    """

    def __init__(
        self,
        card: EncoderCard,
        runtime: TorchRuntime,
        model: Any,  # noqa: ANN401 - torch has no types here
        towers: tuple[Callable[[Any], Any], Callable[[Tensors], Any]],
        tokenizer: SentenceTokenizer,
    ) -> None:
        self.card = card
        self.model = model
        self.image_rows, self.text_rows = towers
        self.tokenizer = tokenizer
        self.runtime = runtime

    @property
    def logit_scale(self) -> float:
        """Factor from cosines to logits."""
        return self.card.logit_scale

    @property
    def logit_bias(self) -> float:
        """Added to the logits."""
        return self.card.logit_bias

    @property
    def call_size(self) -> int:
        """Pictures worth handing over in one call."""
        return self.runtime.call_size

    @property
    def numerics(self) -> str:
        """What features depend on beside the encoder's identity."""
        import torch

        return (
            f"torch {torch.__version__} {self.runtime.device.type} {'bfloat16' if self.runtime.lowered else 'float32'}"
        )

    @property
    def context_length(self) -> int:
        """Tokens of a sentence that are read."""
        return self.card.context_length

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode (height, width, 3) pictures of 0..255 into (n, d) unit rows.

        Raises:
            InputError: something is not a picture of three channels.
            EncoderError: the device's memory does not hold a single picture.
        """
        if not len(pictures):
            return np.empty((0, self.card.dim), dtype=np.float32)
        return self.runtime.rows(
            pictures,
            lambda part: {"image": prepare(part, self.card)},
            lambda tensors: self.image_rows(tensors["image"]),
        )

    def encode_texts(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Encode sentences into (m, d) unit rows.

        Raises:
            InputError: a sentence has more tokens than `context_length`; nothing is cut.
            EncoderError: the device's memory does not hold a single sentence.
        """
        check_sentences(sentences)
        if not len(sentences):
            return np.empty((0, self.card.dim), dtype=np.float32)
        check_lengths(sentences, [self.tokenizer.count(sentence) for sentence in sentences], self.card)
        return self.runtime.rows(sentences, self.tokenizer.arrays, self.text_rows)

    def count_tokens(self, sentence: str) -> int:
        """Count the tokens of a sentence as the encoder reads it, special tokens included."""
        return self.tokenizer.count(sentence)

    def unknown_words(self, sentence: str) -> list[str]:
        """List the words of a sentence that the tokenizer does not know, each once, as they are written.

        A tokenizer that falls back to letters or bytes knows every word.
        """
        return list(dict.fromkeys(self.tokenizer.unknown(sentence)))


class TorchPatchEncoder(TorchEncoder):
    """A `TorchEncoder` whose image tower is a vision transformer, see `kpl.encoders.PatchEncoder`.

    Attributes:
        gathering: where the tower gathers its patches into one vector
    """

    def __init__(
        self,
        card: EncoderCard,
        runtime: TorchRuntime,
        model: Any,  # noqa: ANN401 - torch has no types here
        towers: tuple[Callable[[Any], Any], Callable[[Tensors], Any]],
        tokenizer: SentenceTokenizer,
        gathering: Gathering,
    ) -> None:
        super().__init__(card, runtime, model, towers, tokenizer)
        self.gathering = gathering

    def encode_patches(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode the patches of (height, width, 3) pictures of 0..255 into (n, rows, columns, d) unit rows.

        Raises:
            InputError: something is not a picture of three channels.
            EncoderError: the device's memory does not hold a single picture.
        """
        if not len(pictures):
            return np.empty((0, *self.gathering.grid, self.card.dim), dtype=np.float32)
        patch_rows = patch_tower(self.image_rows, self.gathering)
        return self.runtime.rows(
            pictures,
            lambda part: {"image": prepare(part, self.card)},
            lambda tensors: patch_rows(tensors["image"]),
        )


def check_lengths(sentences: Sequence[str], lengths: Sequence[int], card: EncoderCard) -> None:
    """Refuse sentences that an encoder would not read to their end.

    Raises:
        InputError: a sentence is too long; says which, its tokens, and what to do.
    """
    over = [k for k, length in enumerate(lengths) if length > card.context_length]
    if over:
        worst = max(over, key=lambda k: lengths[k])
        raise InputError(
            f"{len(over)} of {len(sentences)} sentences too long for {card.name!r}, which reads {card.context_length} "
            f"tokens: sentence {worst + 1} has {lengths[worst]}, nothing is cut; shorten or split "
            f"{sentences[worst][:60]!r}"
        )
