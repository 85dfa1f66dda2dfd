"""The feature folder on disk.

    index.json         what the folder is: encoder, settings, shards with their hashes, files set aside. Written last:
                       a folder without it is a working folder, from which embedding goes on
    images-00000.npy   (rows, d) unit rows, one for every picture of the shard that could be read
    images-00000.json  the shard's pictures in order, with group and content hash, or the reason for which one was set
                       aside. Written after the array: a shard without it is unfinished

Nothing in these files depends on the time or on where the pictures lie: the same inputs give the same bytes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from kpl.bounded import read_bounded
from kpl.errors import FeaturesError

INDEX_NAME = "index.json"
_OWN_FILE = re.compile(
    r"index\.json|images-\d{5,}\.(npy|json)|"
    r"\.images-\d{5,}\.(npy|json)\.([0-9a-f]{8}\.)?(partial|writing|lock)|"  # of stopped processes
    r"\.index\.json\.(partial|writing)"
)


class Stored(BaseModel):
    """What is kept in a file: nothing that is not said here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EmbeddedPicture(Stored):
    """One picture of a shard; with a reason it was set aside and has no row."""

    id: str
    unit: str | None = None
    """What it is an instance of; None for a picture that stands for itself."""
    group: str | None = None
    frame: int | None = None
    place: tuple[int, int, int] | None = None
    """Of a tile of a slide (x, y, level), x and y in pixels of the finest level."""
    source: tuple[str, str | None] | None = None
    """Pseudonyms of the file's path and of the instance, of medical files."""
    sha256: str | None = None
    """Of the file's bytes, and of a frame how it is read; None when they could not be read."""
    reason: str | None = None
    note: str | None = None
    """What a user should know of how it was read, or of what it holds."""
    look: str | None = None
    """Of a picture that stands for itself, for finding near-duplicates: `kpl.images.look_of`."""


class StoredUnit(Stored):
    """A unit as the index lists it: what of `kpl.images.Unit` a run tells."""

    id: str
    kind: str
    patient: str | None = None
    study: str | None = None
    series: str | None = None
    notes: tuple[str, ...] = ()
    reading: dict[str, Any] = {}
    tissue: str | None = None
    """Of a slide its outlines as GeoJSON, in pixels of the finest level."""


class Shard(Stored):
    """What lies beside a shard's array."""

    kpl_features: Literal[1] = 1
    encoder: str
    settings: str
    array_sha256: str
    pictures: tuple[EmbeddedPicture, ...]

    @property
    def rows(self) -> int:
        """Count the pictures that have a row."""
        return sum(picture.reason is None for picture in self.pictures)


def _own_file(name: str) -> str:
    if not is_own_file(name):
        raise ValueError("names a file that is none of a feature folder")
    return name


class ShardEntry(Stored):
    """A shard as the index lists it."""

    array: Annotated[str, AfterValidator(_own_file)]
    array_sha256: str
    pictures: Annotated[str, AfterValidator(_own_file)]
    pictures_sha256: str
    rows: int = Field(ge=0)


class LeftOut(Stored):
    """A file that has no features, and why."""

    id: str
    reason: str


class Index(Stored):
    """What a finished feature folder says of itself."""

    kpl_features: Literal[1] = 1
    encoder_name: str
    encoder: str
    """Name and hash of everything that shapes a feature: `kpl.embeddings.encoder_identity`."""
    settings: str
    """Hash of the settings of the embedding."""
    dtype: Literal["float32", "float16"]
    rows: int
    dim: int
    pictures_sha256: str
    """One hash over ids, places and content hashes of all pictures: a sum, so that parts of it can be added up."""
    shards: tuple[ShardEntry, ...]
    set_aside: tuple[LeftOut, ...] = ()
    units: tuple[StoredUnit, ...] | None = None
    """Those that the rows make up, in order; None where every picture stands for itself."""
    asked: dict[str, Any] | None = None
    """What was asked of the readers, where that is not as usual: so pictures are read when they are opened again."""


Model = TypeVar("Model", bound=Stored)


def shard_names(number: int) -> tuple[str, str]:
    """Name the array and the picture list of a shard.

    Example:
        >>> shard_names(3)
        ('images-00003.npy', 'images-00003.json')
    """
    return f"images-{number:05d}.npy", f"images-{number:05d}.json"


def is_own_file(name: str) -> bool:
    """Say whether a file of this name belongs to the layout, temporary ones included."""
    return _OWN_FILE.fullmatch(name) is not None


def json_bytes(model: BaseModel) -> bytes:
    """Turn a model into the bytes of its file: JSON with a line per value, so that two folders can be compared."""
    return (model.model_dump_json(indent=1, exclude_none=True) + "\n").encode()


def read_model(kind: type[Model], path: Path) -> Model:
    """Read one of the JSON files above.

    Raises:
        FeaturesError: it is missing, damaged, or of another version.
    """
    try:
        return kind.model_validate_json(read_bounded(path))
    except OSError as error:
        raise FeaturesError(f"cannot read {str(path)!r}: {error.strerror}. Run `kpl embed` again to make it") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise FeaturesError(
            f"{str(path)!r} is damaged or of another version: {where}: {first['msg']}. Run `kpl embed` again"
        ) from error
