"""Of a run of more pictures than a report shows, a sample: of each class in proportion, with the counts of all."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeVar

import numpy as np

from kpl.proxies.arrays import log_odds
from kpl.runs.multi_label import MultiLabelRun
from kpl.runs.scores import has_scores, read_scores
from kpl.runs.single_label import SingleLabelRun
from kpl.runs.thumbnails import shown_rows
from kpl.runs.whole import Whole

SHOWN_AT_MOST: Final = 1 << 16
"""Pictures of a run that a report shows whole."""
_SAMPLE: Final = 1 << 14
_BLOCK: Final = 1 << 16  # rows that are looked at together

Kind = TypeVar("Kind", SingleLabelRun, MultiLabelRun)


def sampled(run: Kind, most: int = SHOWN_AT_MOST, size: int = _SAMPLE) -> Kind:
    """Return a run as a report shows it: itself, or of a larger one a sample that is a run like any other.

    Its pictures are drawn evenly from all, ordered by class and by how sure that is, and with them come the surest and
    the least sure of each class. Memory holds a few bytes of the others. `Run.whole` has their number, and that of each
    class. A run with units of several pictures is not sampled, nor one of an earlier version without scores.

    Args:
        run: to look at.
        most: pictures that are shown whole.
        size: of the sample.

    Raises:
        FeaturesError: the scores are damaged.
    """
    if run.n <= most or not run.features.plain or not has_scores(run.path):
        return run
    winners, sureness = np.empty(run.n, np.int32), np.empty(run.n, np.float32)
    for start in range(0, run.n, _BLOCK):
        part = np.arange(start, min(start + _BLOCK, run.n))
        scores = read_scores(run.path, part)
        odds = scores if isinstance(run, MultiLabelRun) else log_odds(scores)
        winners[part], sureness[part] = odds.argmax(axis=1), odds.max(axis=1)
    order = np.lexsort((sureness, winners))
    rows = [order[np.linspace(0, run.n - 1, size).round().astype(np.intp)]]
    rows += shown_rows(winners.astype(np.intp), sureness.astype(np.float64), len(run.keys))
    chosen = np.unique(np.concatenate(rows))
    counts = np.bincount(winners, minlength=len(run.keys))
    if isinstance(run, MultiLabelRun):
        counts = np.array(list(run.counts.values()))
    return replace(run, features=run.features.only(chosen), whole=Whole(run.n, counts, chosen))
