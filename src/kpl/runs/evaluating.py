"""Score a finished run, or a feature bundle, against labels: methods side by side, learnt without the labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import FeatureRows, is_bundle, open_bundle
from kpl.encoders import Encoder
from kpl.errors import FeaturesError, InputError, KplError, LabelsError, UnknownNameError
from kpl.evaluation import (
    METRICS,
    Answered,
    OperatingRule,
    Predicted,
    Reading,
    Resampling,
    Scores,
    Table,
    caveats,
    compare,
    table_figure,
)
from kpl.methods import METHODS, Method, as_method
from kpl.progress import silent
from kpl.runs.folder import is_run
from kpl.runs.opening import open_run
from kpl.runs.predictions import ROUNDED
from kpl.runs.run import Run
from kpl.runs.single_label import SingleLabelRun
from kpl.runs.texts import bundle_texts
from kpl.visible import visible_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["EVALUATED", "Evaluation", "evaluate"]

EVALUATED = ("names", "cupl", "text", "inmap", "kpl-official", "kpl")


@dataclass(frozen=True)
class Evaluation:
    """Methods side by side on the same images.

    Attributes:
        table: scores with intervals, details of each method, and the majority and chance rows.
        notices: what was left out of the scoring, and what stands against the method, in plain words.
        left_out: methods that were not scored, with the reason.
    """

    table: Table
    notices: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def figure(self, *, focus: str | None = None) -> Figure:
        """Draw the table; return matplotlib's `Figure`, which a notebook shows.

        Args:
            focus: the method of the confusion matrix and the reliability; None takes the run's own, else the best.
        """
        return table_figure(self.table, focus=focus)

    def _repr_html_(self) -> str:
        shown = [
            metric for metric in METRICS if any(getattr(s, metric) is not None for s in self.table.scores.values())
        ]
        head = "".join(f'<th scope="col">{metric.replace("_", " ")}</th>' for metric in ("method", *shown))
        rows = {**self.table.scores, "majority": self.table.majority, "chance": self.table.guessing}
        body = "".join(
            f'<tr><th scope="row">{visible_html(name)}</th>{"".join(_cell(scores, metric) for metric in shown)}</tr>'
            for name, scores in rows.items()
        )
        title = f"{self.table.majority.n} labelled images (95 % interval)"
        notes = "".join(f"<p>Note: {visible_html(notice)}</p>" for notice in self.notices)
        return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


def _cell(scores: Scores, metric: str) -> str:
    value, pair = getattr(scores, metric), scores.intervals.get(metric)
    told = "" if value is None else f"{value:.3f}" + (f"<br><small>{pair[0]:.3f}-{pair[1]:.3f}</small>" if pair else "")
    return f"<td>{told}</td>"


@dataclass(frozen=True)
class _Scored:
    """What methods are fitted on, and what they are scored against. The truth stays out of `fit`."""

    features: FeatureRows
    texts: Callable[[Method], Sequence[NDArray[np.floating]]]
    classes: Sequence[str]
    truth: NDArray[np.int64]
    groups: tuple[str | None, ...] | None = None
    columns: Mapping[str, tuple[str | None, ...]] | None = None
    notices: tuple[str, ...] = ()
    temperature: float | None = None
    done: dict[str, Predicted] | None = None
    answered: NDArray[np.bool_] | None = None


def evaluate(
    target: str | Path | Run,
    *,
    labels: str | Path | None = None,
    methods: Sequence[str | Method] | str | Method | None = None,
    encoder: str | Encoder | None = None,
    replicates: int = 2000,
    ignore_unknown: bool = False,
    against: str | None = None,
    by: Sequence[str] = (),
    ordered: bool = False,
    rule: OperatingRule | None = None,
    reading: Reading | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Score methods on the images of a run or a feature bundle.

    Args:
        target: a run folder of `kpl classify`, or a feature bundle.
        labels: a CSV with image and label, or a folder whose sub-folders are the classes; a bundle brings its own.
        methods: registry names, or methods made by hand; "all", or None for those usually compared: of these, one that
            cannot be used here is left out, and the reason is told. The run's own method is scored by what it says.
        encoder: where the run's encoder is, if not where its name says; a method may need it to read further texts.
        replicates: bootstrap replicates of the intervals.
        ignore_unknown: leave images out whose label is no class of the knowledge, instead of refusing.
        against: compare every other method with this one; None takes the run's own, else `kpl` if it is scored.
        by: columns of the labels whose values are scored apart.
        ordered: the classes are grades in the order of the knowledge.
        rule: choose an operating point for each class.
        reading: which columns of a table of labels are which, and what cells mean, where that is not plain.
        progress: told "methods", how many are done, and how many there are.

    Raises:
        LabelsError, FeaturesError, UnknownNameError: what cannot be used.
        EncoderError: a method that was asked for needs the run's encoder, which is not here or is another one.
    """
    if isinstance(methods, str | Method) and methods != "all":
        methods = (methods,)
    by = (by,) if isinstance(by, str) else by
    asked = methods != "all" and methods is not None
    # an unknown name is refused before anything is read
    fresh = [as_method(each) for each in (METHODS if methods == "all" else EVALUATED if methods is None else methods)]
    if not fresh:
        raise InputError(f"no method to score: name at least one of {', '.join(EVALUATED)}")
    if against is not None and against not in [method.name for method in fresh]:
        raise UnknownNameError("method to compare with", against, [method.name for method in fresh])
    if not isinstance(target, Run) and is_bundle(target):
        _check_bundle(labels, by, of_run=ignore_unknown or encoder is not None or reading not in (None, Reading()))
        scored = _of_bundle(Path(target))
    else:
        scored = _of_run(target, labels, ignore_unknown, by, encoder, reading)
    made = {each.name for each in methods or () if isinstance(each, Method)}
    results, left_out = _learn(fresh, scored, asked=asked, made=made, tell=progress or silent)
    if not asked:
        results |= scored.done or {}
    notices = []
    table = compare(
        scored.truth,
        results,
        n_classes=len(scored.classes),
        groups=scored.groups,
        reference=_reference(against, scored, results),
        resampling=Resampling(replicates),
        ordered=ordered,
        classes=scored.classes,
        rule=rule,
        subgroups=scored.columns,
    )
    if scored.answered is not None:
        name = next(iter(scored.done or ()))
        labelled = scored.truth >= 0
        both = scored.answered & labelled
        right = scored.truth == (scored.done or {})[name].predictions
        share = Answered(float(both.sum() / labelled.sum()), float(right[both].mean()) if both.any() else None)
        told = "" if share.accuracy is None else f"; its accuracy on the others is {share.accuracy:.3f}"
        left = int(labelled.sum() - both.sum())
        notices.append(f"the run left {left} of {labelled.sum()} labelled images without a label{told}")
        table = replace(table, answered={name: share} if name in results else {})
    return Evaluation(table, (*scored.notices, *notices, *caveats(table)), left_out)


def _learn(
    fresh: Sequence[Method],
    scored: _Scored,
    *,
    asked: bool,
    made: Collection[str],
    tell: Callable[[str, int, int], None],
) -> tuple[dict[str, Predicted], dict[str, str]]:
    """Fit the methods; return what they say, and why others were left out, which none is that was asked for by name."""
    results: dict[str, Predicted] = {}
    left_out: dict[str, str] = {}
    for number, method in enumerate(fresh):
        tell("methods", number, len(fresh))
        if scored.done and method.name in scored.done and method.name not in made:
            results[method.name] = scored.done[method.name]
            continue
        if scored.temperature is not None and method.name not in made:
            method.temperature = scored.temperature
        try:
            method.fit(scored.features, scored.texts(method))
        except KplError as error:
            if asked:
                error.args = (f"method {method.name!r} cannot be scored here: {error}",)
                raise
            left_out[method.name] = str(error)
            continue
        results[method.name] = Predicted.of_logits(method.logits(scored.features))
    tell("methods", len(fresh), len(fresh))
    return results, left_out


def _reference(against: str | None, scored: _Scored, results: Mapping[str, Predicted]) -> str | None:
    """Name the method that the others are compared with, among those that were scored."""
    own = next(iter(scored.done or ()), None)
    return next((name for name in (against, own, "kpl") if name is not None and name in results), None)


def _check_bundle(labels: str | Path | None, by: Sequence[str], *, of_run: bool) -> None:
    """Refuse what a feature bundle has no use for."""
    if labels is not None:
        raise LabelsError("a feature bundle brings its own labels.npy: leave --labels out")
    if by:
        raise LabelsError(f"a feature bundle has no column {by[0]!r} to score by: leave it out")
    if of_run:
        raise LabelsError(
            "a feature bundle has neither an encoder nor a table of labels: leave --encoder, --ignore-unknown and what "
            "says how a table is read out"
        )


def _of_bundle(path: Path) -> _Scored:
    bundle = open_bundle(path)
    if bundle.labels is None:
        raise LabelsError(f"{str(path)!r} has no labels.npy, and without labels there is nothing to score")
    return _Scored(
        features=bundle.images,
        texts=lambda method: bundle_texts(method, bundle.descriptions, bundle.templates),
        classes=bundle.classes,
        truth=bundle.labels,
    )


def _of_run(
    target: str | Path | Run,
    labels: str | Path | None,
    ignore_unknown: bool,
    by: Sequence[str],
    encoder: str | Encoder | None,
    reading: Reading | None,
) -> _Scored:
    if not isinstance(target, Run) and not is_run(target):
        raise FeaturesError(
            f"{str(target)!r} is neither a run of `kpl classify` nor a feature bundle: give one of these"
        )
    if labels is None:
        raise LabelsError("labels are needed to score a run: give --labels, a CSV or a folder of class folders")
    run = target if isinstance(target, Run) else open_run(target)
    if not isinstance(run, SingleLabelRun):
        raise LabelsError(f"{str(run.path)!r} is a multi-label run: score it with evaluate_presence")
    said = run.predictions
    truth = run.labels(labels, ignore_unknown=ignore_unknown, columns=by, reading=reading)
    return _Scored(
        features=run.features,
        texts=lambda method: run.texts(method, encoder=encoder),
        classes=run.keys,
        truth=truth.labels,
        groups=truth.groups,
        columns=truth.columns,
        notices=(*([truth.said] if truth.said else []), *truth.notices, *([ROUNDED] if said.ranking is None else [])),
        temperature=float(run.plan["settings"]["temperature"]),
        done={run.method_name: Predicted(said.winners, said.probabilities, said.ranking)},
        answered=said.answered if "abstain" in run.plan else None,
    )
