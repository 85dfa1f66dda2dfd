"""Where the image features of a run come from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kpl.embeddings import (
    FeatureFolder,
    embed_in_place,
    hash_pictures,
    is_feature_folder,
    is_unfinished_folder,
    open_features,
)
from kpl.embeddings.layout import INDEX_NAME
from kpl.encoders import Encoder
from kpl.errors import InputError
from kpl.images import Found, Pictures, find_given, find_pictures

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """Where image features come from: pictures to embed, or a folder of features.

    Attributes:
        found, folder: one of the two is there.
        batch_size, workers: for embedding; None takes what suits the encoder and the machine.
    """

    found: Found | None = None
    folder: FeatureFolder | None = None
    batch_size: int | None = None
    workers: int | None = None

    @property
    def other_files(self) -> int:
        """Files beside the pictures that were passed over."""
        return self.found.other_files if self.found else 0

    @classmethod
    def of(cls, inputs: Pictures, batch_size: int | None = None, workers: int | None = None) -> Source:
        """Look at the inputs of a run; nothing is read yet."""
        if isinstance(inputs, FeatureFolder):
            return cls(folder=inputs)
        if not isinstance(inputs, str | Path | list | tuple) or not _paths(inputs):
            return cls(find_given(inputs), batch_size=batch_size, workers=workers)
        paths = (inputs,) if isinstance(inputs, str | Path) else tuple(inputs)
        if len(paths) == 1 and (is_feature_folder(paths[0]) or is_unfinished_folder(paths[0])):
            if batch_size or workers:
                raise InputError(f"{str(paths[0])!r} is embedded already: leave --batch-size and --workers out")
            return cls(folder=open_features(paths[0]))
        if any(is_feature_folder(path) for path in paths):
            raise InputError("a feature folder cannot be mixed with other inputs: classify it alone")
        return cls(find_pictures(paths), batch_size=batch_size, workers=workers)

    def features(self, encoder: Encoder, target: Path, progress: Callable[[int, int], None]) -> FeatureFolder:
        """Bring the features into the folder `target`: embedded, or copied."""
        if self.folder is not None:
            if target.resolve() != self.folder.path.resolve():  # the features that an interrupted run left
                _copy_features(self.folder, target)
            return open_features(target)
        pictures, set_aside, _ = self.found or find_pictures([])
        return embed_in_place(
            pictures,
            encoder,
            target,
            batch_size=self.batch_size,
            workers=self.workers,
            set_aside=set_aside,
            progress=progress,
        )

    def pictures_hash(self, encoder: Encoder) -> str:
        """Hash the pictures as the index of their features does."""
        if self.folder is not None:
            return self.folder.index.pictures_sha256
        return hash_pictures(self.found.pictures if self.found else [], encoder)


def _paths(inputs: str | Path | Sequence[object]) -> bool:
    return isinstance(inputs, str | Path) or all(isinstance(each, str | Path) for each in inputs)


def _copy_features(folder: FeatureFolder, target: Path) -> None:
    """Copy the files that the index lists; whatever else lies in the folder, perhaps this very run, stays there."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    listed = [name for shard in folder.index.shards for name in (shard.array, shard.pictures)]
    for name in (*listed, INDEX_NAME):
        shutil.copyfile(folder.path / name, target / name)
