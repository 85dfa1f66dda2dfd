"""Small array tools that every room of the mathematics shares: unit rows, softmax, re-iterable chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.errors import FeaturesError, InputError

Floats = NDArray[np.float64]
#: (n, d) unit rows, or anything that can be iterated again and again over such chunks.
Images = NDArray[np.floating] | Iterable[NDArray[np.floating]]
#: One (m_c, d) array of unit description features per class.
Descriptions = Sequence[NDArray[np.floating]]

CHUNK_ROWS = 4096  # rows of one float64 working block: 4096 x 1000 classes is 33 MB


def softmax(logits: Floats) -> Floats:
    """Return the softmax of each row.

    Args:
        logits: (n, C), any finite values.

    Example:
        >>> softmax(np.array([[1000.0, 1000.0]]))
        array([[0.5, 0.5]])
    """
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights  # type: ignore[no-any-return]  # numpy types an in-place division as Any


def log_odds(logits: Floats) -> Floats:
    """Return the log odds of each class against all others, log p / (1 - p) of p = softmax(logits).

    They rank as the probabilities do, and go on ranking where those round to 0 or to 1.

    Args:
        logits: (n, C), finite, or minus infinity for a class that cannot be.

    Example:
        >>> log_odds(np.array([[0.0, 0.0], [90.0, 0.0], [99.0, 0.0]])).tolist()
        [[0.0, 0.0], [90.0, -90.0], [99.0, -99.0]]
    """
    rows = np.arange(len(logits))
    first = logits.argmax(axis=-1)
    largest = logits[rows, first]
    weights = np.exp(logits - largest[:, None])
    # without a class that is not the largest at least a weight of one remains: nothing cancels
    others = weights.sum(axis=-1, keepdims=True) - weights
    others[rows, first] = 1.0
    found = logits - largest[:, None] - np.log(others)
    rest = logits.copy()
    rest[rows, first] = -np.inf
    second = rest.max(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):  # where the largest has no rival its odds are infinite
        rest = np.exp(rest - second[:, None]).sum(axis=-1)
        found[rows, first] = np.where(np.isneginf(second), np.inf, largest - second - np.log(rest))
    return np.asarray(found)


def unit_rows(rows: NDArray[np.floating]) -> Floats:
    """Return the rows in float64, scaled to length one; a row of zeros stays as it is.

    Example:
        >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    rows = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))


def check_positive(**settings: float) -> None:
    """Refuse settings that are not finite numbers above zero.

    Raises:
        InputError: names the first such setting.
    """
    for name, value in settings.items():
        if not (isinstance(value, int | float | np.number) and np.isfinite(value) and value > 0):
            raise InputError(f"{name.replace('_', ' ')} must be a finite number above zero, got {value}")


def as_array(values: Any, what: str = "image features") -> NDArray[Any]:  # noqa: ANN401 - whatever holds numbers
    """Return numbers as an array: lists, tensors (with or without gradient, bfloat16 too), tables of pandas or polars.

    Raises:
        FeaturesError: they are no numbers, or rows of different lengths.

    Example:
        >>> as_array([[1, 2], [3, 4]]).shape
        (2, 2)
    """
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            values = (values.float() if "bfloat16" in str(values.dtype) else values).numpy()
        elif hasattr(values, "to_numpy"):
            values = values.to_numpy()
        array = np.asarray(values)
        if array.dtype.kind not in "fiubcSU":
            array = array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise FeaturesError(
            f"{what} must be numbers in rows of one length, got {type(values).__name__}: {str(error)[:100]}"
        ) from error
    if array.dtype.kind in "cSU":
        raise FeaturesError(f"{what} must be real numbers, got {type(values).__name__} of {array.dtype}")
    return array


def _blocks(images: Images) -> Iterable[object]:
    """Tell one table of features from a source of such chunks."""
    if isinstance(images, str | bytes) or not isinstance(images, Iterable):
        raise FeaturesError(
            f"image features must be (n, d) numbers, or chunks of these, got {type(images).__name__}: "
            "embed pictures first"
        )
    if hasattr(images, "__array__") or hasattr(images, "to_numpy") or hasattr(images, "detach"):
        return [images]
    if isinstance(images, list | tuple) and len(images) and np.ndim(as_array(images[0])) < 2:
        return [images]  # a list of rows
    return images


def chunks(images: Images, dim: int | None = None) -> Iterator[Floats]:
    """Yield the image features in float64 blocks of at most `CHUNK_ROWS` unit rows.

    Args:
        images: (n, d), or a re-iterable of (n_k, d) chunks. Stored float16 rounding is undone by renormalising.
        dim: the d that is needed; None takes that of the first chunk.

    Raises:
        FeaturesError: a one-shot iterator (several passes are needed), an empty source, a wrong shape,
            a value that is not finite, or a row of zeros.
    """
    if isinstance(images, Iterator):
        raise FeaturesError(
            "image features came as a one-shot iterator, but several passes are needed: "
            "hand in an array, or an object whose __iter__ starts anew each time"
        )
    seen = 0
    for block in map(as_array, _blocks(images)):
        if block.ndim != 2 or block.shape[1] == 0 or block.shape[1] != (dim or block.shape[1]):
            needed = f"d = {dim}" if dim else "one d throughout"
            raise FeaturesError(f"image features must be (n, d) with {needed}, got a block of {block.shape}")
        dim = block.shape[1]
        for start in range(0, len(block), CHUNK_ROWS):
            rows = np.asarray(block[start : start + CHUNK_ROWS], dtype=np.float64)
            yield _checked_unit(rows, seen)
            seen += len(rows)
    if not seen:
        raise FeaturesError("there are no image features: the source holds no row")


def checked_weights(weights: Any) -> Floats | None:  # noqa: ANN401 - whatever holds numbers
    """Return the weights of images (n,) in float64; None where all are one, which is what no weights mean.

    Raises:
        FeaturesError: they are no numbers above zero, one an image.

    Example:
        >>> checked_weights([0.5, 0.5]), checked_weights([1, 1]), checked_weights(None)
        (array([0.5, 0.5]), None, None)
    """
    if weights is None:
        return None
    given: Floats = as_array(weights, "weights").astype(np.float64)
    if given.ndim != 1 or not (np.isfinite(given).all() and (given > 0).all()):
        raise FeaturesError(f"weights must be finite numbers above zero, one an image, got shape {given.shape}")
    return None if (given == 1.0).all() else given


def weighted_chunks(
    images: Images, weights: Floats | None, dim: int | None = None
) -> Iterator[tuple[Floats, Floats | None]]:
    """Yield what `chunks` does, each block with the weights of its rows; None where there are none.

    Args:
        weights: (n,) over all chunks, as `checked_weights` returns them.

    Raises:
        FeaturesError: as `chunks`, or not one weight an image.
    """
    seen = 0
    for chunk in chunks(images, dim):
        own = None if weights is None else weights[seen : seen + len(chunk)]
        seen += len(chunk)
        if own is None or len(own) == len(chunk):
            yield chunk, own
    if weights is not None and seen != len(weights):
        raise FeaturesError(f"{len(weights)} weights for {seen} images: one is needed for each")


def checked_descriptions(descriptions: Descriptions, dim: int | None = None) -> list[Floats]:
    """Return the description features in float64 with unit rows, one (m_c, d) array a class.

    Raises:
        FeaturesError: fewer than two classes, a class without descriptions, a wrong shape or dimension,
            a value that is not finite, or a row of zeros.
    """
    if len(descriptions) < 2:
        raise FeaturesError(f"at least two classes are needed to tell apart, got {len(descriptions)}")
    checked: list[Floats] = []
    for c, given in enumerate(descriptions):
        rows: Floats = as_array(given, f"descriptions of class {c}").astype(np.float64)
        dim = dim or (rows.shape[-1] if rows.ndim == 2 else None)
        if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] != dim:
            raise FeaturesError(f"descriptions of class {c} must be (m, {dim or 'd'}) with m >= 1, got {rows.shape}")
        checked.append(_checked_unit(rows, 0, what=f"descriptions of class {c}"))
    return checked


def _checked_unit(rows: Floats, first: int, what: str = "image features") -> Floats:
    with np.errstate(over="ignore"):  # what overflows is reported as not finite
        lengths = np.linalg.norm(rows, axis=1)
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        why = "all zero" if lengths[bad[0]] == 0 else "not finite"
        raise FeaturesError(f"{what}: row {first + bad[0]} is {why} ({len(bad)} such rows in this block); remove it")
    return np.asarray(rows / lengths[:, None])
