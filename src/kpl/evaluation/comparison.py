"""Methods side by side on the same images: scores, intervals, and the majority and chance rates beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpl.errors import LabelsError, UnknownNameError
from kpl.evaluation.bootstrap import (
    Difference,
    Groups,
    Interval,
    Resampling,
    bootstrap_intervals,
    holm,
    paired_difference,
)
from kpl.evaluation.details import Details, OperatingRule, describe
from kpl.evaluation.metrics import METRICS, Measure, chance_rate
from kpl.evaluation.units import count_units, unit_told
from kpl.evaluation.weighted import Figured, FloatArray, IntArray
from kpl.proxies.arrays import Floats, as_array, log_odds, softmax

MAJORITY = "majority"
"""The row of always answering the most frequent true class. No method may have this name."""
CHANCE = "chance"
"""The row of guessing evenly among all classes. No method may have this name."""

_USUAL = Resampling()


class Predicted(NamedTuple):
    """What a method said of n images.

    Attributes:
        predictions: (n,) class indices.
        probabilities: (n, C), if it has any.
        ranking: (n, C) what the images are ranked by, class by class, in the place of the probabilities: these round
            to one for images of which a method is very sure to a different degree.
    """

    predictions: IntArray
    probabilities: FloatArray | None = None
    ranking: FloatArray | None = None

    @classmethod
    def of_logits(cls, logits: Floats) -> Predicted:
        """Return what log probabilities say, (n, C), each row up to a constant: they are ranked by their log odds.

        Example:
            >>> Predicted.of_logits(np.array([[80.0, 0.0], [90.0, 0.0]])).ranking.tolist()
            [[80.0, -80.0], [90.0, -90.0]]
        """
        logits = as_array(logits, "logits")
        return cls(logits.argmax(axis=1), softmax(logits), log_odds(logits))


class Answered(NamedTuple):
    """The share of labelled images that were answered, and the accuracy among them (None if there are none)."""

    coverage: float
    accuracy: float | None


@dataclass(frozen=True)
class Scores(Figured):
    """How good one method is on n labelled images; each of `METRICS` is an attribute, None where it does not exist.

    Rankings (AUROC, average precision) need probabilities and two classes in the labels; Brier score, NLL and the
    calibration errors need probabilities that sum to one; the weighted kappas need ordered classes.
    """

    n: int
    figures: Mapping[str, float | None]
    intervals: Mapping[str, Interval | None] = field(default_factory=dict)
    """Metric to (low, high); None where there is nothing to resample."""
    units: int | None = None
    """What the intervals are over, groups of images such as patients; None where they are over images."""

    def to_json(self) -> dict[str, Any]:
        """Return {"accuracy": ..., ..., "intervals": {metric: [low, high] or null}, "n": ..., "unit": ...}."""
        intervals = {metric: None if pair is None else list(pair) for metric, pair in self.intervals.items()}
        return {**self.figures, "intervals": intervals, "n": self.n, "unit": unit_told(self.n, self.units)}


@dataclass(frozen=True)
class Table:
    """Scores of several methods on the same images, in the order they were given."""

    scores: Mapping[str, Scores]
    majority: Scores
    chance: float
    """Expected accuracy of guessing evenly among all classes of the knowledge."""
    reference: str | None = None
    differences: Mapping[str, Difference] = field(default_factory=dict)
    """Method to its accuracy minus the reference's; empty without a reference."""
    details: Mapping[str, Details] = field(default_factory=dict)
    """Method to what it did class by class; empty unless class keys were given."""
    subgroups: Mapping[str, Mapping[str, Mapping[str, Scores]]] = field(default_factory=dict)
    """Method to column to value to the scores among those images."""

    group_column: str | None = None
    """What says which images belong together, for the user."""

    answered: Mapping[str, Answered] = field(default_factory=dict)
    """Methods that abstained, and how they did on what they answered."""

    @property
    def guessing(self) -> Scores:
        """The row of guessing evenly: what is expected of it, without intervals."""
        known = {"accuracy": self.chance, "balanced_accuracy": self.chance, "auroc": 0.5, "kappa": 0.0}
        trusted = {"brier": 1 - self.chance, "nll": -float(np.log(self.chance))}
        return Scores(self.majority.n, {**dict.fromkeys(METRICS), **known, **trusted})

    @property
    def unit(self) -> str:
        """What the intervals are over, in words: "25 patients by 'patient_id', 240 images"."""
        return unit_told(self.majority.n, self.majority.units, self.group_column)

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return {method: {"accuracy": ..., "intervals": {...}}, ..., "majority": ..., "chance": ...} for `json.dump`.

        A "unit" says what the intervals beside it are over: "25 groups, 240 images".

        With a reference, every other method also has
        "difference": {"from": reference, "accuracy": ..., "interval": [low, high], "p_value": ..., "p_holm": ...};
        with class keys "per_class", "confusion", "reliability" and "coverage_risk"; with subgroups
        "subgroups": {column: {value: scores}}; where a method abstained "answered": {"coverage": ..., "accuracy": ...}.
        """
        rows = {name: scores.to_json() for name, scores in self.scores.items()}
        for name, difference in self.differences.items():
            interval = None if difference.interval is None else list(difference.interval)
            rows[name]["difference"] = {"from": self.reference, **vars(difference), "interval": interval}
        for name, details in self.details.items():
            rows[name].update(details.to_json())
        for name, columns in self.subgroups.items():
            rows[name]["subgroups"] = {
                column: {value: scores.to_json() for value, scores in values.items()}
                for column, values in columns.items()
            }
        for name, answered in self.answered.items():
            rows[name]["answered"] = answered._asdict()
        return {**rows, MAJORITY: self.majority.to_json(), CHANCE: self.guessing.to_json()}


def evaluate_predictions(
    truth: IntArray,
    predictions: IntArray,
    probabilities: FloatArray | None = None,
    ranking: FloatArray | None = None,
    *,
    groups: Groups | None = None,
    resampling: Resampling = _USUAL,
    ordered: bool = False,
) -> Scores:
    """Score one method: truth (n,) with -1 for unlabelled images, the others as in `Predicted`.

    Unlabelled images are left out. Intervals are bootstrapped over images, or over `groups` (n,) if given. Classes that
    are `ordered`, such as grades, have weighted kappas.

    Raises:
        LabelsError: no image is labelled, or the arrays do not fit each other.

    Example:
        >>> scores = evaluate_predictions(np.array([0, 1, -1]), np.array([0, 0, 1]))
        >>> scores.n, scores.accuracy, scores.auroc
        (2, 0.5, None)
    """
    sample = _Sample.of(truth, groups)
    return sample.score(sample.keep(Predicted(predictions, probabilities, ranking)), resampling, ordered=ordered)


def compare(
    truth: IntArray,
    results: Mapping[str, Predicted],
    *,
    n_classes: int,
    groups: Groups | None = None,
    group_column: str | None = None,
    reference: str | None = None,
    resampling: Resampling = _USUAL,
    ordered: bool = False,
    classes: Sequence[str] | None = None,
    rule: OperatingRule | None = None,
    subgroups: Mapping[str, Sequence[str | None]] | None = None,
) -> Table:
    """Score methods on the same images and the same resamples, with the majority and chance rows beside them.

    Shapes as in `evaluate_predictions`; `n_classes` counts the classes a method chose from, absent ones too.

    Args:
        truth: (n,), -1 for unlabelled images.
        results: what each method said.
        n_classes: C.
        groups: (n,) what is resampled as a whole.
        group_column: what says so, for the user.
        reference: with it, every other method's accuracy is also compared with its, image by image; the p-values are
            also adjusted for the number of methods (Holm 1979).
        resampling: of all intervals.
        ordered: the classes are grades in their order.
        classes: C keys; with them the table has the details of each method.
        rule: choose an operating point for each class.
        subgroups: column to (n,) values, None where there is none; the methods are also scored within each value.

    Raises:
        LabelsError: no image is labelled, arrays that do not fit, or a method called "majority" or "chance".
        UnknownNameError: the reference is not among the methods.

    Example:
        >>> truth = np.array([0, 1, 1])
        >>> table = compare(truth, {"kpl": Predicted(truth)}, n_classes=2)
        >>> table.to_json()["kpl"]["accuracy"], table.majority.balanced_accuracy
        (1.0, 0.5)
    """
    for row in (MAJORITY, CHANCE):
        if row in results:
            raise LabelsError(f"a method is called {row!r}, which is the row of the {row} rate: rename the method")
    if reference is not None and reference not in results:
        raise UnknownNameError("reference method", reference, results)
    sample = _Sample.of(truth, groups)
    kept = {name: sample.keep(result) for name, result in results.items()}
    always = np.full(len(sample.truth), np.bincount(sample.truth).argmax())
    return Table(
        scores={name: sample.score(result, resampling, ordered=ordered) for name, result in kept.items()},
        majority=sample.score(Predicted(always), resampling, ordered=ordered),
        chance=chance_rate(n_classes),
        group_column=group_column,
        reference=reference,
        differences=sample.differences(kept, reference, resampling) if reference is not None else {},
        details={
            name: describe(
                sample.truth,
                result.predictions,
                result.probabilities,
                classes,
                ranking=result.ranking,
                groups=sample.groups,
                resampling=resampling,
                rule=rule,
                with_rankings=name == reference,
            )
            for name, result in kept.items()
        }
        if classes is not None
        else {},
        subgroups={
            name: {
                column: sample.within(result, values, resampling, ordered=ordered)
                for column, values in subgroups.items()
            }
            for name, result in kept.items()
        }
        if subgroups
        else {},
    )


@dataclass(frozen=True)
class _Sample:
    """The labelled images: which rows they are, their truth (n,) and their groups."""

    rows: NDArray[np.bool_]
    truth: IntArray
    groups: Groups | None

    @classmethod
    def of(cls, truth: IntArray, groups: Groups | None) -> _Sample:
        truth = as_array(truth, "truth")
        rows = truth >= 0
        if not rows.any():
            raise LabelsError(f"none of the {len(truth)} images has a label: nothing to score")
        if groups is not None and len(groups) != len(truth):
            raise LabelsError(
                f"{len(groups)} groups for {len(truth)} images: give one an image, None where it stands alone"
            )
        return cls(rows, truth[rows], groups and [groups[row] for row in np.flatnonzero(rows).tolist()])

    def keep(self, result: Predicted) -> Predicted:
        """Leave the unlabelled images out of what a method said."""
        parts = [None if part is None else as_array(part, name) for name, part in result._asdict().items()]
        for values in parts:
            if values is not None and len(values) != len(self.rows):
                raise LabelsError(
                    f"{len(self.rows)} true labels but predictions for {len(values)} images: give one of each an image"
                )
        kept: list[Any] = [None if values is None else values[self.rows] for values in parts]
        return Predicted(*kept)

    def score(self, result: Predicted, resampling: Resampling, *, ordered: bool = False) -> Scores:
        measure = Measure(self.truth, *result, ordered=ordered)
        found = measure.scores(np.ones((len(self.truth), 1), dtype=np.int64))
        figures = {name: None if np.isnan(value[0]) else float(value[0]) for name, value in found.items()}
        intervals = bootstrap_intervals(self.truth, *result, groups=self.groups, resampling=resampling, ordered=ordered)
        units = count_units(self.groups, range(len(self.truth)))
        return Scores(len(self.truth), {**dict.fromkeys(METRICS), **figures}, intervals, units)

    def differences(
        self, kept: Mapping[str, Predicted], reference: str, resampling: Resampling
    ) -> dict[str, Difference]:
        """Compare every other method with the reference, and adjust the p-values for their number."""
        found = {
            name: paired_difference(
                self.truth,
                result.predictions,
                kept[reference].predictions,
                groups=self.groups,
                resampling=resampling,
            )
            for name, result in kept.items()
            if name != reference
        }
        known = {name: d.p_value for name, d in found.items() if d.p_value is not None}
        corrected = dict(zip(known, holm(list(known.values())), strict=True))
        return {name: replace(d, p_holm=corrected.get(name)) for name, d in found.items()}

    def within(
        self, result: Predicted, values: Sequence[str | None], resampling: Resampling, *, ordered: bool
    ) -> dict[str, Scores]:
        """Score the labelled images of each value by themselves; `values` has one for every image."""
        if len(values) != len(self.rows):
            raise LabelsError(f"{len(values)} subgroups for {len(self.rows)} images: give one an image, or None")
        column = [values[row] for row in np.flatnonzero(self.rows).tolist()]
        found = {}
        for value in sorted({value for value in column if value is not None}):
            inside = np.array([each == value for each in column])
            groups = self.groups and [self.groups[row] for row in np.flatnonzero(inside).tolist()]
            part = _Sample(inside, self.truth[inside], groups)
            found[value] = part.score(part.keep(result), resampling, ordered=ordered)
        return found
