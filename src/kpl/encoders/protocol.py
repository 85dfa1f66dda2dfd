"""What an encoder is: a card that says what it is and does, and four things it can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from kpl.errors import InputError

LoaderName = Literal["onnx", "openvino", "openclip", "transformers", "adapter"]
UNKNOWN: Final = {"intended_use": "what its own documents say", "licence": "unknown to KPL: read its own documents"}
"""Of a model of which only its files are known."""


class HubSource(BaseModel):
    """One repository of a model hub that an encoder is made of, and the folder of the encoder that holds its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hub_id: str
    """ORGANISATION/NAME."""
    revision: str = ""
    """The commit that was fetched, 40 hexadecimal digits; empty until then, never written from memory."""
    folder: Literal["weights", "text"] = "weights"
    """`weights` for the model's own files; `text` for a second repository with the text tower's configuration and
    tokenizer."""


class _Known(BaseModel):
    """What can be said of an encoder before any file of it is there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    intended_use: str
    limits: str = ""
    licence: str
    gate: str = ""
    """What the hub asks for before it hands the files out, in one sentence; empty when nothing."""
    modalities: tuple[str, ...] = ()
    """Kinds of pictures it was made for; empty when it was made for any."""
    loader: LoaderName
    """Which of the loaders reads its files."""
    sources: tuple[HubSource, ...] = ()
    """Where its files come from; empty for a folder of one's own."""
    remote_code: bool = False
    """It cannot be loaded without running Python code that lies beside its weights."""
    activation: Literal["", "gelu", "quick_gelu"] = ""
    """The activation its weights were trained with, where that is known; a configuration that says otherwise is
    refused."""
    mpp: float | None = Field(default=None, gt=0)
    """Microns per pixel of the tiles it was made for, where its authors state them; slides are then read at these."""
    head: Literal["softmax", "sigmoid"]
    """What turns logits into probabilities in its training."""
    traps: tuple[str, ...] = ()
    """What has gone wrong for others, one sentence each."""

    @property
    def terms(self) -> str:
        """Licence and gate in one sentence."""
        return f"licence: {self.licence}" + (f"; {self.gate[0].lower()}{self.gate[1:]}" if self.gate else "")


class CatalogueEntry(_Known):
    """An encoder that KPL knows by name, before any of its files is there: `encoders/catalogue/*.yaml`.

    What its files say wins over `context_length` and `image_size` here; a difference between them is refused, because
    then the files are not those of this model.
    """

    context_length: int = Field(default=0, ge=0)
    """Tokens of a sentence that are read; 0 when not known."""
    image_size: int = Field(default=0, ge=0)
    """Pixels, both sides; 0 when not known."""
    megabytes: int = Field(default=0, ge=0)
    """About how much is fetched; 0 when not known."""
    architecture: str = ""
    """OpenCLIP's name of the architecture, for weights that come without a configuration of their own."""
    tag: str = ""
    """OpenCLIP's name of the weights."""
    regions: tuple[str, ...] = ()
    """Parts of the body it was taught on."""
    pictures: tuple[str, ...] = ()
    """Kinds of pictures it was taught on."""
    verified: str = ""
    """What of this entry was verified, and how."""
    preparation: Mapping[str, Any] = Field(default_factory=dict)
    """Fields of a card that say how pictures are prepared, of a model whose files do not."""


class EncoderCard(_Known):
    """What an encoder says of itself: what shapes its features, and what to know before trusting it."""

    files: Mapping[str, str]
    """Path in the encoder's folder of each file it is made of, with its SHA-256."""

    @field_validator("files")
    @classmethod
    def _within(cls, files: Mapping[str, str]) -> Mapping[str, str]:
        """Refuse a file that does not lie in the encoder's folder."""
        for name in files:
            parts = PurePosixPath(name).parts
            if not parts or {"..", "/"} & set(parts) or "\\" in name or ":" in name or "\0" in name:
                raise ValueError(f"{name[:80]!r} leads out of the encoder's folder")
        return files

    dim: int = Field(gt=0)
    """Columns of a feature."""
    context_length: int = Field(gt=0)
    """Tokens of a sentence that are read, special tokens included."""
    padding: Literal["longest", "max_length"] = "longest"
    """Sentences are padded to the longest of a batch, or always to `context_length`."""
    image_size: int = Field(gt=0)
    """Pixels, both sides, of the picture that the image tower reads; with `resize` patches, of a square one."""
    resize: Literal["squash", "shortest", "longest", "patches", "own"]
    """Both sides to `resize_to`; or the shorter, or the longer side, keeping the proportions; or to whole patches of
    `patch_size`, as many as `image_size` has, keeping the proportions about; or by the model's own code."""
    patch_size: int = Field(default=0, ge=0)
    """Pixels, both sides, of a patch, where `resize` is patches."""
    resize_to: int = Field(default=0, ge=0)
    """Pixels of that side; 0 for `image_size`."""
    crop: Literal["none", "center", "center_round"] = "none"
    """Take the middle of `image_size`, padded with `fill` where the picture is smaller; when one row or column is left
    over `center` starts at the floor of the middle and `center_round` at the nearest even number to it."""
    fill: int = Field(default=0, ge=0, le=255)
    """Grey of the padding."""
    interpolation: Literal["bicubic", "bilinear", "nearest", "lanczos", "box", "hamming"]
    """Pillow's filter."""
    mean: tuple[float, float, float]
    """Of red, green and blue in 0..1, subtracted."""
    std: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
    """Of red, green and blue in 0..1, divided by."""

    text_cleaning: Literal["tokenizer", "lower", "canonicalize"] = "tokenizer"
    """What is done to a sentence: what its tokenizer does and no more; or letters are lowered before it; or letters
    are lowered and punctuation is taken out."""

    logit_scale: float = Field(gt=0)
    logit_bias: float = 0.0
    tolerance: float = Field(default=1e-4, gt=0)
    """Largest difference in any column from the golden vectors that counts as equal."""

    read_from: Mapping[str, str] = Field(default_factory=dict)
    """Where each fact above was read; of one that is not named here it was not noted."""

    training_data: str = ""
    recipe: str = ""
    figures: str = ""


def check_sentences(sentences: object) -> None:
    """Refuse one string in the place of several: its letters would be read one by one.

    Raises:
        InputError: it is a string.
    """
    if isinstance(sentences, str | bytes):
        raise InputError(f"sentences come as a list, got one string: write [{str(sentences)[:60]!r}]")


def check_lengths(sentences: Sequence[str], lengths: Sequence[int], card: EncoderCard) -> None:
    """Refuse sentences that an encoder would not read to their end.

    Raises:
        InputError: a sentence is too long; says which, its tokens, and what to do.
    """
    over = [k for k, length in enumerate(lengths) if length > card.context_length]
    if over:
        worst = max(over, key=lambda k: lengths[k])
        raise InputError(
            f"{len(over)} of {len(sentences)} sentences too long for {card.name!r}, which reads {card.context_length} "
            f"tokens: sentence {worst + 1} has {lengths[worst]}, nothing is cut; shorten or split "
            f"{sentences[worst][:60]!r}"
        )


class FromCard:
    """What every encoder that KPL loads says of itself as its card has it."""

    card: EncoderCard

    @property
    def logit_scale(self) -> float:
        """Factor from cosines to logits."""
        return self.card.logit_scale

    @property
    def logit_bias(self) -> float:
        """Added to the logits."""
        return self.card.logit_bias

    @property
    def context_length(self) -> int:
        """Tokens of a sentence that are read."""
        return self.card.context_length


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


@dataclass(frozen=True)
class Traits:
    """What an encoder may say of itself besides, in attributes of these names; what it leaves out is as here.

    Attributes:
        call_size: pictures worth handing over in one call
        numerics: what features depend on beside the encoder's identity; where it is empty no text feature is kept
        independent_texts: a sentence's row is the same, bit for bit, whatever sentences are encoded with it
    """

    call_size: int = 32
    numerics: str = ""
    independent_texts: bool = False

    @classmethod
    def of(cls, encoder: Encoder) -> Traits:
        """Ask an encoder."""
        said: dict[str, Any] = {each.name: getattr(encoder, each.name, each.default) for each in fields(cls)}
        return cls(**said)


@runtime_checkable
class PatchEncoder(Encoder, Protocol):
    """An encoder that also tells what is where in a picture.

    Most vision transformers can; an encoder that cannot has no such method.
    """

    def encode_patches(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode the patches of (height, width, 3) pictures of 0..255 into (n, rows, columns, d) unit rows.

        They lie in the space of the image features. The grid lies over the square that the image tower reads, which
        the card's resize and crop make of a picture.
        """
        ...
