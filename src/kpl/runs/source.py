"""Where the image features of a run come from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from kpl.embeddings import (
    FeatureFolder,
    embed_in_place,
    hash_pictures,
    is_feature_folder,
    is_unfinished_folder,
    open_features,
    recorded_encoder,
)
from kpl.embeddings.layout import INDEX_NAME
from kpl.encoders import Encoder, EncoderCard, load_card
from kpl.errors import EncoderError, InputError
from kpl.images import Asked, Found, Pictures, find_given, find_inputs
from kpl.knowledge import KnowledgeBase, Task, check_tokens
from kpl.progress import Counted, Progress
from kpl.proxies.pooling import DEFAULT_POOL, SLIDE_POOL, Pool
from kpl.runs.folder import FEATURES_FOLDER
from kpl.runs.warnings import misfit
from kpl.tables import Wanted

DEFAULT_ENCODER = "mini"


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

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how the pictures were found."""
        return self.found.notes if self.found else ()

    def pool(self, asked: str | None, task: Task) -> str | None:
        """Return how scores are pooled; None where every picture stands for itself.

        Without being asked, what every instance shows by its mean, else by what finds it in a few; of slides by what
        finds it in a share of the tiles.

        Raises:
            InputError: no such pool, or nothing to pool.
        """
        if self.folder is not None:
            plain = self.folder.plain
            kinds = set() if plain else {unit.kind for unit in self.folder.index.units or ()}
        else:
            kinds = {unit.kind for unit in self.found.units} if self.found else set()
            plain = kinds <= {"image"}
        if plain and asked is not None:
            raise InputError("--pool is for units of several pictures, and every picture here stands for itself")
        usual = "mean" if task.finding == "everywhere" else SLIDE_POOL if kinds == {"slide"} else DEFAULT_POOL
        return None if plain else Pool(asked or usual).name

    @classmethod
    def of(
        cls,
        inputs: Pictures,
        batch_size: int | None = None,
        workers: int | None = None,
        asked: Asked | None = None,
        task: Task | None = None,
        table: str | Path | None = None,
        reading: Wanted | None = None,
        card: Callable[[], EncoderCard] | None = None,
        progress: Progress | None = None,
    ) -> Source:
        """Look at the inputs of a run; nothing is read yet but headers. The task may say how units are read.

        The `card` of the encoder, asked for where there are slides, says how large their tiles are; `progress` is told
        how many slides are looked at.

        With a `table`, those that it names are meant; `reading` says which of its columns are which.
        """
        how = asked_of(task, asked, card, progress)
        inputs = () if inputs is None and table is not None else inputs
        by_path = isinstance(inputs, str | Path | list | tuple) and _paths(inputs)
        paths = (inputs,) if isinstance(inputs, str | Path) else tuple(inputs) if by_path else ()
        if table is not None and (not by_path or any(is_feature_folder(path) for path in paths)):
            raise InputError("--table chooses among files: give folders or files of pictures, or the table alone")
        if isinstance(inputs, FeatureFolder):
            return cls(folder=inputs)
        if not by_path:
            return cls(find_given(inputs, how), batch_size=batch_size, workers=workers)
        if len(paths) == 1 and (is_feature_folder(paths[0]) or is_unfinished_folder(paths[0])):
            if batch_size or workers:
                raise InputError(f"{str(paths[0])!r} is embedded already: leave --batch-size and --workers out")
            if asked is not None:
                raise InputError(
                    f"{str(paths[0])!r} is embedded already: how pictures are read (--window, --slices, --frames, "
                    "--array, --mpp, --slide-mpp, --tissue, --ids) is for kpl embed"
                )
            return cls(folder=open_features(paths[0]))
        if any(is_feature_folder(path) for path in paths):
            raise InputError("a feature folder cannot be mixed with other inputs: classify it alone")
        return cls(find_inputs(paths, how, table=table, reading=reading), batch_size=batch_size, workers=workers)

    def features(
        self, encoder: Encoder, target: Path, progress: Counted, *, old: str | Path | None = None
    ) -> FeatureFolder:
        """Bring the features into the folder `target`: embedded, or copied; known rows of the run `old` are kept."""
        if self.folder is not None:
            if target.resolve() != self.folder.path.resolve():  # the features that an interrupted run left
                _copy_features(self.folder, target)
            return open_features(target)
        found = self.found or find_inputs([])
        return embed_in_place(
            found.pictures,
            encoder,
            target,
            old=Path(old) / FEATURES_FOLDER if old else None,
            units=found.units,
            asked=found.asked,
            batch_size=self.batch_size,
            workers=self.workers,
            set_aside=found.set_aside,
            progress=progress,
        )

    def encoder(self, name: str | Encoder | None, base: KnowledgeBase) -> Encoder:
        """Load the encoder of a run and refuse one that does not fit the features or the knowledge.

        Raises:
            EncoderError, KnowledgeError: it does not fit.
        """
        folder = self.folder
        made_with = folder.index.encoder_name if folder else DEFAULT_ENCODER
        encoder = recorded_encoder(made_with, folder.check_encoder if folder else lambda _identity: None, name)
        if name is None and (why := misfit(base, encoder)):
            raise EncoderError(
                f"{why}: choose an encoder made for it with --encoder, state task.modality in the knowledge file, or "
                f"insist with --encoder {encoder.card.name}"
            )
        check_tokens(base, encoder.count_tokens, encoder.context_length)
        return encoder

    def pictures_hash(self, encoder: Encoder) -> str:
        """Hash the pictures as the index of their features does."""
        if self.folder is not None:
            return self.folder.index.pictures_sha256
        return hash_pictures(self.found.pictures if self.found else [], encoder)


def asked_of(
    task: Task | None,
    asked: Asked | None,
    card: Callable[[], EncoderCard] | None = None,
    progress: Progress | None = None,
) -> Asked:
    """Add what a knowledge base and an encoder say of reading to what was asked, which goes before it."""

    def suits() -> tuple[int, float | None]:
        own = (card or partial(card_of, None))()
        return own.image_size, own.mpp

    asked = replace(asked or Asked(), suits=suits, progress=partial(progress, "slides") if progress else None)
    return asked if task is None else replace(asked, ct_window=task.window)


def card_of(encoder: str | Encoder | None) -> EncoderCard:
    """Return the card of an encoder, of the default one where none is named; nothing but the card is loaded.

    Raises:
        EncoderError: there is no such encoder.
    """
    return load_card(encoder or DEFAULT_ENCODER) if isinstance(encoder, str | None) else encoder.card


def _paths(inputs: str | Path | Sequence[object]) -> bool:
    return isinstance(inputs, str | Path) or all(isinstance(each, str | Path) for each in inputs)


def _copy_features(folder: FeatureFolder, target: Path) -> None:
    """Copy the files that the index lists; whatever else lies in the folder, perhaps this very run, stays there."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    listed = [name for shard in folder.index.shards for name in (shard.array, shard.pictures)]
    for name in (*listed, INDEX_NAME):
        shutil.copyfile(folder.path / name, target / name)
