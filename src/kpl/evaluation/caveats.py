"""What a table of scores gives cause to say in words: what its figures would let a hasty reader overlook."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kpl.evaluation.comparison import Scores, Table

_LEVEL = 0.05
_LISTED = 5


def caveats(table: Table, names: Mapping[str, str] | None = None) -> list[str]:
    """Say what stands against the method of the table's reference; nothing without a reference.

    No better than the majority or than guessing, beaten by another method, or a macro F1 that classes without a
    labelled image pull down. `names` are of the classes, by their keys.

    Example:
        >>> from kpl.evaluation import Predicted, compare
        >>> truth, said = np.arange(40) % 2, np.arange(40) // 2 % 2
        >>> caveats(compare(truth, {"kpl": Predicted(said)}, n_classes=2, reference="kpl"))[0]
        'kpl is not shown to beat the majority rate: its accuracy of 0.500 (0.350 to 0.650) does not rise above 0.500'
    """
    name = table.reference
    if name is None:
        return []
    own, majority = table.scores[name], table.majority
    found = []
    if _reaches(own, "accuracy", majority.accuracy):
        told = f"its accuracy of {_told(own, 'accuracy')} does not rise above {majority.accuracy:.3f}"
        found.append(f"{name} is not shown to beat the majority rate: {told}")
    if _reaches(own, "balanced_accuracy", majority.balanced_accuracy):
        told = f"its balanced accuracy of {_told(own, 'balanced_accuracy')} does not rise above"
        found.append(f"{name} is not shown to beat guessing: {told} {majority.balanced_accuracy:.3f}")
    better = [
        f"{other} by {difference.accuracy:.3f} (p {difference.p_holm:.2g})"
        for other, difference in table.differences.items()
        if difference.p_holm is not None and difference.p_holm < _LEVEL and difference.accuracy > 0
    ]
    if better:
        found.append(f"more accurate than {name} here, after Holm's correction: {', '.join(better)}")
    return found + _unlabelled(table, name, names or {})


def _unlabelled(table: Table, name: str, names: Mapping[str, str]) -> list[str]:
    """Name the classes without a labelled image that images went to: each counts as zero in macro F1."""
    if name not in table.details:
        return []
    classes = table.details[name].classes
    strays = [
        f"{names.get(key, key)} ({scores.predicted})"
        for key, scores in classes.items()
        if not scores.n and scores.predicted
    ]
    if not strays:
        return []
    listed = ", ".join(strays[:_LISTED]) + (f" and {len(strays) - _LISTED} more" if len(strays) > _LISTED else "")
    mean = np.mean([scores.f1 for scores in classes.values() if scores.n and scores.f1 is not None])
    return [
        f"{name} gave images to classes without a labelled image, {listed}, which count as 0 in its macro F1 of "
        f"{table.scores[name].macro_f1:.3f}: its mean F1 over the classes with labelled images is {mean:.3f}"
    ]


def _reaches(own: Scores, metric: str, rate: float) -> bool:
    pair = own.intervals.get(metric)
    return pair is not None and pair[0] <= rate


def _told(own: Scores, metric: str) -> str:
    low, high = own.intervals[metric] or (0.0, 1.0)
    return f"{own.figures[metric]:.3f} ({low:.3f} to {high:.3f})"
