"""Feature bundles: the features and descriptions of a published data set, with labels for scoring only.

The layout of the folder:

    bundle.json        {"classes": [names], "templates": [prompts with {}], "encoder": ..., "dataset": ...};
                       only the classes are needed
    images.npy         (n, d) unit rows, float16, float32 or float64
    descriptions.npy   (C, m, d) unit rows; or, when classes have different numbers of descriptions,
                       descriptions-00000.npy, descriptions-00001.npy and so on: (m_c, d), one a class, in their order
    labels.npy         (n,) class index, optional

A row counts as unit when its length is 1 up to float16 rounding; it is brought to exactly 1 when read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from kpl.bounded import read_bounded
from kpl.embeddings.rows import FeatureRows, map_array, read_npy, unit_rows
from kpl.errors import FeaturesError

_BUNDLE_NAME = "bundle.json"


@dataclass(frozen=True)
class FeatureBundle:
    """What a bundle holds.

    Attributes:
        images: re-iterable source of (chunk, d) float32 unit rows; `images.load()` gives them all
        descriptions: one (m_c, d) float32 array of unit rows a class
        classes: names, in the order of the class indices
        templates: the prompts that the descriptions were made with, empty when not told
        labels: (n,) class indices for scoring, or None
        encoder: what made the features, or None
        dataset: what the pictures are, or None
    """

    images: FeatureRows
    descriptions: tuple[NDArray[np.float32], ...]
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    labels: NDArray[np.int64] | None
    encoder: str | None
    dataset: str | None


class _Told(BaseModel):
    classes: tuple[str, ...]
    templates: tuple[str, ...] = ()
    encoder: str | None = None
    dataset: str | None = None


def open_bundle(path: str | Path) -> FeatureBundle:
    """Open a feature bundle (the layout is at the head of this module).

    Raises:
        FeaturesError: a file is missing or damaged, or the shapes, values, classes and labels do not fit together.
    """
    path = Path(path)
    told = _read_told(path)
    images = FeatureRows([path / "images.npy"])
    descriptions = _read_descriptions(path, len(told.classes))
    for place, rows in enumerate(descriptions):
        if rows.shape[1] != images.d:
            raise FeaturesError(
                f"{str(path)!r}: descriptions of class {place} have {rows.shape[1]} columns, images {images.d}: "
                "both must come from the same encoder"
            )
    return FeatureBundle(
        images=images,
        descriptions=descriptions,
        classes=told.classes,
        templates=told.templates,
        labels=_read_labels(path / "labels.npy", images.n, len(told.classes)),
        encoder=told.encoder,
        dataset=told.dataset,
    )


def is_bundle(path: str | Path) -> bool:
    """Say whether a folder looks like a feature bundle, without reading it."""
    return (Path(path) / _BUNDLE_NAME).is_file()


def _read_told(path: Path) -> _Told:
    try:
        told = _Told.model_validate_json(read_bounded(path / _BUNDLE_NAME))
    except OSError as error:
        raise FeaturesError(
            f"{str(path)!r} is no feature bundle: {_BUNDLE_NAME} cannot be read ({error.strerror})"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise FeaturesError(f"{str(path / _BUNDLE_NAME)!r}: {where}: {first['msg']}") from error
    if not told.classes or len(set(told.classes)) < len(told.classes):
        raise FeaturesError(f"{str(path / _BUNDLE_NAME)!r}: classes must be at least one name, each only once")
    return told


def _read_descriptions(path: Path, count: int) -> tuple[NDArray[np.float32], ...]:
    together = path / "descriptions.npy"
    if together.exists():
        array = map_array(together)
        if array.ndim != 3 or array.shape[0] != count or array.shape[1] == 0:
            raise FeaturesError(f"{str(together)!r} has the shape {array.shape}: (classes, m, d) with {count} classes")
        return tuple(unit_rows(array[place], f"{str(together)!r}, class {place}") for place in range(count))
    found = []
    for place in range(count):
        single = path / f"descriptions-{place:05d}.npy"
        array = map_array(single)
        if array.ndim != 2 or array.shape[0] == 0:
            raise FeaturesError(f"{str(single)!r} has the shape {array.shape}: (m, d) with at least one description")
        found.append(unit_rows(array, repr(str(single))))
    return tuple(found)


def _read_labels(path: Path, n: int, classes: int) -> NDArray[np.int64] | None:
    if not path.exists():
        return None
    labels = read_npy(path)
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise FeaturesError(f"{str(path)!r} must hold {n} whole numbers, one class index for every image")
    if labels.min() < 0 or labels.max() >= classes:
        raise FeaturesError(
            f"{str(path)!r} holds indices {labels.min()}..{labels.max()}: the {classes} classes are 0..{classes - 1}"
        )
    return labels.astype(np.int64)
