"""Encoders of models that no loader reads: two functions of somebody's own make one, and a file names it.

`--encoder ./my_adapter.py:build` calls `build()` of that file, which gives back an encoder, mostly by `adapt`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import operator
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpl.encoders.files import file_hash
from kpl.encoders.protocol import UNKNOWN, Encoder, EncoderCard, FromCard, check_lengths, check_sentences
from kpl.errors import EncoderError, KplError, one_line

_BATCH: Final = 16
_FORM: Final = re.compile(r"(.+\.py):([A-Za-z_]\w*)")

Rows = NDArray[np.float32]


class AdaptedEncoder(FromCard):
    """An encoder made of two functions, see `adapt` and `kpl.Encoder`.

    Attributes:
        card: what it is
    """

    def __init__(
        self,
        card: EncoderCard,
        images: Callable[[list[Image.Image]], Any],
        texts: Callable[[list[str]], Any],
        count: Callable[[str], int],
    ) -> None:
        self.card = card
        self._images, self._texts, self._count = images, texts, count

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> Rows:
        """Encode (height, width, 3) pictures of 0..255 into (n, d) unit rows."""
        return self._rows([Image.fromarray(picture) for picture in pictures], self._images, "images")

    def encode_texts(self, sentences: Sequence[str]) -> Rows:
        """Encode sentences into (m, d) unit rows.

        Raises:
            InputError: a sentence has more tokens than `context_length`; nothing is cut.
        """
        check_sentences(sentences)
        check_lengths(sentences, [self.count_tokens(sentence) for sentence in sentences], self.card)
        return self._rows(list(sentences), self._texts, "texts")

    def count_tokens(self, sentence: str) -> int:
        """Count the tokens of a sentence, special tokens included."""
        found = _called(self._count, sentence, self.card.name, "count")
        try:
            return operator.index(found)
        except TypeError:
            raise EncoderError(
                f"encoder {self.card.name!r}: its adapter's count gives {found!r:.60}, not a whole number of tokens"
            ) from None

    def unknown_words(self, sentence: str) -> list[str]:
        """None: an adapter's tokenizer is not asked."""
        del sentence
        return []

    def _rows(self, items: list[Any], function: Callable[[list[Any]], Any], what: str) -> Rows:
        parts = [np.empty((0, self.card.dim), dtype=np.float32)]
        for start in range(0, len(items), _BATCH):
            part = items[start : start + _BATCH]
            found = _called(function, part, self.card.name, what)
            if found.shape != (len(part), self.card.dim):
                raise EncoderError(
                    f"encoder {self.card.name!r}: its adapter's {what} gives {found.shape} for {len(part)} of them, "
                    f"not {(len(part), self.card.dim)}"
                )
            lengths = np.linalg.norm(found, axis=1, keepdims=True)
            if not (np.isfinite(lengths) & (lengths > 0)).all():
                raise EncoderError(
                    f"encoder {self.card.name!r}: its adapter's {what} gives rows that are zero or not finite"
                )
            parts.append(np.asarray(found / lengths, dtype=np.float32))
        return np.concatenate(parts)


def adapt(
    name: str,
    *,
    images: Callable[[list[Image.Image]], Any],
    texts: Callable[[list[str]], Any],
    count: Callable[[str], int],
    context_length: int,
    image_size: int,
    files: Iterable[str | Path],
    logit_scale: float = 100.0,
    logit_bias: float | None = None,
    **told: Any,  # noqa: ANN401 - fields of a card
) -> AdaptedEncoder:
    """Make an encoder of a model's own two functions; pictures are prepared by the model's own code.

    Args:
        name: of the encoder, as runs and features name it.
        images: pictures of Pillow in RGB, at most 16, to (n, d) rows of any length, an array or a tensor.
        texts: sentences, at most 16, to (m, d) rows of any length.
        count: the tokens of a sentence, special tokens included.
        context_length: tokens that the model reads; a longer sentence is refused, never cut.
        image_size: pixels, both sides, that the model reads.
        files: the model's weights; their hashes are part of what features are known by.
        logit_scale: factor from cosines to logits in its training.
        logit_bias: added to the logits, for a model that was trained with a sigmoid.
        told: further fields of `EncoderCard`, such as `licence`, `intended_use` and `modalities`.

    Raises:
        EncoderError: a file is not there.

    Example:
        >>> import numpy as np
        >>> made = adapt("tiny", images=lambda pictures: np.array([[p.width, p.height] for p in pictures]),
        ...     texts=lambda sentences: np.array([[1, len(s)] for s in sentences]), count=len, context_length=77,
        ...     image_size=32, files=[])
        >>> made.encode_texts(["a cell"]).round(2)
        array([[0.16, 0.99]], dtype=float32)
    """
    for what, function in (("images", images), ("texts", texts), ("count", count)):
        if not callable(function):
            raise EncoderError(f"encoder {name!r}: {what} is no function, and an encoder needs all three")
    blank = _called(images, [Image.new("RGB", (image_size, image_size))], name, "images")
    paths = sorted(Path(path) for path in files)
    fields: dict[str, Any] = {
        "name": name,
        "title": f"{name}, by an adapter",
        **UNKNOWN,
        "loader": "adapter",
        "head": "softmax" if logit_bias is None else "sigmoid",
        "files": {path.name: file_hash(path) for path in paths},
        "dim": blank.shape[1],
        "context_length": context_length,
        "image_size": image_size,
        "resize": "own",
        "interpolation": "bicubic",
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "logit_scale": logit_scale,
        "logit_bias": logit_bias or 0.0,
    }
    told_by = dict.fromkeys(("context_length", "image_size", "logit_scale", "logit_bias"), "the adapter")
    card = EncoderCard.model_validate(fields | {"read_from": told_by} | told)
    return AdaptedEncoder(card, images, texts, count)


def _inference() -> contextlib.AbstractContextManager[object]:
    """No gradients where an adapter uses torch."""
    torch = sys.modules.get("torch")
    return torch.inference_mode() if torch else contextlib.nullcontext()


def _called(function: Callable[[Any], Any], given: Any, name: str, what: str) -> Any:  # noqa: ANN401 - of any model
    """What an adapter's function gives: of `images` and `texts` rows as an array.

    Raises:
        EncoderError: it raised something, or gives no rows.
    """
    try:
        with _inference():
            found = function(given)
            found = found if what == "count" else np.asarray(_plain(found), dtype=np.float32)
    except KplError:
        raise
    except Exception as error:  # somebody else's code: whatever it raises is why there are no rows
        raise EncoderError(
            f"encoder {name!r}: its adapter's {what} fails: {type(error).__name__}: {one_line(error)}"
        ) from error
    if what != "count" and found.ndim != 2:
        raise EncoderError(f"encoder {name!r}: its adapter's {what} gives an array of shape {found.shape}, not (n, d)")
    return found


def _plain(rows: Any) -> Any:  # noqa: ANN401 - whatever a model gives
    """Rows without torch, of whatever number type."""
    if isinstance(rows, list | tuple):
        return [_plain(row) for row in rows]
    return rows.detach().float().cpu().numpy() if hasattr(rows, "detach") else rows


def split_adapter(spec: str) -> tuple[Path, str] | None:
    """The file and the function that `FILE.py:FUNCTION` names; None where a spec has another form.

    Example:
        >>> split_adapter("./my_adapter.py:build")
        (PosixPath('my_adapter.py'), 'build')
        >>> split_adapter("hf:someone/some-clip")
    """
    found = _FORM.fullmatch(spec)
    return (Path(found[1]).expanduser(), found[2]) if found else None


def load_adapter(path: Path, function: str, *, trusted: bool) -> Encoder:
    """Run an adapter's file and call its function, which makes an encoder.

    Args:
        path: of the file.
        function: without arguments.
        trusted: whether running the file was asked for.

    Raises:
        EncoderError: it was not asked for, the file is not there, cannot run, or makes no encoder.
    """
    if not path.is_file():
        raise EncoderError(
            f"no file {str(path)!r}: an adapter is named by its file and function, ./my_adapter.py:build"
        )
    if not trusted:
        raise EncoderError(
            f"encoder {str(path)!r} is Python code, which runs with all your rights: read it, then ask for it with "
            "--trust-remote-code"
        )
    spec = importlib.util.spec_from_file_location(f"kpl_adapter_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise EncoderError(f"{str(path)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and pickles of its own look for it
    sys.path.insert(0, str(path.resolve().parent))  # what lies beside it, as of a script
    try:
        spec.loader.exec_module(module)
        if not callable(made := getattr(module, function, None)):
            raise EncoderError(f"{str(path)!r} has no function {function!r}")
        with _inference():
            encoder = made()
    except EncoderError:
        raise
    except (Exception, SystemExit) as error:  # somebody else's code: whatever it raises is why there is no encoder
        raise EncoderError(
            f"adapter {str(path)!r} cannot be used: {type(error).__name__}: {one_line(error)}"
        ) from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    if not isinstance(encoder, Encoder):
        raise EncoderError(f"{function}() of {str(path)!r} gives a {type(encoder).__name__}, no kpl.Encoder: see adapt")
    if isinstance(encoder, AdaptedEncoder):  # another adapter may make other features of the same weights
        files = dict(encoder.card.files) | {path.name: file_hash(path)}
        encoder.card = encoder.card.model_copy(update={"files": files})
    return encoder
