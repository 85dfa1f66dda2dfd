"""Score a finished run, or a feature bundle, against labels: methods side by side, learnt without the labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import FeatureRows, is_bundle, open_bundle
from kpl.encoders import Encoder
from kpl.errors import FeaturesError, InputError, KplError, LabelsError, UnknownNameError
from kpl.evaluation import (
    Answered,
    MultiLabelTable,
    OperatingRule,
    Predicted,
    Reading,
    Resampling,
    Table,
    Unlisted,
    caveats,
    compare,
    score_multi_label,
    table_figure,
    told_unlisted,
)
from kpl.evaluation.weighted import IntArray
from kpl.knowledge import Level, levels
from kpl.methods import METHODS, Method, as_method
from kpl.progress import Progress, silent
from kpl.proxies.arrays import Floats
from kpl.runs import scored
from kpl.runs.corrections import LEARNT, learnt_from
from kpl.runs.folder import is_run
from kpl.runs.levels import compared_above
from kpl.runs.multi_label import MultiLabelRun
from kpl.runs.opening import open_run
from kpl.runs.predictions import ROUNDED
from kpl.runs.run import Run
from kpl.runs.single_label import SingleLabelRun
from kpl.runs.tables import as_pandas
from kpl.runs.texts import bundle_texts
from kpl.runs.units import fit_on, labelled_copies

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

EVALUATED = ("names", "cupl", "text", "inmap", "kpl-official", "kpl")
_NO_LABELS = "labels are needed to score a run: give --labels, a table or a folder of class folders"
_BY_ITSELF = "a multi-label run is scored by itself, against a table of labels: leave out {}"


@dataclass(frozen=True)
class Evaluation:
    """Methods side by side on the same images; of a multi-label run, its classes.

    Attributes:
        table: scores with intervals, details of each method, and the majority and chance rows.
        notices: what was left out of the scoring, and what stands against the method, in plain words.
        left_out: methods that were not scored, with the reason.
        levels: where the classes form a tree, the number of each level above them, 1 for the outermost, to its table;
            labels may name groups too. Where all do, `table` is that of the innermost level that they name.
        unlisted: how pictures of no listed class were told, where the run looked for them and the labels name some.
        names: of the classes, by their keys.
    """

    table: Table | MultiLabelTable
    notices: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[int, Table] = field(default_factory=dict)
    unlisted: Unlisted | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def methods(self) -> Table:
        """The table of a run of one label a picture, or of a bundle.

        Raises:
            InputError: it is of a multi-label run.
        """
        if isinstance(self.table, MultiLabelTable):
            raise InputError("a multi-label run is scored by itself, class by class: it has no table of methods")
        return self.table

    @property
    def multi_label(self) -> MultiLabelTable:
        """The table of a multi-label run.

        Raises:
            InputError: it is of one label a picture.
        """
        if not isinstance(self.table, MultiLabelTable):
            raise InputError("a run of one label a picture has a table of methods, none of classes by themselves")
        return self.table

    def figure(self, *, focus: str | None = None) -> Figure:
        """Draw the table; return matplotlib's `Figure`, which a notebook shows.

        Args:
            focus: the method of the confusion matrix and the reliability; None takes the run's own, else the best.

        Raises:
            InputError: it is of a multi-label run, which has no such figure.
        """
        return table_figure(self.methods, focus=focus)

    def rows(self) -> list[dict[str, str | float | None]]:
        """Return a row a method, or a class of a multi-label run: its name, each metric, and the interval of each."""
        return scored.rows(self.table)

    def to_pandas(self) -> pandas.DataFrame:
        """Return `rows` as a pandas DataFrame.

        Raises:
            InputError: pandas is not installed.
        """
        return as_pandas(self.rows())

    def to_markdown(self) -> str:
        """Return the table in Markdown, each figure with its interval."""
        return scored.markdown(self.table)

    def to_latex(self) -> str:
        """Return the table in LaTeX with the rules of `booktabs`, each figure with its interval."""
        return scored.latex(self.table)

    def _repr_html_(self) -> str:
        return scored.html(self.table, self.notices)


@dataclass(frozen=True)
class _Scored:
    """What methods are fitted on, and what they are scored against. The truth stays out of `fit`."""

    features: FeatureRows
    texts: Callable[[Method], Sequence[NDArray[np.floating]]]
    classes: Sequence[str]
    truth: NDArray[np.int64]
    groups: tuple[str | None, ...] | None = None
    group_column: str | None = None
    columns: Mapping[str, tuple[str | None, ...]] | None = None
    notices: tuple[str, ...] = ()
    temperature: float | None = None
    done: dict[str, Predicted] | None = None
    answered: NDArray[np.bool_] | None = None
    pooled: Callable[[Floats], Floats] = lambda logits: logits
    levels: tuple[Level, ...] = ()
    above: Mapping[int, IntArray] = field(default_factory=dict)
    strange: tuple[NDArray[np.bool_] | None, Floats | None] = (None, None)
    names: Mapping[str, str] = field(default_factory=dict)


def evaluate(
    target: str | Path | Run,
    *,
    labels: str | Path | None = None,
    methods: Sequence[str | Method] | str | Method | None = None,
    encoder: str | Encoder | None = None,
    replicates: int = 2000,
    ignore_unknown: bool = False,
    against: str | None = None,
    by: str | Sequence[str] = (),
    ordered: bool = False,
    rule: OperatingRule | None = None,
    reading: Reading | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score methods on the images of a run or a feature bundle.

    Args:
        target: a run folder of `kpl classify`, or a feature bundle. A multi-label run is scored by itself, class by
            class; it takes no methods, encoder, `against`, `ordered` and `ignore_unknown`.
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
    by = (by,) if isinstance(by, str) else by
    target = open_run(target) if not isinstance(target, Run) and is_run(target) else target
    if isinstance(target, MultiLabelRun):
        unfit = {"--methods": methods, "--encoder": encoder, "--against": against, "--ordered": ordered}
        unfit |= {"--ignore-unknown": ignore_unknown}
        return _of_several(target, labels, unfit, by, Resampling(replicates), rule, reading)
    if isinstance(methods, str | Method) and methods != "all":
        methods = (methods,)
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
    results |= {} if asked else scored.done or {}
    alike: dict[str, Any] = {"groups": scored.groups, "group_column": scored.group_column, "subgroups": scored.columns}
    alike |= {"reference": _reference(against, scored, results), "resampling": Resampling(replicates)}
    above = compared_above(scored.levels, scored.above, results, **alike)
    answered, notices = _answered(scored)
    if above and not (scored.truth >= 0).any():
        number, table = above.popitem()
        notices.append(f"no label names a class, all name groups: every figure is of level {number} above the classes")
    else:
        n_classes = len(scored.classes)
        how: dict[str, Any] = {"ordered": ordered, "classes": scored.classes, "rule": rule}
        table = compare(scored.truth, results, n_classes=n_classes, **how, **alike)
        table = replace(table, answered={name: share for name, share in answered.items() if name in results})
    strange, said = told_unlisted(*scored.strange, scored.truth >= 0, scored.groups, replicates)
    told = (*scored.notices, *notices, *said, *caveats(table, scored.names))
    return Evaluation(table, told, left_out, above, strange, scored.names)


def _answered(scored: _Scored) -> tuple[dict[str, Answered], list[str]]:
    """Say what share of the labelled images the run gave a label, and how many of these are right."""
    labelled = scored.truth >= 0
    if scored.answered is None or not labelled.any():
        return {}, []
    name, own = next(iter((scored.done or {}).items()))
    right = scored.truth == own.predictions
    both = scored.answered & labelled
    share = Answered(float(both.sum() / labelled.sum()), float(right[both].mean()) if both.any() else None)
    told = "" if share.accuracy is None else f"; its accuracy on the others is {share.accuracy:.3f}"
    left = int(labelled.sum() - both.sum())
    return {name: share}, [f"the run left {left} of {labelled.sum()} labelled images without a label of a class{told}"]


def _learn(
    fresh: Sequence[Method],
    scored: _Scored,
    *,
    asked: bool,
    made: Collection[str],
    tell: Progress,
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
            method.fit(scored.features, scored.texts(method), weights=fit_on(method, scored.features))
        except KplError as error:
            if asked:
                error.args = (f"method {method.name!r} cannot be scored here: {error}",)
                raise
            left_out[method.name] = str(error)
            continue
        results[method.name] = Predicted.of_logits(scored.pooled(method.logits(scored.features)))
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
    if not isinstance(target, SingleLabelRun):
        raise FeaturesError(
            f"{str(target)!r} is neither a run of `kpl classify` nor a feature bundle: give one of these"
        )
    if labels is None:
        raise LabelsError(_NO_LABELS)
    run, said = target, target.predictions
    truth = run.labels(labels, ignore_unknown=ignore_unknown, columns=by, reading=reading, groups=True)
    seen = learnt_from(run)
    if seen:
        own = np.array([image in seen for image in run.ids])
        above = {number: np.where(own, -1, places) for number, places in truth.above.items()}
        truth = replace(truth, labels=np.where(own, -1, truth.labels), unlisted=truth.unlisted & ~own, above=above)
    return _Scored(
        features=run.features,
        texts=lambda method: run.texts(method, encoder=encoder),
        classes=run.keys,
        truth=truth.labels,
        groups=truth.groups,
        group_column=truth.group_column,
        columns=truth.columns,
        notices=(
            *([truth.said] if truth.said else []),
            *([LEARNT.format(len(seen))] if seen else []),
            *truth.notices,
            *labelled_copies(run.features.of_units, run.keys, truth.labels, truth.groups, truth.group_column),
            *([ROUNDED] if said.ranking is None else []),
        ),
        temperature=float(run.plan["settings"]["temperature"]),
        done={run.method_name: Predicted(said.winners, said.probabilities, said.ranking)},
        answered=said.answered if {"abstain", "other"} & set(run.plan) else None,
        pooled=run.pooled,
        levels=levels(run.knowledge),
        above=truth.above,
        strange=(truth.unlisted, said.unlike),
        names=dict(zip(run.keys, run.class_names, strict=True)),
    )


def _of_several(
    run: MultiLabelRun,
    labels: str | Path | None,
    unfit: Mapping[str, object],
    by: Sequence[str],
    resampling: Resampling,
    rule: OperatingRule | None,
    reading: Reading | None,
) -> Evaluation:
    """Score a run in which each class is present or not by itself."""
    if given := [name for name, value in unfit.items() if value]:
        raise LabelsError(_BY_ITSELF.format(", ".join(given)))
    if labels is None:
        raise LabelsError(_NO_LABELS)
    truth = run.labels(labels, columns=by, reading=reading)
    table = score_multi_label(
        truth.present,
        run.predictions.probabilities,
        run.keys,
        run.thresholds,
        groups=truth.groups,
        group_column=truth.group_column,
        resampling=resampling,
        rule=rule,
        subgroups=truth.columns,
    )
    notices = (truth.said, *truth.notices, *([] if run.predictions.exact else [ROUNDED]))
    return Evaluation(table, notices, names=dict(zip(run.keys, run.class_names, strict=True)))
