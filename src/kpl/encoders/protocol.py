"""What an encoder is: a card that says what it is and does, and four things it can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Encoder", "EncoderCard"]


class EncoderCard(BaseModel):
    """What an encoder says of itself: what shapes its features, and what to know before trusting it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    intended_use: str
    limits: str
    licence: str
    modalities: tuple[str, ...]
    """Kinds of pictures it was made for; empty when it was made for any."""
    loader: str
    """Which of the loaders reads its files."""
    files: Mapping[str, str]
    """Name of each file it is made of, with its SHA-256."""

    dim: int = Field(gt=0)
    """Columns of a feature."""
    context_length: int = Field(gt=0)
    """Tokens of a sentence that are read, special tokens included."""
    image_size: int = Field(gt=0)
    """Pixels, both sides, of the picture that the image tower reads."""
    resize: Literal["squash", "shortest"]
    """Both sides to `image_size`, or the shorter side, keeping the proportions."""
    crop: Literal["none", "center"] = "none"
    interpolation: Literal["bicubic", "bilinear"]
    mean: tuple[float, float, float]
    """Of red, green and blue in 0..1, subtracted."""
    std: tuple[float, float, float]
    """Of red, green and blue in 0..1, divided by."""

    head: Literal["softmax", "sigmoid"]
    logit_scale: float = Field(gt=0)
    logit_bias: float = 0.0

    training_data: str = ""
    recipe: str = ""
    figures: str = ""


@runtime_checkable
class Encoder(Protocol):
    """A frozen vision-language encoder.

    Deterministic for the same settings, batched inside, and independent of the batch size up to rounding.

    Attributes:
        card: what it is
        logit_scale: factor from cosines to logits
        logit_bias: added to the logits
        context_length: tokens of a sentence that are read
    """

    @property
    def card(self) -> EncoderCard: ...  # noqa: D102 - described above
    @property
    def logit_scale(self) -> float: ...  # noqa: D102 - described above
    @property
    def logit_bias(self) -> float: ...  # noqa: D102 - described above
    @property
    def context_length(self) -> int: ...  # noqa: D102 - described above

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode (height, width, 3) pictures of 0..255 into (n, d) unit rows."""
        ...

    def encode_texts(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Encode sentences into (m, d) unit rows."""
        ...

    def count_tokens(self, sentence: str) -> int:
        """Count the tokens of a sentence as the encoder reads it, special tokens included."""
        ...

    def unknown_words(self, sentence: str) -> list[str]:
        """List the words of a sentence that the tokenizer does not know."""
        ...
