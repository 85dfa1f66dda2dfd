"""A finished run: the one place that knows what it says. Report, page, tables, scores and notebook ask it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import FeatureFolder, TextCache, embed_texts, open_features, recorded_encoder
from kpl.encoders import Encoder
from kpl.errors import EncoderError, InputError
from kpl.images import SetAside
from kpl.knowledge import KnowledgeBase
from kpl.methods import Method
from kpl.runs.folder import FEATURES_FOLDER, copy_run
from kpl.runs.notebook import result_html
from kpl.runs.predictions import Findings, Prediction, Predictions, PresencePredictions
from kpl.runs.texts import wanted_prompts
from kpl.runs.thumbnails import find_thumbnails, read_thumbnails

if TYPE_CHECKING:
    import pandas
    import polars

__all__ = ["Run"]


@dataclass(frozen=True, eq=False)
class Run(ABC):
    """A finished run; `SingleLabelRun` and `MultiLabelRun` are its kinds.

    Iterating over it gives what it says of one picture after the other.

    Attributes:
        path: the folder.
        summary: what `run.json` says.
        knowledge: as it was used.
        features: of the images, a re-iterable source of chunks.
        descriptions: per class (m_c, d).
        name_features: (C, d) of the class-name prompts.
        seconds: that the run took from start to end, if it was made just now; `embed_seconds` of these for reading and
            embedding pictures, None if the features were there already.
    """

    path: Path
    summary: dict[str, Any] = field(repr=False)
    knowledge: KnowledgeBase = field(repr=False)
    features: FeatureFolder = field(repr=False)
    descriptions: list[NDArray[np.float32]] = field(repr=False)
    name_features: NDArray[np.float32] = field(repr=False)
    seconds: float | None = field(default=None, repr=False)
    embed_seconds: float | None = field(default=None, repr=False)
    _kept: object = field(default=None, repr=False)
    """Holds a temporary folder for as long as the run is used."""

    @property
    @abstractmethod
    def predictions(self) -> Predictions | PresencePredictions:
        """What the run says of each picture: a sequence, and arrays.

        Raises:
            FeaturesError: a file is missing or damaged.
        """

    @property
    @abstractmethod
    def warnings(self) -> tuple[str, ...]:
        """What to know before believing the run."""

    @property
    @abstractmethod
    def shown(self) -> list[int]:
        """Rows of the pictures that a report may show."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What was run, in a few words."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is said below the table of a notebook."""
        return tuple(self.summary["warnings"])

    @abstractmethod
    def ranking(self) -> list[list[int]]:
        """Return of each class the rows that went to it, the surest first."""

    def __iter__(self) -> Iterator[Prediction | Findings]:
        """Begin with the first picture."""
        return iter(self.predictions)

    def __len__(self) -> int:
        """Pictures."""
        return self.n

    @property
    def n(self) -> int:
        """Pictures that were read."""
        return int(self.features.n)

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the pictures, (n,)."""
        return self.features.ids

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Of the classes, in order."""
        return tuple(entry.key for entry in self.knowledge.classes)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Of the classes, in order."""
        return tuple(entry.name for entry in self.knowledge.classes)

    @property
    def plan(self) -> dict[str, Any]:
        """Everything that decided the numbers of the run."""
        plan: dict[str, Any] = self.summary["plan"]
        return plan

    @property
    def predictions_file(self) -> Path:
        """Where the predictions are, for people and spreadsheets."""
        return self.path / "predictions.csv"

    @property
    def method_name(self) -> str:
        """The method's name."""
        return str(self.plan["method"])

    @property
    def encoder_name(self) -> str:
        """The encoder's name."""
        return str(self.summary["encoder"]["name"])

    @property
    def counts(self) -> dict[str, int]:
        """Class key to the number of pictures with that label."""
        return dict(self.summary["classes"])

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Files without a prediction, with their reasons."""
        return tuple(SetAside(item["image"], item["reason"]) for item in self.summary["set_aside"])

    @cached_property
    def images(self) -> NDArray[np.float32]:
        """Features of the pictures, (n, d) unit rows in memory."""
        return self.features.load()

    @cached_property
    def thumbnails(self) -> dict[int, bytes]:
        """Row to a small picture, WebP, of those that the run kept."""
        return read_thumbnails(self.path)

    def with_pictures(self, folder: str | Path) -> Self:
        """Make the thumbnails that the run did not keep from where the pictures are now; return the run.

        A picture counts only if its bytes are those that were classified.
        """
        known = [(picture.id, picture.sha256) for picture in self.features.pictures()]
        self.thumbnails.update(find_thumbnails(Path(folder), known, self.shown, self.thumbnails))
        return self

    def encoder(self, given: str | Encoder | None = None) -> Encoder:
        """Return the encoder of the run.

        Args:
            given: where it is, if not where its name says; or itself.

        Raises:
            EncoderError: it is not here, or is another one than the run used.
        """

        def check(identity: str) -> None:
            if identity != self.plan["encoder"]:
                raise EncoderError(
                    f"the run used {self.plan['encoder']}, and here is {identity}: bring that one, or say where it is "
                    "with --encoder"
                )

        return recorded_encoder(self.encoder_name, check, given)

    def texts(self, method: Method, *, encoder: str | Encoder | None = None) -> list[NDArray[np.floating]]:
        """Return a method's texts, (m_c, d) a class: as the run stored them, or read anew by the run's encoder.

        Raises:
            EncoderError: the encoder is needed, and is not here or is another one than the run used.
        """
        if method.reads == "descriptions":
            return list(self.descriptions)
        if method.reads == "names":
            return [row[None] for row in self.name_features]
        return list(embed_texts(wanted_prompts(method, self.knowledge), self.encoder(encoder), cache=TextCache()))

    def save(self, path: str | Path, *, overwrite: bool = False) -> Self:
        """Write the run as a folder, and return it from there.

        Raises:
            OutputError: the folder exists and is not to be replaced, is no run, or cannot be written.
        """
        copy_run(self.path, Path(path), overwrite=overwrite)
        return replace(self, path=Path(path), features=open_features(Path(path) / FEATURES_FOLDER), _kept=None)

    def to_pandas(self) -> pandas.DataFrame:
        """Return the predictions as a pandas DataFrame, with the columns of predictions.csv, not rounded.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise InputError("to_pandas needs pandas, which is not installed: pip install pandas") from error
        return DataFrame(self.predictions.columns())

    def to_polars(self) -> polars.DataFrame:
        """Return the predictions as a polars DataFrame, with the columns of predictions.csv, not rounded.

        Raises:
            InputError: polars is not installed.
        """
        try:
            from polars import DataFrame
        except ImportError as error:
            raise InputError("to_polars needs polars, which is not installed: pip install polars") from error
        return DataFrame(self.predictions.columns())

    def _repr_html_(self) -> str:
        return result_html(self)
