"""Two ONNX towers and a `tokenizers` file: the loader of `mini`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kpl.encoders.preprocess import prepare
from kpl.encoders.protocol import EncoderCard
from kpl.errors import EncoderError, InputError

__all__ = ["OnnxEncoder", "load"]

_IMAGES, _TEXTS, _TOKENIZER = "weights/image.onnx", "weights/text.onnx", "weights/tokenizer.json"
_BATCH: Final = 32
_WORD: Final = re.compile(r"[^\W\d_]+")


def load(
    folder: Path,
    card: EncoderCard,
    *,
    device: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> OnnxEncoder:
    """Load an encoder of two ONNX towers; the last three arguments have no meaning here.

    Raises:
        EncoderError: a file is missing, does not have the hash of the card, or cannot be read.
    """
    del device, allow_pickle, trust_remote_code
    return OnnxEncoder(folder, card)


class OnnxEncoder:
    """An encoder of two ONNX towers in a folder, run on the processor.

    The image tower reads `image` (n, 3, s, s) and the text tower `ids` and `mask` (n, length); each gives `rows`.

    Raises:
        EncoderError: a file is missing, does not have the hash of the card, or cannot be read.
    """

    def __init__(self, folder: Path, card: EncoderCard) -> None:
        import onnxruntime as ort
        from tokenizers import Tokenizer

        contents = _read_checked(folder, card, (_IMAGES, _TEXTS, _TOKENIZER))
        options = ort.SessionOptions()
        options.log_severity_level = 3
        try:
            self._images = ort.InferenceSession(contents[_IMAGES], options, providers=["CPUExecutionProvider"])
            self._texts = ort.InferenceSession(contents[_TEXTS], options, providers=["CPUExecutionProvider"])
            self._tokenizer = Tokenizer.from_buffer(contents[_TOKENIZER])
        except Exception as error:
            raise EncoderError(f"encoder {card.name!r}: its files cannot be loaded ({error})") from error
        self._unknown = int(self._tokenizer.token_to_id("[UNK]") or 0)
        self._card = card

    @property
    def card(self) -> EncoderCard:
        """What the encoder says of itself."""
        return self._card

    @property
    def logit_scale(self) -> float:
        """Factor from cosines to logits."""
        return self._card.logit_scale

    @property
    def logit_bias(self) -> float:
        """Added to the logits."""
        return self._card.logit_bias

    @property
    def context_length(self) -> int:
        """Tokens of a sentence that are read."""
        return self._card.context_length

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode (height, width, 3) pictures of 0..255 into (n, d) unit rows.

        Raises:
            InputError: something is not a picture of three channels.
        """
        starts = range(0, len(pictures), _BATCH)
        return self._rows(
            self._images.run(["rows"], {"image": prepare(pictures[start : start + _BATCH], self._card)})[0]
            for start in starts
        )

    def encode_texts(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Encode sentences into (m, d) unit rows.

        Raises:
            InputError: a sentence has more tokens than `context_length`; nothing is cut.
        """
        starts = range(0, len(sentences), _BATCH)
        return self._rows(
            self._texts.run(["rows"], self._tokens(sentences[start : start + _BATCH]))[0] for start in starts
        )

    def _rows(self, parts: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        rows = np.concatenate([np.empty((0, self._card.dim), dtype=np.float32), *parts])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    def _tokens(self, sentences: Sequence[str]) -> dict[str, NDArray[np.int64]]:
        """Token ids and mask, both (n, length). A sentence without any word is one unknown word."""
        rows = [encoding.ids or [self._unknown] for encoding in self._tokenizer.encode_batch(list(sentences))]
        length = max(map(len, rows))
        if length > self.context_length:
            worst = sentences[int(np.argmax([len(row) for row in rows]))]
            raise InputError(
                f"a sentence of {length} tokens is too long for {self._card.name!r}, which reads "
                f"{self.context_length}: shorten {worst[:60]!r}"
            )
        ids = np.zeros((len(rows), length), dtype=np.int64)
        mask = np.zeros_like(ids)
        for k, row in enumerate(rows):
            ids[k, : len(row)] = row
            mask[k, : len(row)] = 1
        return {"ids": ids, "mask": mask}

    def count_tokens(self, sentence: str) -> int:
        """Count the tokens of a sentence as the encoder reads it."""
        return max(1, len(self._tokenizer.encode(sentence).ids))

    def unknown_words(self, sentence: str) -> list[str]:
        """List the words of a sentence that the tokenizer does not know, each once, as they are written."""
        encoding = self._tokenizer.encode(sentence)
        words = [
            sentence[a:b]
            for token, (a, b) in zip(encoding.ids, encoding.offsets, strict=True)
            if token == self._unknown
        ]
        return list(dict.fromkeys(word for word in words if _WORD.fullmatch(word)))


def _read_checked(folder: Path, card: EncoderCard, needed: Sequence[str]) -> dict[str, Any]:
    """The bytes of every file of the card, after checking its hash."""
    contents: dict[str, Any] = {}
    for name in needed:
        path = folder / name
        if name not in card.files:
            raise EncoderError(f"encoder {card.name!r}: its card names no file {name!r}")
        try:
            contents[name] = path.read_bytes()
        except OSError as error:
            raise EncoderError(f"encoder {card.name!r}: cannot read {path} ({error.strerror})") from error
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != card.files[name]:
            raise EncoderError(
                f"encoder {card.name!r}: {path} has hash {found[:12]}, its card says {card.files[name][:12]}; "
                "the file is damaged or was exchanged: install the package again"
            )
    return contents
