"""Where encoders that were fetched or brought are kept: one folder each, below one folder of the user."""

from __future__ import annotations

from pathlib import Path

from kpl.encoders.protocol import EncoderCard
from kpl.errors import EncoderError, one_line
from kpl.home import home

_CARD_BYTES = 16 << 20


def kept_folder(name: str) -> Path:
    """Where the encoder of this name is kept, whether it is there or not."""
    return home() / "encoders" / name


def kept() -> dict[str, Path]:
    """Every encoder that is kept: name to folder, sorted by name."""
    return {path.parent.name: path.parent for path in sorted((home() / "encoders").glob("*/card.json"))}


def read_card(folder: Path) -> EncoderCard:
    """The card in an encoder's folder.

    Raises:
        EncoderError: it cannot be read.
    """
    path = folder / "card.json"
    try:
        with path.open("rb") as file:
            text = file.read(_CARD_BYTES + 1)
        if len(text) > _CARD_BYTES:
            raise ValueError(f"longer than {_CARD_BYTES >> 20} MiB")
        return EncoderCard.model_validate_json(text)
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"{path}: not a readable encoder card ({one_line(error)}); install or pull it again"
        ) from error


def write_card(folder: Path, card: EncoderCard) -> None:
    """Write the card of an encoder's folder, in place of one that is there."""
    path = folder / "card.json"
    path.unlink(missing_ok=True)  # it may be a link to the hub's cache, which stays as it is
    path.write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
