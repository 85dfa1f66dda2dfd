"""The encoders by name. Each is a folder with a card; the card names the loader that reads the other files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from kpl.encoders.protocol import Encoder, EncoderCard
from kpl.errors import EncoderError, UnknownNameError

__all__ = ["encoder_names", "load_card", "load_encoder"]

_SHIPPED: Final = Path(__file__).parent


def encoder_names() -> list[str]:
    """The encoders that can be loaded here, sorted.

    Example:
        >>> encoder_names()
        ['mini']
    """
    return sorted(path.parent.name for path in _SHIPPED.glob("*/card.json"))


def load_card(name: str) -> EncoderCard:
    """The card of an encoder, without loading its weights.

    Raises:
        UnknownNameError: no encoder has that name.
        EncoderError: the card cannot be read.

    Example:
        >>> load_card("mini").dim
        128
    """
    if name not in (known := encoder_names()):
        raise UnknownNameError("encoder", name, known)
    return _read_card(_SHIPPED / name)


def _read_card(folder: Path) -> EncoderCard:
    path = folder / "card.json"
    try:
        return EncoderCard.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise EncoderError(f"{path}: not a readable encoder card ({reason}); install the package again") from error


def load_encoder(name: str) -> Encoder:
    """Load an encoder by name; its files are checked against the hashes of its card.

    Raises:
        UnknownNameError: no encoder has that name.
        EncoderError: a file is missing, damaged or of a kind that no loader reads.

    Example:
        >>> mini = load_encoder("mini")
        >>> mini.encode_texts(["a large cell with a folded nucleus"]).shape
        (1, 128)
    """
    card = load_card(name)
    if card.loader not in _LOADERS:
        raise EncoderError(f"encoder {name!r}: no loader {card.loader!r}; known: {', '.join(sorted(_LOADERS))}")
    return _LOADERS[card.loader](_SHIPPED / name, card)


def _onnx(folder: Path, card: EncoderCard) -> Encoder:
    from kpl.encoders.onnx import OnnxEncoder

    return OnnxEncoder(folder, card)


_LOADERS: Final[dict[str, Callable[[Path, EncoderCard], Encoder]]] = {"onnx": _onnx}
