"""A finished run that gives each picture one label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.evaluation import Reading, Truth, read_labels
from kpl.methods import METHODS, Insight, Method, Sentence, judge_descriptions, make_method, text_shares
from kpl.proxies.arrays import Floats
from kpl.proxies.neighbours import nearest_others
from kpl.proxies.priors import given_prior, text_logits
from kpl.proxies.retrieval import TextProxies, best_k
from kpl.proxies.sums import sum_images
from kpl.runs.contradicting import Contradiction
from kpl.runs.prediction_files import read_predictions
from kpl.runs.predictions import ROUNDED, Predictions
from kpl.runs.run import Run
from kpl.runs.scores import has_scores
from kpl.runs.thumbnails import kept_rows
from kpl.runs.units import identified

CORRECTED = "kpl-corrected"
"""What `kpl learn` names its way of learning; it is no method of the registry, which see no label."""


@dataclass(frozen=True, eq=False)
class SingleLabelRun(Run):
    """A run that gives each picture one label.

    Attributes:
        text_proxies: (C, d) of the text alone: of the descriptions that the method retrieved and did not leave out.
        chosen: per class the indices of the descriptions in its text proxy; None where the method reads other texts.
    """

    text_proxies: Floats = field(kw_only=True, repr=False)
    chosen: list[NDArray[np.intp]] | None = field(default=None, kw_only=True, repr=False)

    @cached_property
    def predictions(self) -> Predictions:
        """What the run says of each picture: a sequence of `Prediction`, and arrays."""
        return read_predictions(
            self.predictions_file, self.keys, self.ids, unlike=bool(self.plan.get("other")), rows=self._sample
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before believing the run."""
        return (*self.summary["warnings"], *([] if has_scores(self.path) else [ROUNDED]))

    @property
    def abstained(self) -> int:
        """Pictures without a label, which `counts` leaves out."""
        return self.total - sum(self.counts.values()) - (self.none_of_these or 0)

    @property
    def none_of_these(self) -> int | None:
        """Pictures that are of no listed class, which `counts` leaves out; None where these were not looked for."""
        found: int | None = self.summary.get("none_of_these")
        return found

    @property
    def left_out(self) -> tuple[str, ...]:
        """Of how many pictures no class is said, in words."""
        strange = [] if self.none_of_these is None else [f"{self.none_of_these} of {self.total} are none of these"]
        return (*strange, *([f"{self.abstained} of {self.total} left without a label"] if self.abstained else []))

    @property
    def title(self) -> str:
        """What was run, in a few words."""
        return f"{self.counted} by {self.method_name} with {self.encoder_name}"

    def ranking(self) -> list[list[int]]:
        """Return of each class the rows that went to it, the surest first."""
        order = np.argsort(-self.predictions.sureness, kind="stable")
        return [order[self.predictions.winners[order] == c].tolist() for c in range(len(self.keys))]

    @property
    def contradicted(self) -> tuple[Contradiction, ...]:
        """Descriptions that the pictures contradict, the worst first; none where the pictures cannot tell."""
        return tuple(
            Contradiction(*map(said.get, Contradiction._fields)) for said in self.summary.get("contradicted") or ()
        )

    @property
    def winner_counts(self) -> NDArray[np.intp]:
        """Pictures of each class, (C,), by the likeliest also where no label was given."""
        return self.whole.counts if self.whole else np.bincount(self.predictions.winners, minlength=len(self.keys))

    @property
    def prior(self) -> Sequence[float] | None:
        """The class prior (C,) that was set by hand, if one was."""
        return given_prior(self.plan["settings"].get("prior"))

    @cached_property
    def text(self) -> Predictions:
        """What the text proxies alone say of each picture; a prior that was set by hand holds for them too."""
        heat = float(self.plan["settings"]["temperature"])
        logits = text_logits(self.features, self.text_proxies, heat, self.prior)
        return Predictions.of_logits(self.ids, self.keys, self.pooled(logits))

    @property
    def shown(self) -> dict[int, int]:
        """Rows of the pictures that a report may show, and the pixels of their longer side."""
        said = self.predictions
        return kept_rows(said.winners, self.text.winners, said.sureness, len(self.keys))

    @cached_property
    def average(self) -> Floats:
        """Mean feature of all pictures, (d,), each unit counted once where the method counts so."""
        once = self.method_name not in METHODS or not METHODS[self.method_name].unweighted
        return sum_images(self.features, self.features.weights if once else None).mean

    @cached_property
    def insight(self) -> Insight | None:
        """What each description does over the pictures; None where the method reads no descriptions."""
        if self.chosen is None:
            return None
        text = TextProxies(self.text_proxies, tuple(self.chosen), ())
        return judge_descriptions(self.images, self.predictions.winners, self.descriptions, text, elsewhere=False)

    def fresh_method(self) -> Method:
        """Return the run's method with its settings, not fitted."""
        return make_method(self.method_name, **self.plan["settings"])

    def labels(
        self,
        labels: str | Path,
        *,
        ignore_unknown: bool = False,
        columns: Sequence[str] = (),
        reading: Reading | None = None,
        groups: bool = False,
    ) -> Truth:
        """Read labels of the run's pictures; arguments and errors as in `kpl.read_labels`."""
        truth = read_labels(
            labels,
            self.ids,
            self.knowledge,
            ignore_unknown=ignore_unknown,
            columns=columns,
            reading=reading,
            identifiers=identified(self.path, self.ids),
            patients=self.patients,
            groups=groups,
        )
        return truth if truth.groups else replace(truth, **self._patients)

    def sentences(self, row: int) -> tuple[Sentence, ...]:
        """Return the sentences of the winner and the runner-up of a picture; none where the method reads no such."""
        if self.chosen is None:
            return ()
        image = self.images[row].astype(np.float64)
        chosen, settings = self.chosen, self.plan["settings"]
        if settings.get("retrieval") == "image":
            chosen = [best_k(np.asarray(rows @ image), settings["k"]) for rows in self.descriptions]
        winner, runner = int(self.predictions.winners[row]), int(self.predictions.runners[row])
        return text_shares(image, self.descriptions, chosen, winner, runner, self.average)

    def nearest(self, row: int, class_index: int, count: int = 3) -> list[tuple[int, float]]:
        """Return the pictures of a class that are nearest to a picture, with their cosines, the nearest first."""
        return nearest_others(self.images, row, self.predictions.winners == class_index, count)
