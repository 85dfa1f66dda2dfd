"""A finished run as its report needs it: all that is known of each picture, and how the pictures lie together."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.errors import FeaturesError, PictureError
from kpl.images import find_pictures, read_picture_bytes
from kpl.methods import Insight, Sentence, judge_descriptions, text_shares
from kpl.proxies.arrays import Floats
from kpl.proxies.retrieval import TextProxies, best_k
from kpl.runs import Run, open_run
from kpl.runs.predictions import ROUNDED, Predictions, read_predictions
from kpl.runs.thumbnails import kept_rows, make_thumbnails, read_thumbnails

__all__ = ["Plane", "Seen", "look", "thumbnails_from"]


@dataclass(frozen=True)
class Plane:
    """The first two principal axes of the image features.

    Attributes:
        images: (n, 2).
        texts: (C, 2) text proxies, moved by the gap between texts and pictures and stretched to the pictures' spread:
            their mean is the pictures' mean, their distances from it as large as those of the classes' mean pictures.
        shares: of the variance, one an axis.
    """

    images: Floats
    texts: Floats
    shares: tuple[float, float]


@dataclass(frozen=True)
class Seen:
    """A run, read.

    Attributes:
        run: the folder.
        said: of each picture.
        keys, names: of the classes.
        features: (n, d) unit rows.
        text_proxies: (C, d) unit rows.
        thumbnails: row to WebP.
    """

    run: Run
    said: Predictions
    keys: list[str]
    names: list[str]
    features: NDArray[np.float32]
    text_proxies: Floats
    thumbnails: dict[int, bytes]

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the pictures, (n,)."""
        return self.said.ids

    @property
    def winners(self) -> NDArray[np.intp]:
        """Class index of each picture, (n,)."""
        return self.said.winners

    @property
    def runners(self) -> NDArray[np.intp]:
        """Class index of each picture's runner-up, (n,)."""
        return self.said.runners

    @property
    def probabilities(self) -> Floats:
        """Of each class for each picture, (n, C)."""
        return self.said.probabilities

    @property
    def warnings(self) -> list[str]:
        """What to know before believing the run."""
        return [*self.run.summary["warnings"], *([ROUNDED] if self.said.ranking is None else [])]

    @property
    def n(self) -> int:
        """Pictures."""
        return len(self.ids)

    @property
    def n_classes(self) -> int:
        """Classes."""
        return len(self.keys)

    @cached_property
    def confidence(self) -> Floats:
        """Probability of the winner, (n,)."""
        return np.asarray(self.said.probabilities[np.arange(self.n), self.winners])

    @cached_property
    def text_winners(self) -> NDArray[np.intp]:
        """What the text proxies alone say, (n,)."""
        cosines = self.features @ self.text_proxies.T.astype(np.float32)
        return np.asarray(cosines.argmax(axis=1), dtype=np.intp)

    @cached_property
    def means(self) -> Floats:
        """Mean feature of the pictures of each class, (C, d); zeros where it has none."""
        sums = np.zeros((self.n_classes, self.features.shape[1]))
        np.add.at(sums, self.winners, self.features)
        counts = np.bincount(self.winners, minlength=self.n_classes)[:, None]
        return np.asarray(sums / np.maximum(counts, 1))

    @cached_property
    def average(self) -> Floats:
        """Mean feature of all pictures, (d,)."""
        return np.asarray(self.features.mean(axis=0, dtype=np.float64))

    @cached_property
    def plane(self) -> Plane:
        """Where pictures and text proxies lie on the principal axes."""
        mean = self.average
        gram = self.features.T @ self.features / np.float32(self.n) - np.outer(mean, mean)
        values, vectors = np.linalg.eigh(np.asarray(gram, dtype=np.float64))
        axes = vectors[:, ::-1][:, :2]
        axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)  # the same signs everywhere
        total = float(np.maximum(values, 0).sum()) or 1.0
        texts = (self.text_proxies - self.text_proxies.mean(axis=0)) @ axes
        centres = (self.means[np.unique(self.winners)] - mean) @ axes
        spread = float(np.sqrt(np.mean(texts**2))) or 1.0
        return Plane(
            (self.features - mean) @ axes,
            texts * (float(np.sqrt(np.mean(centres**2))) or spread) / spread,
            (float(values[-1]) / total, float(values[-2]) / total),
        )

    @cached_property
    def insight(self) -> Insight | None:
        """What each description does over the pictures; None where the method reads no descriptions."""
        if self.run.chosen is None:
            return None
        text = TextProxies(self.text_proxies, tuple(self.run.chosen), ())
        return judge_descriptions(self.features, self.winners, self.run.descriptions, text, elsewhere=False)

    def sentences(self, row: int) -> tuple[Sentence, ...]:
        """Return the sentences of the winner and the runner-up of a picture; none where the method reads no such."""
        if self.run.chosen is None:
            return ()
        image = self.features[row].astype(np.float64)
        chosen = self.run.chosen
        settings = self.run.summary["plan"]["settings"]
        if settings.get("retrieval") == "image":
            chosen = [best_k(np.asarray(rows @ image), settings["k"]) for rows in self.run.descriptions]
        winner, runner = int(self.winners[row]), int(self.runners[row])
        return text_shares(image, self.run.descriptions, chosen, winner, runner, self.average)

    def nearest(self, row: int, class_index: int, count: int = 3) -> list[tuple[int, float]]:
        """Return the pictures of a class that are nearest to a picture, with their cosines, the nearest first."""
        rows = np.flatnonzero(self.winners == class_index)
        rows = rows[rows != row]
        cosines = self.features[rows] @ self.features[row]
        order = np.argsort(-cosines, kind="stable")[:count]
        return [(int(rows[place]), float(cosines[place])) for place in order]


def look(path: str | Path, *, pictures: str | Path | None = None) -> Seen:
    """Read a run for its report.

    Args:
        path: a run folder.
        pictures: where the pictures are now, for thumbnails that the run did not keep; a picture counts only if its
            bytes are those that were classified.

    Raises:
        FeaturesError: it is no finished run, a multi-label run, or damaged.
    """
    run = open_run(path)
    if run.summary.get("multi_label"):
        raise FeaturesError(
            f"{str(path)!r} is a multi-label run, which gives a picture several labels: look at it as one"
        )
    if run.text_proxies is None:
        raise FeaturesError(f"{str(path)!r} was made by an earlier version, which kept no text proxies: classify again")
    keys = [entry.key for entry in run.knowledge.classes]
    seen = Seen(
        run=run,
        said=read_predictions(run.predictions_file, keys, run.features.ids),
        keys=keys,
        names=[entry.name for entry in run.knowledge.classes],
        features=run.features.load(),
        text_proxies=run.text_proxies,
        thumbnails=read_thumbnails(run.path),
    )
    if pictures is not None:
        wanted = kept_rows(seen.winners, seen.text_winners, seen.said.sureness, seen.n_classes)
        seen.thumbnails.update(thumbnails_from(run, wanted, seen.thumbnails, Path(pictures)))
    return seen


def thumbnails_from(run: Run, rows: Sequence[int], kept: Collection[int], folder: Path) -> dict[int, bytes]:
    """Make the thumbnails of some rows of a run that are not kept yet, where a file in the folder is that picture."""
    place = {record.id: record for record in find_pictures(folder).pictures}
    known = list(run.features.pictures())
    records = []
    for row in rows:
        record = place.get(known[row].id)
        if record is None or row in kept:
            continue
        try:
            same = hashlib.sha256(read_picture_bytes(record.path)).hexdigest() == known[row].sha256
        except PictureError:
            continue
        if same:
            records.append((row, record))
    return make_thumbnails(records)
