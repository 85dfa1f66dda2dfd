"""The encoder that a file names: loaded by its name only, and only if it is the one that the file was made with."""

from __future__ import annotations

from collections.abc import Callable

from kpl.embeddings.encoding import card_identity, encoder_identity
from kpl.encoders import Encoder, encoder_names, load_card, load_encoder
from kpl.errors import EncoderError


def recorded_encoder(recorded: str, check: Callable[[str], None], given: str | Encoder | None = None) -> Encoder:
    """Load the encoder that a run, a model or a feature folder was made with. Its card is checked before it is loaded.

    Args:
        recorded: the encoder's name as the file says it; a path is not followed.
        check: refuses, by raising, an identity that is not the one in the file.
        given: by the user: where the encoder is, or itself.

    Raises:
        EncoderError: no encoder of that name is here, or it cannot be loaded. And whatever `check` raises.
    """
    if given is None and recorded not in encoder_names():
        raise EncoderError(
            f"encoder {recorded[:200]!r}, with which this was made, is none that is kept here by its name, and "
            "a path in a file is not followed: say where it is with --encoder"
        )
    place = recorded if given is None else given
    if isinstance(place, str):
        check(card_identity(load_card(place)))
        place = load_encoder(place)
    check(encoder_identity(place))
    return place
