"""An encoder whose towers are torch modules; both torch loaders make one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kpl.encoders.preprocess import picture_arrays, prepare
from kpl.encoders.protocol import EncoderCard, FromCard, check_lengths, check_sentences
from kpl.encoders.torch_patches import Gathering, patch_tower
from kpl.encoders.torch_runtime import Tensors, TorchRuntime


class SentenceTokenizer(Protocol):
    """Turns sentences into what a text tower reads.

    Attributes:
        original: the library's own tokenizer
    """

    original: Any

    def counts(self, sentences: Sequence[str]) -> list[int]:
        """Count the tokens of each sentence, special tokens included, nothing cut."""
        ...

    def arrays(self, sentences: Sequence[str], width: int | None = None) -> dict[str, NDArray[Any]]:
        """Arrays with a row a sentence, by name: padded to this width, or as the library does it."""
        ...

    def unknown(self, sentence: str) -> list[str]:
        """List the words of a sentence that become the unknown token."""
        ...


class TorchEncoder(FromCard):
    """A frozen model of two towers, see `kpl.encoders.Encoder`.

    Attributes:
        model: the torch module, on its device
        image_rows: from what `picture_arrays` makes, mostly (n, 3, image_size, image_size) pixels, to (n, d) features
            of any length
        text_rows: from the tensors of `tokenizer.arrays`, by name, to (m, d) features of any length
        tokenizer: the model's own
        runtime: where it runs
        short_texts: whether sentences need not be padded to the whole context, with the same result
        independent_texts: a sentence's row is the same, bit for bit, whatever sentences are encoded with it
    """

    independent_texts = True

    def __init__(
        self,
        card: EncoderCard,
        runtime: TorchRuntime,
        model: Any,  # noqa: ANN401 - torch has no types here
        towers: tuple[Callable[[Any], Any], Callable[[Tensors], Any]],
        tokenizer: SentenceTokenizer,
        *,
        short_texts: bool = False,
    ) -> None:
        self.card = card
        self.short_texts = short_texts
        self.model = model
        self.image_rows, self.text_rows = towers
        self.tokenizer = tokenizer
        self.runtime = runtime

    @property
    def call_size(self) -> int:
        """Pictures worth handing over in one call."""
        return self.runtime.call_size

    @property
    def numerics(self) -> str:
        """What features depend on beside the encoder's identity."""
        import torch

        lowered = "bfloat16" if self.runtime.lowered else "float32"
        return f"torch {torch.__version__} {self.runtime.device.type} {lowered}, texts by {self.runtime.text_batch}"

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
            lambda part: picture_arrays(part, self.card),
            lambda tensors: self.image_rows(*tensors.values()),
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
        lengths = self.tokenizer.counts(sentences)
        check_lengths(sentences, lengths, self.card)
        widths = [self._width(length) for length in lengths]
        rows = np.empty((len(sentences), self.card.dim), dtype=np.float32)
        for width in sorted(set(widths)):
            places = [place for place, found in enumerate(widths) if found == width]
            rows[places] = self._rows_of_width([sentences[place] for place in places], width)
        return rows

    def _width(self, length: int) -> int:
        """How many tokens are read of a sentence: its own, or as many as there can be where the tower wants so."""
        return length if self.short_texts else self.card.context_length

    def _rows_of_width(self, sentences: Sequence[str], width: int) -> NDArray[np.float32]:
        """Encode in batches of one shape, the last one filled up: products of another shape round otherwise."""
        arrays = self.tokenizer.arrays(sentences, width)
        size = self.runtime.text_batch
        places = [min(place, len(sentences) - 1) for place in range(-(-len(sentences) // size) * size)]
        rows = self.runtime.rows(
            places,
            lambda part: {name: np.ascontiguousarray(array[list(part)]) for name, array in arrays.items()},
            self.text_rows,
            batch=size,
        )
        return rows[: len(sentences)]

    def count_tokens(self, sentence: str) -> int:
        """Count the tokens of a sentence as the encoder reads it, special tokens included."""
        return self.tokenizer.counts([sentence])[0]

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
        *,
        short_texts: bool = False,
    ) -> None:
        super().__init__(card, runtime, model, towers, tokenizer, short_texts=short_texts)
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
