"""Golden vectors: fixed pictures and sentences with the features that the library's own pipeline gave for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpl.bounded import read_bounded
from kpl.demo import demo_cells
from kpl.encoders.protocol import EncoderCard
from kpl.errors import EncoderError, KplError, one_line

_ARRAYS, _FACTS = "golden.safetensors", "golden.json"
_SEED: Final = 20_000
_SIZES: Final = (64, 97, 224)
SENTENCES: Final = ("a round cell", "a chest X-ray", "No opacity, either lung.", "skin; 2 cm lesion")
"""Short enough for every context."""


@dataclass(frozen=True)
class Golden:
    """What an encoder must give.

    Attributes:
        pictures: (height, width, 3) of 0..255.
        sentences: as they were encoded.
        images, texts: (n, d) and (m, d) unit rows.
        facts: the pipeline's versions, and what else was noted when it ran.
    """

    pictures: tuple[NDArray[np.uint8], ...]
    sentences: tuple[str, ...]
    images: NDArray[np.float32]
    texts: NDArray[np.float32]
    facts: dict[str, object]


def fixed_pictures() -> tuple[NDArray[np.uint8], ...]:
    """Return the pictures: stained cells of several sizes, a wide and a tall piece of noise, a grey picture.

    Example:
        >>> [picture.shape for picture in fixed_pictures()]
        [(64, 64, 3), (97, 97, 3), (224, 224, 3), (75, 203, 3), (231, 101, 3), (50, 50, 3)]
    """
    rng = np.random.default_rng(_SEED)
    cells = [_cell(path, size) for (path, _), size in zip(demo_cells(), _SIZES, strict=False)]
    noise = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((75, 203, 3), (231, 101, 3))]
    return (*cells, *noise, np.full((50, 50, 3), 119, dtype=np.uint8))


def _cell(path: Path, size: int) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))


def has_golden(folder: Path) -> bool:
    """Tell whether an encoder's folder has golden vectors."""
    return (folder / _ARRAYS).is_file() and (folder / _FACTS).is_file()


def make_golden(folder: Path, card: EncoderCard, *, trust_remote_code: bool = False) -> Golden:
    """Run the library's own pipeline on the fixed pictures and sentences, and write the result into the folder.

    Args:
        folder: the encoder's folder.
        card: its card; the loader says which library.
        trust_remote_code: run the Python code that the model brings.

    Raises:
        EncoderError: the library cannot read the model.
    """
    from kpl.encoders.reference import library_versions, reference_features

    pictures = fixed_pictures()
    try:
        images, texts = reference_features(folder, card, pictures, SENTENCES, trust_remote_code=trust_remote_code)
    except KplError:
        raise
    except Exception as error:  # OpenCLIP asserts, for weights of another architecture
        said = one_line(error)
        raise EncoderError(f"encoder {card.name!r}: its own library cannot run it ({said})") from error
    facts: dict[str, object] = {"loader": card.loader, "versions": library_versions(card), "tolerance": card.tolerance}
    golden = Golden(pictures, SENTENCES, images, texts, facts)
    write_golden(golden, folder)
    return golden


def write_golden(golden: Golden, folder: Path) -> None:
    """Write golden vectors into an encoder's folder: arrays and pictures, and what was noted."""
    from safetensors.numpy import save_file

    arrays = {f"picture{k}": np.ascontiguousarray(picture) for k, picture in enumerate(golden.pictures)}
    save_file({"images": golden.images, "texts": golden.texts, **arrays}, folder / _ARRAYS)
    facts = {"golden": 1, "sentences": list(golden.sentences)} | golden.facts
    (folder / _FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_golden(folder: Path) -> Golden:
    """Read the golden vectors of an encoder's folder.

    Raises:
        EncoderError: they are missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        facts = json.loads(read_bounded(folder / _FACTS))
        arrays = load(read_bounded(folder / _ARRAYS))
        sentences = tuple(facts.pop("sentences"))
        images, texts = arrays.pop("images"), arrays.pop("texts")
        pictures = tuple(arrays[f"picture{k}"] for k in range(len(images)))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise EncoderError(f"{folder}: the golden vectors cannot be read ({error}); pull the encoder again") from error
    return Golden(pictures, sentences, images, texts, facts)
