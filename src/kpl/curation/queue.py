"""Which pictures a reader should look at first: where one look tells most."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from kpl.errors import InputError, UnknownNameError
from kpl.proxies.anchored import LEAST_VARIANCE, AnchoredSettings
from kpl.proxies.arrays import Floats
from kpl.runs import Predictions
from kpl.runs.corrections import Decided

REASONS = ("coverage", "doubt", "disagreement")
"""coverage: the picture is the most typical one of a group of like pictures (k-means where classes scatter alike in all
directions), the largest group first. doubt: its class is the least sure. disagreement: the text alone says another
class, the surest of that first."""
_LEAST_GROUPS = 8
_MOST_ROWS = 20_000  # that are grouped; of a larger run every so manieth
_TURNS = 10
_RIDGE = AnchoredSettings.ridge


@dataclass(frozen=True)
class Queued:
    """A picture to look at.

    Attributes:
        row, image: which.
        label: key that the run gave it; None where it abstained.
        runner_up: key of the second likeliest class.
        confidence: of the likeliest class.
        reason: one of `REASONS`.
    """

    row: int
    image: str
    label: str | None
    runner_up: str
    confidence: float
    reason: str


class Asked(Decided, Protocol):
    """What a queue is made of: features and the text's own predictions beside what was decided."""

    @property
    def images(self) -> NDArray[np.float32]:
        """Features of the pictures, (n, d) unit rows."""

    @property
    def text(self) -> Predictions:
        """What the text proxies alone say."""


def queue(
    run: Asked, n: int, *, by: Sequence[str] = ("coverage",), done: Collection[str] = (), seed: int = 0
) -> list[Queued]:
    """Choose pictures to look at, by the reasons in turn, each picture once.

    `kpl learn` gained most from pictures chosen by coverage alone: benchmarks/correcting.py.

    Args:
        run: a finished run.
        n: how many; fewer if there are no more.
        by: of `REASONS`, in the order of their turns.
        done: pictures to leave out, because somebody looked at them.
        seed: of the grouping.

    Raises:
        UnknownNameError: no such reason.
        InputError: n below one, or no reason.
    """
    if unknown := [reason for reason in by if reason not in REASONS]:
        raise UnknownNameError("reason to look", unknown[0], REASONS)
    if n < 1 or not by:
        raise InputError(f"a queue has at least one picture and one reason, got n = {n} by {list(by)}")
    skipped = set(done)
    open_rows = np.array([row for row, image in enumerate(run.ids) if image not in skipped], dtype=np.intp)
    turns = {reason: iter(_ORDERS[reason](run, open_rows, n, seed)) for reason in dict.fromkeys(by)}
    chosen: dict[int, str] = {}
    while turns and len(chosen) < n:
        for reason in list(turns):
            row = next((row for row in turns[reason] if row not in chosen), None)
            if row is None:
                del turns[reason]
            elif len(chosen) < n:
                chosen[row] = reason
    said = run.predictions
    return [
        Queued(row, told.id, told.label, told.runner_up, told.confidence, reason)
        for row, reason in chosen.items()
        for told in [said[row]]
    ]


def _by_doubt(run: Asked, rows: NDArray[np.intp], _n: int, _seed: int) -> Iterable[int]:
    return map(int, rows[np.argsort(run.predictions.sureness[rows], kind="stable")])


def _by_disagreement(run: Asked, rows: NDArray[np.intp], _n: int, _seed: int) -> Iterable[int]:
    other = rows[run.text.winners[rows] != run.predictions.winners[rows]]
    return map(int, other[np.argsort(-run.text.sureness[other], kind="stable")])


def _by_coverage(run: Asked, rows: NDArray[np.intp], n: int, seed: int) -> Iterable[int]:
    if not len(rows):
        return []
    rows = rows[:: max(1, len(rows) // _MOST_ROWS)]
    features = _whitened(run.images[rows].astype(np.float64), run.predictions.winners[rows], len(run.keys))
    groups = min(len(np.unique(features, axis=0)), max(n, _LEAST_GROUPS))  # pictures all alike are one group
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a group that lost its last picture is no fault
        centres, member = kmeans2(features, groups, minit="++", seed=seed, iter=_TURNS)
    return [int(rows[row]) for row in _most_typical(features, centres, member)]


def _whitened(features: Floats, winners: NDArray[np.intp], n_classes: int) -> Floats:
    """Return features (n, d) in which pictures of one class scatter alike in all directions."""
    features = features - features.mean(axis=0)
    member = np.eye(n_classes)[winners]
    means = (member.T @ features) / np.maximum(member.sum(axis=0), 1)[:, None]
    within = features - means[winners]
    covariance = within.T @ within / len(features)
    variance = max(float(np.square(features).sum()) / len(features), LEAST_VARIANCE)
    ridge = _RIDGE * variance / np.sqrt(len(features))
    covariance[np.diag_indices_from(covariance)] += ridge
    return np.asarray(features @ np.linalg.cholesky(np.linalg.inv(covariance)))


def _most_typical(features: Floats, centres: Floats, member: NDArray[np.integer]) -> list[int]:
    """Return the row nearest to the centre of each group, that of the largest first."""
    distances = np.linalg.norm(features - centres[member], axis=1)
    sizes = np.bincount(member, minlength=len(centres))
    order = np.argsort(-sizes, kind="stable")
    return [int(inside[distances[inside].argmin()]) for g in order if len(inside := np.flatnonzero(member == g))]


_ORDERS = {"doubt": _by_doubt, "disagreement": _by_disagreement, "coverage": _by_coverage}
