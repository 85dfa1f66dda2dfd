"""Opening a finished feature folder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings.files import sha256_of_file
from kpl.embeddings.layout import INDEX_NAME, EmbeddedPicture, Index, Shard, ShardEntry, is_own_file, read_model
from kpl.embeddings.rows import CHUNK_ROWS, FeatureRows, map_array, unit_rows
from kpl.embeddings.stores import fetched, is_store
from kpl.embeddings.units import Units
from kpl.errors import EncoderError, FeaturesError
from kpl.images import Asked, SetAside


class FeatureFolder(FeatureRows):
    """The features of pictures, as `kpl embed` wrote them: a re-iterable source of chunks that knows the pictures.

    Attributes:
        path: the folder
        n: pictures that have features
        d: columns
        index: what the folder says of itself
        reused: rows that were there already when it was made just now
        url: of the store that it was brought from; None where it was not
    """

    def __init__(self, path: Path, index: Index, *, reused: int = 0, url: str | None = None) -> None:
        """Map the arrays that the index lists; `open_features` is the way in."""
        self.path = path
        self.index = index
        self.reused = reused
        self.url = url
        super().__init__([path / shard.array for shard in index.shards if shard.rows])
        if (self.n, self.d) != (index.rows, index.dim):
            said, found = f"{index.rows} x {index.dim}", f"{self.n} x {self.d}"
            raise FeaturesError(f"{str(path)!r}: the index says {said} values, the files hold {found}: embed again")

    @property
    def encoder(self) -> str:
        """Identity of the encoder: its name and a hash."""
        return self.index.encoder

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Files that have no features, with their reasons."""
        return tuple(SetAside(item.id, item.reason) for item in self.index.set_aside)

    @property
    def asked(self) -> Asked:
        """What was asked of the readers of the pictures.

        Raises:
            FeaturesError: the index says what nobody can ask.
        """
        try:
            return Asked(**self.index.asked or {})
        except TypeError as error:
            raise FeaturesError(f"{str(self.path / INDEX_NAME)!r} is of another version: embed again") from error

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Ids of the pictures, one a row."""
        return tuple(picture.id for picture in self.pictures())

    @cached_property
    def groups(self) -> tuple[str | None, ...]:
        """Groups of the pictures, one a row; None where nobody said."""
        return tuple(picture.group for picture in self.pictures())

    @cached_property
    def of_units(self) -> Units:
        """The units that the rows make up.

        Raises:
            FeaturesError: the rows of a unit do not stand together.
        """
        return Units.of(self.pictures, self.index.units)

    @property
    def plain(self) -> bool:
        """Whether every picture stands for itself."""
        return all(unit.kind == "image" for unit in self.index.units or ())

    @property
    def units(self) -> NDArray[np.intp]:
        """The unit of each row, (n,)."""
        return self.of_units.of_rows

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """How much each row counts in what is learnt, (n,); None where every row is a unit of its own content."""
        return self.of_units.weights

    def check_encoder(self, identity: str) -> None:
        """Refuse another encoder than the one that the features are of.

        Raises:
            EncoderError: the identity is not theirs.
        """
        if self.encoder != identity:
            raise EncoderError(
                f"{str(self.path)!r} was made with {self.encoder}, not with {identity}: leave --encoder out, or embed "
                "the pictures again"
            )

    def only(self, rows: NDArray[np.intp]) -> FeatureFolder:
        """Return some rows, rising, as features of their own; every picture stands for itself."""
        return _SomeRows(self, rows)

    def pictures(self) -> Iterator[EmbeddedPicture]:
        """Yield the pictures, one a row, each with its id, group and content hash; one shard is held at a time."""
        for shard in self.index.shards:
            for picture in read_model(Shard, self.path / shard.pictures).pictures:
                if picture.reason is None:
                    yield picture


class _SomeRows(FeatureFolder):
    """Some rows of a feature folder, in its order."""

    def __init__(self, folder: FeatureFolder, rows: NDArray[np.intp]) -> None:
        super().__init__(folder.path, folder.index)
        self._rows = rows
        self.n = len(rows)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yield the rows, those of a file together."""
        for shard, own in self._by_shard():
            path = self.path / shard.array
            for part in range(0, len(own), CHUNK_ROWS):
                yield unit_rows(map_array(path)[own[part : part + CHUNK_ROWS]], f"{str(path)!r}")

    def pictures(self) -> Iterator[EmbeddedPicture]:
        """Yield the pictures of the rows, which are held once they were read."""
        return iter(self._held)

    @cached_property
    def _held(self) -> list[EmbeddedPicture]:
        found = []
        for shard, own in self._by_shard():
            good = [each for each in read_model(Shard, self.path / shard.pictures).pictures if each.reason is None]
            found += [good[row] for row in own.tolist()]
        return found

    def _by_shard(self) -> Iterator[tuple[ShardEntry, NDArray[np.intp]]]:
        start = 0
        for shard in self.index.shards:
            own = self._rows[slice(*np.searchsorted(self._rows, [start, start + shard.rows]))] - start
            start += shard.rows
            if len(own):
                yield shard, own


def open_features(path: str | Path, *, verify: bool = True) -> FeatureFolder:
    """Open a feature folder for reading.

    Args:
        path: the folder that `kpl embed` wrote, or its address in a store, from which it is brought here.
        verify: compare every file with the hash in the index; reads each once.

    Raises:
        FeaturesError: it is no feature folder, unfinished, or a file is missing or was changed.
    """
    url = str(path) if is_store(path) else None
    path = fetched(url) if url else Path(path)
    if not is_feature_folder(path):
        raise FeaturesError(
            f"{str(path)!r} is no finished feature folder (it has no {INDEX_NAME}): "
            "make one with `kpl embed`, or run the same `kpl embed` again to finish it"
        )
    index = read_model(Index, path / INDEX_NAME)
    if verify:
        for shard in index.shards:
            for name, expected in ((shard.array, shard.array_sha256), (shard.pictures, shard.pictures_sha256)):
                verify_file(path / name, expected)
    return FeatureFolder(path, index, url=url)


def is_feature_folder(path: str | Path) -> bool:
    """Say whether a folder looks like a finished feature folder, without reading it; in a store nothing else is."""
    if is_store(path):
        return True
    # A folder of pictures may have an index.json of its own.
    return (Path(path) / INDEX_NAME).is_file() and any(Path(path).glob("images-*.json"))


def is_unfinished_folder(path: str | Path) -> bool:
    """Say whether a folder holds features that a stopped `kpl embed` left, without reading it."""
    path = Path(path)
    return not (path / INDEX_NAME).exists() and any(is_own_file(p.name) for p in path.glob("images-*.npy*"))


def verify_file(path: Path, expected: str) -> None:
    """Compare a file with its hash in the index.

    Raises:
        FeaturesError: it is missing or another.
    """
    try:
        found = sha256_of_file(path)
    except OSError as error:
        raise FeaturesError(f"cannot read {str(path)!r}: {error.strerror}. Run the same `kpl embed` again") from error
    if found != expected:
        raise FeaturesError(f"{str(path)!r} is not the file the index lists (its hash differs): run `kpl embed` again")
