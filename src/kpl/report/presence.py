"""A multi-label run as its report needs it, and the evidence for each class of a picture: present against absent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.errors import FeaturesError
from kpl.knowledge.schema import negate
from kpl.proxies.arrays import Floats
from kpl.proxies.presence import presence_shares
from kpl.report.explaining import row_of
from kpl.report.seen import thumbnails_from
from kpl.runs import Run, open_run
from kpl.runs.multilabel import MultiLabel, read_multi_label
from kpl.runs.predictions import ROUNDED
from kpl.runs.thumbnails import kept_presence_rows, read_thumbnails

__all__ = ["ClassPresence", "PresenceSaid", "PresenceSeen", "explain_presence", "look_at_presence"]

_EVEN = 0.5  # what a class is held against whose threshold is 0, from which nothing has a distance


@dataclass(frozen=True)
class PresenceSaid:
    """One description of a class, against what is seen when the class is not there.

    Attributes:
        text, against: the two sentences.
        chance: probability of the class by this pair alone.
        share: its exact part of the margin; above zero it speaks for presence.
    """

    text: str
    against: str
    chance: float
    share: float


@dataclass(frozen=True)
class ClassPresence:
    """Why a class is present in a picture, or is not.

    Attributes:
        class_name: its name.
        present: what the run says.
        probability, threshold: as in predictions.csv and run.json.
        margin: log(probability / threshold), the sum of the shares; against an even chance where the threshold is 0.
        sentences: all of the class, those that speak for presence first.
        nearest: the nearest other pictures of the run that have the class, and that have it not, with cosines.
    """

    class_name: str
    present: bool
    probability: float
    threshold: float
    margin: float
    sentences: tuple[PresenceSaid, ...]
    nearest: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]


@dataclass(frozen=True)
class PresenceSeen:
    """A multi-label run, read.

    Attributes:
        run: the folder.
        said: of each picture.
        keys, names: of the classes.
        thresholds: (C,).
        features: (n, d) unit rows.
        contrasts: C arrays (m_c, d), (present - absent) / temperature of the sentences.
        thumbnails: row to WebP.
    """

    run: Run
    said: MultiLabel
    keys: list[str]
    names: list[str]
    thresholds: Floats
    features: NDArray[np.float32]
    contrasts: list[Floats]
    thumbnails: dict[int, bytes]

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the pictures, (n,)."""
        return self.said.ids

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether a picture has a class, (n, C)."""
        return self.said.present

    @property
    def probabilities(self) -> Floats:
        """Of each class for each picture, (n, C)."""
        return self.said.probabilities

    @property
    def warnings(self) -> list[str]:
        """What to know before believing the run."""
        return [*self.run.summary["warnings"], *([] if self.said.exact else [ROUNDED])]

    @property
    def n(self) -> int:
        """Pictures."""
        return len(self.ids)

    def against(self, class_index: int) -> list[str]:
        """Return what each description of a class is held against, in their order."""
        entry = self.run.knowledge.classes[class_index]
        stated = list(entry.absent) or [negate(each.text) for each in entry.descriptions]
        return stated if len(stated) == len(entry.descriptions) else stated * len(entry.descriptions)

    def sentences(self, row: int, class_index: int) -> tuple[PresenceSaid, ...]:
        """Return what each description of a class says of a picture, those that speak for presence first."""
        image, least = self.features[row].astype(np.float64), float(self.thresholds[class_index])
        chances, shares = presence_shares(image, self.contrasts[class_index], least or _EVEN)
        texts = [each.text for each in self.run.knowledge.classes[class_index].descriptions]
        said = map(PresenceSaid, texts, self.against(class_index), chances.tolist(), shares.tolist())
        return tuple(sorted(said, key=lambda each: -each.share))

    def nearest(self, row: int, class_index: int, *, present: bool, count: int = 3) -> list[tuple[int, float]]:
        """Return the nearest other pictures that have a class, or that have it not, with cosines, the nearest first."""
        rows = np.flatnonzero(self.present[:, class_index] == present)
        rows = rows[rows != row]
        cosines = self.features[rows] @ self.features[row]
        order = np.argsort(-cosines, kind="stable")[:count]
        return [(int(rows[place]), float(cosines[place])) for place in order]


def look_at_presence(path: str | Path, *, pictures: str | Path | None = None) -> PresenceSeen:
    """Read a multi-label run for its report; arguments as in `look`.

    Raises:
        FeaturesError: it is no finished multi-label run, is damaged, or was made by an earlier version.
    """
    run = open_run(path)
    if not run.summary.get("multi_label"):
        raise FeaturesError(f"{str(path)!r} is no multi-label run: it gives each picture one label")
    if run.absent is None:
        raise FeaturesError(
            f"{str(path)!r} was made by an earlier version, which kept no texts of absence: classify again"
        )
    keys = [entry.key for entry in run.knowledge.classes]
    said = read_multi_label(run.predictions_file, keys, run.features.ids)
    plan = run.summary["plan"]
    heat = float(plan["settings"]["temperature"])
    seen = PresenceSeen(
        run=run,
        said=said,
        keys=keys,
        names=[entry.name for entry in run.knowledge.classes],
        thresholds=np.array([plan["thresholds"][key] for key in keys], dtype=np.float64),
        features=run.features.load(),
        contrasts=[
            (there.astype(np.float64) - absent) / heat
            for there, absent in zip(run.descriptions, run.absent, strict=True)
        ],
        thumbnails=read_thumbnails(run.path),
    )
    if pictures is not None:
        rows = kept_presence_rows(said.probabilities, said.present, seen.thresholds)
        seen.thumbnails.update(thumbnails_from(run, rows, seen.thumbnails, Path(pictures)))
    return seen


def explain_presence(run: str | Path | PresenceSeen, image: str) -> tuple[str, tuple[ClassPresence, ...]]:
    """Explain what a multi-label run says of one picture, class by class.

    Args:
        run: a run folder of `kpl classify --multi-label`.
        image: the picture's id, as predictions.csv has it, or the end of it where that names one picture only.

    Returns:
        The picture's id, and its classes: those that it has, then the others, the likeliest first.

    Raises:
        FeaturesError: it is no finished multi-label run, or damaged.
        UnknownNameError: the run has no such picture.
        InputError: the end of a name fits several pictures.
    """
    seen = run if isinstance(run, PresenceSeen) else look_at_presence(run)
    row = row_of(seen.ids, image)
    order = np.lexsort((-seen.probabilities[row], ~seen.present[row])).tolist()
    return seen.ids[row], tuple(_class_presence(seen, row, c) for c in order)


def _class_presence(seen: PresenceSeen, row: int, class_index: int) -> ClassPresence:
    sentences = seen.sentences(row, class_index)
    name = seen.names[class_index]
    return ClassPresence(
        class_name=name,
        present=bool(seen.present[row, class_index]),
        probability=float(seen.probabilities[row, class_index]),
        threshold=float(seen.thresholds[class_index]),
        margin=sum(each.share for each in sentences),
        sentences=sentences,
        nearest=tuple(
            (
                f"where {name} is {'present' if present else 'absent'}",
                tuple((seen.ids[other], cosine) for other, cosine in seen.nearest(row, class_index, present=present)),
            )
            for present in (True, False)
        ),
    )
