"""A finished run: the one place that knows what it says. Report, page, tables, scores and notebook ask it."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import FeatureFolder, TextCache, embed_texts, open_features, recorded_encoder
from kpl.encoders import Encoder
from kpl.errors import EncoderError, FeaturesError, InputError, OutputError, UnknownNameError
from kpl.images import Instance, SetAside
from kpl.knowledge import KnowledgeBase
from kpl.methods import Method
from kpl.proxies.arrays import Floats
from kpl.proxies.pooling import DEFAULT_POOL
from kpl.runs.folder import FEATURES_FOLDER, copy_run
from kpl.runs.notebook import result_html
from kpl.runs.predictions import Findings, MultiLabelPredictions, Prediction, Predictions
from kpl.runs.site import Site
from kpl.runs.tables import as_pandas, predictions_place, read_key_instances, read_unit_columns, write_as_csv
from kpl.runs.texts import wanted_prompts
from kpl.runs.thumbnails import THUMBNAIL_SIDE, find_again, make_thumbnails, read_thumbnails
from kpl.runs.units import Pooling, identified, strip
from kpl.runs.whole import Whole

if TYPE_CHECKING:
    import pandas
    import polars

At = TypeVar("At")


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
        whole: of what this is a sample, see `kpl.runs.sampling`; None where it is no sample.
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
    whole: Whole | None = field(default=None, repr=False)
    _kept: object = field(default=None, repr=False)
    """Holds a temporary folder for as long as the run is used."""

    @property
    @abstractmethod
    def predictions(self) -> Predictions | MultiLabelPredictions:
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
    def shown(self) -> dict[int, int]:
        """Rows of the pictures that a report may show, and the pixels of their longer side."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What was run, in a few words."""

    @property
    @abstractmethod
    def left_out(self) -> tuple[str, ...]:
        """Of how many pictures no class is said, in words; nothing where every picture has one."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is said below the table of a notebook."""
        return (*self.left_out, *self.summary["warnings"])

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
        """What was decided on: pictures, or units of several."""
        return len(self.summary.get("units") or ()) or int(self.features.n)

    @property
    def total(self) -> int:
        """How much the run decided on, also where this is a sample of it."""
        return self.whole.n if self.whole else self.n

    @property
    def _sample(self) -> NDArray[np.intp] | None:
        return self.whole.rows if self.whole else None

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the pictures, or units, (n,)."""
        return self.features.of_units.ids

    @property
    def counted(self) -> str:
        """How much was decided on, in words."""
        parts = {"unit": self.n, "picture": self.features.n} if self.noun == "units" else {"picture": self.total}
        return " of ".join(f"{n} {name}{'s' * (n != 1)}" for name, n in parts.items())

    @property
    def noun(self) -> str:
        """What is decided on, in a word: pictures, or units of several."""
        return "units" if self.summary.get("units") else "pictures"

    @cached_property
    def pooling(self) -> Pooling:
        """How the scores of a unit's pictures were pooled."""
        return Pooling(self.features, self.plan.get("pool") or DEFAULT_POOL)

    @cached_property
    def key_rows(self) -> list[int] | None:
        """Rows of the features that stand for the units where one is shown, (n,); None where each has one row."""
        keys = read_key_instances(self.predictions_file)
        row = {name: number for number, name in enumerate(self.features.ids)}
        try:
            return None if keys is None else [row[name] for name in keys]
        except KeyError as error:
            raise FeaturesError(f"{str(self.path)!r}: predictions and features differ: classify again") from error

    def pooled(self, logits: Floats) -> Floats:
        """Return log probabilities of the units, of those (rows, C) of the rows of `features`."""
        return np.concatenate(list(self.pooling.pooled([logits])))

    def row_of(self, image: str) -> int:
        """Return the row of a picture by its id, or by the end of it where that names one picture only.

        Of medical files a patient's number, a UID or a path name it too, where they are of one unit.

        Raises:
            UnknownNameError: there is no such picture.
            InputError: the end fits several pictures, or what names a patient several units.
        """
        if image in self._rows:
            return self._rows[image]
        ends = [row for name, row in self._rows.items() if name.endswith(f"/{image}")]
        if len(ends) > 1:
            raise InputError(
                f"{len(ends)} pictures of the run end in {image!r}: give the whole name, as predictions.csv does"
            )
        if not ends and (known := identified(self.path, self.ids)) is not None:
            rows = known.look(image) if known.look else []
            if len(rows) == 1:
                return rows[0]
            told = f"{len(rows)} units of the run are called so" if rows else "no unit of the run is called so"
            hint = "" if rows else f"; {known.hint}"  # what was asked for is not told: it may name a patient
            raise InputError(f"{told}: name one as predictions.csv does, such as {self.ids[0]!r}{hint}")
        if not ends:
            near = difflib.get_close_matches(image, self.ids, 5) or self.ids[:5]
            raise UnknownNameError("picture of the run", image, near)
        return ends[0]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {image: row for row, image in enumerate(self.ids)}

    @property
    def patients(self) -> tuple[str | None, ...]:
        """Patients (n,) as the run knows them."""
        return tuple(unit.patient for unit in self.features.of_units.listed)

    @property
    def _patients(self) -> dict[str, Any]:
        """The same for labels that name none."""
        return {"groups": self.patients, "group_column": "the run"} if any(self.patients) else {}

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Of the classes, in order."""
        return tuple(entry.key for entry in self.knowledge.classes)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Of the classes, in order."""
        return tuple(entry.name for entry in self.knowledge.classes)

    def called(self, key: str) -> str:
        """Return what a person reads for the key of a class; what is none, such as "none of these", as it is."""
        return dict(zip(self.keys, self.class_names, strict=True)).get(key, key)

    @property
    def plan(self) -> dict[str, Any]:
        """Everything that decided the numbers of the run."""
        plan: dict[str, Any] = self.summary["plan"]
        return plan

    @property
    def predictions_file(self) -> Path:
        """Where the predictions are, for people and spreadsheets; a folder of Parquet where that was asked for."""
        return predictions_place(self.path)

    def write_csv(self, path: str | Path) -> None:
        """Write the predictions as `predictions.csv` has them, whichever way the run keeps them.

        Raises:
            FeaturesError: they cannot be read.
            OutputError: it cannot be written.
        """
        try:
            write_as_csv(self.predictions_file, Path(path))
        except OSError as error:
            raise OutputError(f"cannot write {str(path)!r}: {error.strerror}") from error
        except ValueError as error:
            raise FeaturesError(f"{str(self.predictions_file)!r} cannot be read ({error}): classify again") from error

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
    def site(self) -> Site | None:
        """How far the pictures are from those that the run's model learnt from; None in a run that learnt itself."""
        said = self.summary.get("site")
        return Site(**said) if said else None

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Files without a prediction, with their reasons."""
        return tuple(SetAside(item["image"], item["reason"]) for item in self.summary["set_aside"])

    @cached_property
    def images(self) -> NDArray[np.float32]:
        """Features of the pictures, (n, d) unit rows in memory; of a unit those of its key instance."""
        rows = self.features.load()
        return rows if self.key_rows is None else rows[self.key_rows]

    @cached_property
    def thumbnails(self) -> dict[int, bytes]:
        """Row to a small picture, WebP, of those that the run kept."""
        kept = {row: small for (row, side), small in read_thumbnails(self.path).items() if not side}
        if self.whole is None:
            return kept
        return {place: kept[row] for place, row in enumerate(self.whole.rows.tolist()) if row in kept}

    @cached_property
    def beside(self) -> dict[tuple[int, str], bytes]:
        """Small pictures of what is shown beside a unit's key instance, by row and number in the unit."""
        return {at: small for at, small in read_thumbnails(self.path).items() if at[1]}

    def found_again(self, place: str | Path, rows: Iterable[int]) -> dict[int, Instance]:
        """Find the pictures of rows where they are now, read as they were then; of a unit its key instance.

        Args:
            place: where the pictures are: a folder, a file, or the table that named them.
            rows: that are wanted.

        Returns:
            By row, those that are there and still what was classified.
        """
        keys = self.key_rows
        return self._there(place, {row: row if keys is None else keys[row] for row in rows})

    def _there(self, place: str | Path, wanted: Mapping[At, int]) -> dict[At, Instance]:
        """Find pictures again by their rows of the features, under whatever they are wanted as."""
        known = [(picture.id, picture.sha256) for picture in self.features.pictures()]
        there = find_again(Path(place), {known[row] for row in wanted.values()}, self.features.asked)
        return {at: there[known[row][0]] for at, row in wanted.items() if known[row][0] in there}

    def with_pictures(self, place: str | Path) -> Self:
        """Make the thumbnails that the run did not keep from where the pictures are now; return the run.

        A picture counts only if it is still what was classified; see `found_again`. Of a series, a volume or a clip
        those beside its key instance come too.
        """
        keys, sides = self.key_rows or range(self.n), self.shown
        wanted = {(row, ""): keys[row] for row in sides if row not in self.thumbnails}
        wanted |= {(row, side): key for (row, side), key in self._beside_keys() if (row, "") in wanted}
        there = self._there(place, wanted)
        made = make_thumbnails((at, each, THUMBNAIL_SIDE if at[1] else sides[at[0]]) for at, each in there.items())
        self.thumbnails.update({row: small for (row, side), small in made.items() if not side})
        self.beside.update({at: small for at, small in made.items() if at[1]})
        return self

    def _beside_keys(self) -> Iterator[tuple[tuple[int, str], int]]:
        """Yield the rows of the features that are shown beside the key instances of units, slides left out."""
        units, first = self.features.of_units, 0
        for row, (key, unit, size) in enumerate(zip(self.key_rows or (), units.listed, units.sizes, strict=False)):
            near = strip(unit.kind, key - first, size) if unit.kind != "slide" else ()
            yield from (((row, str(at)), first + at) for at in near if first + at != key)
            first += size

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
        return as_pandas(self._columns())

    def to_polars(self) -> polars.DataFrame:
        """Return the predictions as a polars DataFrame, with the columns of predictions.csv, not rounded.

        Raises:
            InputError: polars is not installed.
        """
        try:
            from polars import DataFrame
        except ImportError as error:
            raise InputError("to_polars needs polars, which is not installed: pip install polars") from error
        return DataFrame(self._columns())

    def _columns(self) -> dict[str, Any]:
        told = dict(self.predictions.columns())
        units = read_unit_columns(self.predictions_file)
        return told if units is None else {"unit": told.pop("image"), **units, **told}

    def _repr_html_(self) -> str:
        return result_html(self)
