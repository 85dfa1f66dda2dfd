"""A finished run of the operator's on the page: looked at, corrected and scored, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kpl.knowledge import KnowledgeBase
from kpl.methods import KPL, Evidence
from kpl.proxies.arrays import Floats
from kpl.report import explain_picture
from kpl.runs import Contradiction, MultiLabelRun, Predictions, SingleLabelRun
from kpl.runs.tables import read_columns
from kpl.runs.units import INSTANCES_FILE, Pooling
from kpl.server.refusals import Conflict

_TOP = 3  # of the loudest sentences of each side, that are left out when the method learns again


@dataclass(frozen=True)
class Opened:
    """A finished run of either kind, as a session looks at it."""

    run: SingleLabelRun | MultiLabelRun

    def alone(self) -> OpenedRun:
        """Return the run of one label a picture, which most of the page is about.

        Raises:
            Conflict: it gives a picture several.
        """
        raise Conflict(
            "this run says of each class by itself whether it is there: ask for its findings; it is not corrected here"
        )

    @property
    def keys(self) -> list[str]:
        """Of the classes, in order."""
        return list(self.run.keys)

    @property
    def knowledge(self) -> KnowledgeBase:
        """That the run used."""
        return self.run.knowledge

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the pictures, in order."""
        return self.run.ids

    def key(self, place: int) -> int:
        """Return which of its pictures speaks loudest for a unit's class, from 0."""
        keys = self.run.key_rows
        return 0 if keys is None else keys[place] - sum(self.run.pooling.sizes[:place])

    def small(self, place: int, instance: int | None = None) -> bytes | None:
        """Return the small picture of a unit's key instance, or of one beside it; None if the run did not keep it."""
        if instance in (None, self.key(place)):
            return self.run.thumbnails.get(place)
        return self.run.beside.get((place, str(instance)))

    def warnings(self) -> list[str]:
        """What to know before believing it."""
        return list(self.run.warnings)

    def write_csv(self, path: Path) -> None:
        """Give the run's own table."""
        self.run.write_csv(path)


@dataclass(frozen=True)
class OpenedFindings(Opened):
    """A run of several labels a picture: which classes are there, and why; looked at and scored."""

    run: MultiLabelRun


@dataclass(frozen=True)
class OpenedRun(Opened):
    """What a finished run says, as the page asks for it; compare `Outcome`, which can be moved.

    Attributes:
        run: of one label a picture.
    """

    run: SingleLabelRun

    def alone(self) -> OpenedRun:
        """Return it."""
        return self

    @property
    def contradicted(self) -> tuple[Contradiction, ...]:
        """Descriptions that the pictures contradicted, the worst first."""
        return self.run.contradicted

    @property
    def most(self) -> int:
        """Descriptions of the class that has most of them."""
        return max(len(rows) for rows in self.run.descriptions)

    @property
    def k(self) -> int:
        """Descriptions per class in use."""
        return min(int(self.run.plan["settings"].get("k") or KPL().k or self.most), self.most)

    @property
    def estimated(self) -> Floats:
        """The class prior (C,) that the run estimated; the shares of its labels for a method that estimates none."""
        told = self.run.summary.get("estimated_prior")
        if told is None:
            return np.bincount(self.run.predictions.winners, minlength=len(self.keys)) / max(1, self.run.n)
        return np.array([told[key] for key in self.run.keys], dtype=np.float64)

    @property
    def prior(self) -> Floats | None:
        """The class prior (C,) that was set by hand; None for the estimated."""
        return None if self.run.prior is None else np.asarray(self.run.prior, dtype=np.float64)

    @property
    def calibrated(self) -> str | None:
        """Hash of the calibration that the run applied."""
        return self.run.plan.get("calibration")

    @property
    def least(self) -> float:
        """Confidence below which a picture got no label."""
        return float((self.run.plan.get("abstain") or {}).get("below", 0.0))

    @property
    def thresholds(self) -> dict[str, float]:
        """The same of single classes, by their keys."""
        asked = self.run.plan.get("abstain") or {}
        return {key: float(asked[f"below {key}"]) for key in self.keys if f"below {key}" in asked}

    @property
    def predictions(self) -> Predictions:
        """Of the run."""
        return self.run.predictions

    @property
    def text(self) -> Predictions:
        """Of the text proxies alone."""
        return self.run.text

    @property
    def pooling(self) -> Pooling:
        """How the scores of a unit's pictures were pooled."""
        return self.run.pooling

    @property
    def units(self) -> dict[str, Sequence[str]] | None:
        """Columns of predictions.csv that tell of units; None where every picture stands for itself."""
        if self.run.key_rows is None:
            return None
        titles = ("key_instance", f"by_{self.pooling.other}")
        return dict(zip(titles, read_columns(self.run.predictions_file, titles), strict=True))

    def curve(self, place: int, class_index: int) -> Floats:
        """Return what each picture of a unit says of a class by itself: probabilities (size,)."""
        if self.run.key_rows is None:
            return np.asarray(self.run.predictions.probabilities[place, [class_index]])
        names, chances = read_columns(self.run.path / INSTANCES_FILE, ("unit", f"p_{self.keys[class_index]}"))
        own = [chance for name, chance in zip(names, chances, strict=True) if name == self.ids[place]]
        return np.array(own, dtype=np.float64)

    def nearest(self, place: int, class_index: int, count: int = 4) -> list[tuple[int, float]]:
        """Return the other pictures of a class that are nearest to a picture, with their cosines, the nearest first."""
        return self.run.nearest(place, class_index, count)

    def evidence(self, place: int, *, refit: bool) -> Evidence:
        """Explain one picture as `kpl explain` does."""
        run, said = self.run, self.run.predictions
        sentences = run.sentences(place)
        if refit:
            again = explain_picture(run, run.ids[place], top=_TOP).sentences
            index = {name: c for c, name in enumerate(run.class_names)}
            sentences = tuple(
                own if then.without is None else
                replace(own, proxy_effect=then.without.effect, winner_without=index[then.without.label])
                for own, then in zip(sentences, again, strict=True)
            )  # fmt: skip
        winner, runner = int(said.winners[place]), int(said.runners[place])
        first, second = np.log(np.maximum(said.probabilities[place, [winner, runner]], np.finfo(np.float64).tiny))
        text = run.images[place] @ (run.text_proxies[winner] - run.text_proxies[runner])
        return Evidence(winner, runner, float(text), float(first - second), sentences)
