"""Two ONNX towers and a `tokenizers` file, without torch: the loader of `mini` and of exported encoders.

Pictures are prepared and encoded in small batches, one a core, each on a single thread: nothing waits for a slower
thread within an operator, and results do not depend on the number of cores.
"""

from __future__ import annotations

import functools
import os
import platform
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kpl.bounded import half_of_memory
from kpl.encoders.files import check_hashes
from kpl.encoders.onnx_files import external_files
from kpl.encoders.preprocess import prepare
from kpl.encoders.protocol import EncoderCard, FromCard, check_lengths, check_sentences
from kpl.encoders.tokenizer_limits import check_tokenizer
from kpl.errors import EncoderError, InputError
from kpl.images import ordered_map

_IMAGES, _TEXTS, _TOKENIZER = "weights/image.onnx", "weights/text.onnx", "weights/tokenizer.json"
_BATCH: Final = 8  # a core's share at a time: enough to fill a core, small enough to stay in its cache
_CALL: Final = 64
Item = TypeVar("Item")
_UNKNOWN: Final = ("[UNK]", "<unk>")
_WORD: Final = re.compile(r"[^\W\d_]+")


def load(
    folder: Path,
    card: EncoderCard,
    *,
    device: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> OnnxEncoder:
    """Load an encoder of two ONNX towers; the last two arguments have no meaning here.

    Raises:
        InputError: a device other than the processor.
        EncoderError: a file is missing, does not have the hash of the card, or cannot be read.
    """
    del allow_pickle, trust_remote_code
    on_processor(card, device)
    return OnnxEncoder(folder, card)


def on_processor(card: EncoderCard, device: str | None) -> None:
    """Refuse another device.

    Raises:
        InputError: a device other than the processor.
    """
    if device not in (None, "cpu"):
        raise InputError(f"encoder {card.name!r} is ONNX, which runs on the processor: leave --device {device} out")


class Tower(Protocol):
    """One graph that computes: onnxruntime's `InferenceSession`, or what another library has in its place."""

    def get_inputs(self) -> Sequence[Any]:
        """Describe what it takes; each has a `name`."""
        ...

    def get_outputs(self) -> Sequence[Any]:
        """Describe what it gives; each has a `name`."""
        ...

    def run(self, names: Sequence[str], inputs: dict[str, NDArray[Any]]) -> Sequence[Any]:
        """Compute the outputs of these names; several threads at once may."""
        ...


class OnnxEncoder(FromCard):
    """An encoder of two ONNX towers in a folder, run on the processor.

    The image tower reads `image` (n, 3, s, s) and the text tower `ids` and `mask` (n, length), or the first of these
    alone; each gives `rows`.

    Attributes:
        call_size: pictures worth handing over in one call
        threads: batches that are computed at a time
        independent_texts: a sentence's row is the same, bit for bit, whatever sentences are encoded with it: each is
            encoded alone, since weights of 8 bits take their scale from all that is in a call

    Raises:
        EncoderError: a file is missing, does not have the hash of the card, or cannot be read.
    """

    independent_texts = True

    def __init__(self, folder: Path, card: EncoderCard) -> None:
        from tokenizers import Tokenizer

        if missing := {_IMAGES, _TEXTS, _TOKENIZER} - set(card.files):
            raise EncoderError(f"encoder {card.name!r}: its card names no file {min(missing)!r}")
        check_hashes(folder, card)
        self.card = card
        self.threads = available_cores()
        self.call_size = max(_CALL, 4 * _BATCH * self.threads)
        try:
            self._check_beside(folder)
            # By path and not from bytes: weights that lie beside a graph of more than 2 GB are found, and mapped.
            self._images, self._texts = self.opened(folder / _IMAGES), self.opened(folder / _TEXTS)
            self._tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # what a library in Rust raises when it gives up is no Exception
            raise EncoderError(f"encoder {card.name!r}: its files cannot be loaded ({_told(error)})") from error
        self._text_inputs = {entry.name for entry in self._texts.get_inputs()}
        self._check_towers()
        self._unknown = next(filter(None, map(self._tokenizer.token_to_id, _UNKNOWN)), None)

    @property
    def numerics(self) -> str:
        """What features depend on beside the encoder's identity."""
        import onnxruntime as ort

        return f"onnxruntime {ort.__version__}, {platform.machine()}"

    def opened(self, path: Path) -> Tower:
        """Make a graph's file something that computes; whatever the library raises is why it cannot."""
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4  # errors are raised, and said once
        if _has_arena():
            options.add_session_config_entry("session.use_env_allocators", "1")
        options.intra_op_num_threads = 1
        made: Tower = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return made

    def _check_beside(self, folder: Path) -> None:
        """Refuse weights in files that the card does not name, and a tokenizer that asks for too much."""
        for tower in (_IMAGES, _TEXTS):
            for name in external_files(folder / tower):
                if f"weights/{name}" not in self.card.files:
                    raise ValueError(f"{tower} keeps weights in {name[:80]!r}, which its card does not name")
        check_tokenizer(folder / _TOKENIZER, self.card.context_length)

    def _check_towers(self) -> None:
        for session, known in ((self._images, {"image"}), (self._texts, {"ids", "mask"})):
            inputs, outputs = ({entry.name for entry in side} for side in (session.get_inputs(), session.get_outputs()))
            if not inputs or not inputs <= known or "rows" not in outputs:
                raise EncoderError(
                    f"encoder {self.card.name!r}: a tower takes {sorted(inputs)} and gives {sorted(outputs)}; "
                    f"{sorted(known)} and 'rows' are read: export it again"
                )

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode (height, width, 3) pictures of 0..255 into (n, d) unit rows.

        Raises:
            InputError: something is not a picture of three channels.
        """
        return self._rows(pictures, _BATCH, lambda part: self._run(self._images, {"image": prepare(part, self.card)}))

    def encode_texts(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Encode sentences into (m, d) unit rows.

        Raises:
            InputError: a sentence has more tokens than `context_length`; nothing is cut.
        """
        check_sentences(sentences)
        return self._rows(sentences, 1, lambda part: self._run(self._texts, self._tokens(part)))

    def _run(self, session: Tower, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        try:
            rows = session.run(["rows"], inputs)[0]
        except Exception as error:  # the library has no class for its own
            raise EncoderError(f"encoder {self.card.name!r}: its graph cannot be computed ({_told(error)})") from error
        expected = (len(next(iter(inputs.values()))), self.card.dim)
        if not isinstance(rows, np.ndarray) or rows.shape != expected or rows.dtype.kind != "f":
            raise EncoderError(
                f"encoder {self.card.name!r} gave {getattr(rows, 'dtype', 'something')} of shape "
                f"{getattr(rows, 'shape', 'unknown')}, its card says floats of {expected}"
            )
        return rows

    def _rows(
        self, items: Sequence[Item], size: int, tower: Callable[[Sequence[Item]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        if len(batches) > 1 < self.threads:
            parts = list(ordered_map(tower, batches, workers=self.threads, look_ahead=self.threads))
        else:
            parts = [tower(batch) for batch in batches]
        rows = np.concatenate([np.empty((0, self.card.dim), dtype=np.float32), *parts])
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise EncoderError(f"encoder {self.card.name!r} gave features that are zero, infinite or no numbers")
        return np.asarray(rows / lengths, dtype=np.float32)

    def _tokens(self, sentences: Sequence[str]) -> dict[str, NDArray[np.int64]]:
        """Token ids and mask, both (n, length), padded as the tokenizer's file says, else with zeros.

        A sentence without any token is one unknown word.
        """
        encodings = self._tokenizer.encode_batch(list(sentences))
        lengths = [len(encoding.ids) for encoding in encodings]
        check_lengths(sentences, lengths, self.card)
        length = max(1, *lengths)
        ids = np.zeros((len(encodings), length), dtype=np.int64)
        mask = np.zeros_like(ids)
        for k, encoding in enumerate(encodings):
            row, read = (encoding.ids, encoding.attention_mask) if encoding.ids else ([self._unknown or 0], [1])
            ids[k, : len(row)] = row
            mask[k, : len(row)] = read
        return {name: array for name, array in (("ids", ids), ("mask", mask)) if name in self._text_inputs}

    def count_tokens(self, sentence: str) -> int:
        """Count the tokens of a sentence as the encoder reads it."""
        return max(1, sum(self._tokenizer.encode(sentence).attention_mask))

    def unknown_words(self, sentence: str) -> list[str]:
        """List the words of a sentence that the tokenizer does not know, each once, as they are written."""
        encoding = self._tokenizer.encode(sentence)
        words = [
            sentence[a:b]
            for token, (a, b) in zip(encoding.ids, encoding.offsets, strict=True)
            if token == self._unknown  # byte-level tokenizers have none: they spell every word
        ]
        return list(dict.fromkeys(word for word in words if _WORD.fullmatch(word)))


@functools.cache
def _has_arena() -> bool:
    """Give all graphs together half of the machine's memory at most, so that none can fill it; once in a process."""
    import onnxruntime as ort

    most = half_of_memory()
    if most is None:
        return False
    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    try:
        ort.create_and_register_allocator(place, ort.OrtArenaCfg(most, -1, -1, -1))
    except Exception:  # the program that KPL runs in gave one already, with a bound or without
        return False
    return True


def _told(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def available_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
