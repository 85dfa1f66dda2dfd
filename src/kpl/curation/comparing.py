"""Two runs side by side: where they agree, what moved from which class to which, and which is better by labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kpl.errors import InputError
from kpl.evaluation import (
    Difference,
    Reading,
    Resampling,
    cohen_kappa,
    count_units,
    paired_difference,
    unit_told,
)
from kpl.runs import SingleLabelRun
from kpl.runs.corrections import LEARNT, learnt_from

NO_LABEL = "(no label)"


@dataclass(frozen=True)
class Comparison:
    """What two runs say of the pictures that both have.

    Attributes:
        both, only_first, only_second: pictures.
        agreement: share of `both` with the same label.
        kappa: Cohen's; None where it is not defined.
        moves: (label in the first, label in the second) to pictures, the commonest first.
        labelled: pictures of `both` with a true label; None without labels.
        accuracy: of the first and the second on these.
        difference: accuracy of the second less that of the first, paired.
        unit: what its interval is over, in words; None without labels.
        notices: what the user should be told of the labels.
    """

    both: int
    only_first: int
    only_second: int
    agreement: float
    kappa: float | None
    moves: Mapping[tuple[str, str], int]
    labelled: int | None = None
    accuracy: tuple[float, float] | None = None
    difference: Difference | None = None
    unit: str | None = None
    notices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return all figures; `moves` as a list of {first, second, pictures}."""
        moves = [{"first": one, "second": two, "pictures": count} for (one, two), count in self.moves.items()]
        return asdict(self) | {"moves": moves}


def compare_runs(
    first: SingleLabelRun,
    second: SingleLabelRun,
    *,
    labels: str | Path | None = None,
    reading: Reading | None = None,
    replicates: int = 2000,
) -> Comparison:
    """Compare what two runs say of the same pictures; classes are the same where their keys are.

    Args:
        first, second: runs of one label a picture, of the same pictures or some of them.
        labels: as in `read_labels`, by the names of the first run's classes.
        reading: of the labels.
        replicates: of the interval.

    Raises:
        InputError: they have no picture in common.
        LabelsError: the labels cannot be used.
    """
    place = {image: row for row, image in enumerate(second.ids)}
    pairs = [(row, place[image]) for row, image in enumerate(first.ids) if image in place]
    if not pairs:
        raise InputError(
            f"the runs have no picture in common: the first has such as {first.ids[0]!r}, the second {second.ids[0]!r}"
        )
    said = [(first.predictions[one].label or NO_LABEL, second.predictions[two].label or NO_LABEL) for one, two in pairs]
    words = sorted({word for pair in said for word in pair})
    ones, twos = (np.array([words.index(pair[at]) for pair in said]) for at in (0, 1))
    kappa = float(cohen_kappa(ones, twos))
    found = Comparison(
        both=len(pairs),
        only_first=first.n - len(pairs),
        only_second=second.n - len(pairs),
        agreement=float(np.mean(ones == twos)),
        kappa=None if np.isnan(kappa) else kappa,
        moves=dict(Counter(pair for pair in said if pair[0] != pair[1]).most_common()),
    )
    if labels is None:
        return found
    truth = first.labels(labels, ignore_unknown=True, reading=reading)
    seen = learnt_from(first) | learnt_from(second)
    rows = [at for at, (one, _) in enumerate(pairs) if truth.labels[one] >= 0 and first.ids[one] not in seen]
    if not rows:
        raise InputError("none of the pictures that both runs have is labelled, those left out that were corrected")
    words += [key for key in first.keys if key not in words]
    right = np.array([words.index(first.keys[truth.labels[pairs[at][0]]]) for at in rows])
    groups = None if truth.groups is None else [truth.groups[pairs[at][0]] for at in rows]
    difference = paired_difference(right, twos[rows], ones[rows], groups=groups, resampling=Resampling(replicates))
    return replace(
        found,
        labelled=len(rows),
        accuracy=(float(np.mean(ones[rows] == right)), float(np.mean(twos[rows] == right))),
        difference=difference,
        unit=unit_told(len(rows), count_units(groups, range(len(rows))), truth.group_column),
        notices=tuple(filter(None, (truth.said, LEARNT.format(len(seen)) if seen else "", *truth.notices))),
    )
