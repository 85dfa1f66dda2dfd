"""The predictions of a run on the disk: `predictions.csv`, rounded, or a folder of Parquet; `scores.npy` beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.errors import FeaturesError
from kpl.proxies.arrays import Floats, log_odds, softmax
from kpl.runs.predictions import JOINT, MultiLabelPredictions, Predictions, first_two, label_of, told_columns
from kpl.runs.scores import check_exact, has_scores, read_scores
from kpl.runs.tables import has_column, named_column, read_columns, write_columns

_AT_ONCE = 1 << 14  # rows that are written together


def write_predictions(
    place: Path,
    ids: Iterable[str],
    classes: Sequence[str],
    blocks: Iterable[Floats],
    answered: NDArray[np.bool_] | None = None,
    units: Mapping[str, Sequence[Any]] | None = None,
    unlike: Floats | None = None,
    sets: Iterable[str] | None = None,
    sizes: Iterable[int] = (),
) -> NDArray[np.intp]:
    """Write predictions and return the winning class of each image, (n,).

    Args:
        place: the CSV to write, or the folder of Parquet.
        ids: n image names.
        classes: C keys, the order of the columns.
        blocks: (n_k, C) probabilities, in the order of the ids.
        answered: (n,) which images get a label; the others' cell stays empty, and a column `leading` has the likeliest
            class of all. None gives a label to all.
        units: columns (n,) that tell of units; None where every image stands for itself.
        unlike: (n,) as in `Predictions`; a column of its own.
        sets: (n,) class keys that are likely enough, joined; a column of its own.
        sizes: rows of the files of Parquet.
    """
    winners: list[NDArray[np.intp]] = []
    leading = unlike is not None or (answered is not None and not answered.all())
    names, likely = iter(ids), None if sets is None else iter(sets)

    def told() -> Iterator[dict[str, Any]]:
        start = 0
        for block in blocks:
            firsts, seconds = first_two(block)
            winners.append(firsts)
            part = slice(start, start := start + len(block))
            far = None if unlike is None else unlike[part]
            given = [True] * len(block) if answered is None else answered[part]
            keys = [classes[c] if labelled else None for c, labelled in zip(firsts, given, strict=True)]
            labels = list(map(label_of, keys, [None] * len(keys) if far is None else far))
            own = None if likely is None else list(islice(likely, len(block)))
            yield {
                **_named(list(islice(names, len(block))), units, part),
                **told_columns(classes, block, firsts, seconds, labels, leading=leading, unlike=far, sets=own),
            }

    write_columns(place, told(), sizes)
    return np.concatenate(winners)


def _named(names: Sequence[str], units: Mapping[str, Sequence[Any]] | None, part: slice) -> dict[str, Any]:
    """Return the columns that say of what a row is."""
    if units is None:
        return {"image": names}
    return {"unit": names, **{title: values[part] for title, values in units.items()}}


def _check_pictures(path: Path, names: Sequence[str], ids: Sequence[str] | None) -> None:
    """Refuse a table of predictions of other images than those that were classified; None takes any.

    Raises:
        FeaturesError: it is of others, or in another order.
    """
    if ids is not None and tuple(names) != tuple(ids):
        raise FeaturesError(f"{str(path.parent)!r}: predictions and features are of different pictures: classify again")


def read_predictions(
    path: Path,
    classes: Sequence[str],
    ids: Sequence[str] | None = None,
    *,
    unlike: bool = False,
    rows: NDArray[np.intp] | None = None,
) -> Predictions:
    """Read what `write_predictions` and, beside it, `write_scores` wrote.

    Args:
        path: of `predictions.csv`, or of the folder of Parquet.
        classes: C keys.
        ids: the images that it must be of, in their order; None takes any.
        unlike: whether it has a column of this name.
        rows: of it that are wanted, rising; None takes all.

    Raises:
        FeaturesError: a file is missing or damaged, not of these classes, or of other images.
    """
    position = {key: c for c, key in enumerate(classes)}
    try:
        names, labels, runner_keys, *chances = read_columns(
            path, (named_column(path), "label", "runner_up", *(f"p_{key}" for key in classes)), rows
        )
        strange = np.array(read_columns(path, ("unlike",), rows)[0], dtype=np.float64) if unlike else None
        sets = read_columns(path, ("set",), rows)[0] if has_column(path, "set") else None
        if strange is not None:  # the label is of no class
            labels = tuple("" if far >= 1 else key for key, far in zip(labels, strange, strict=True))
        rounded = np.array(chances, dtype=np.float64).T.reshape(len(names), len(classes))
        runners = np.array([position[key] for key in runner_keys], dtype=np.intp)
        best = rounded.copy()
        best[np.arange(len(names)), runners] = -1.0  # six decimals may tie with the runner-up
        winners = np.array(
            [position[key] if key else guess for key, guess in zip(labels, best.argmax(axis=1), strict=True)],
            dtype=np.intp,
        )
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise FeaturesError(f"{str(path)!r} is not the predictions file of this run: classify again") from error
    _check_pictures(path, names, ids)
    answered = np.array([bool(key) for key in labels])
    keys = tuple(classes)
    if not has_scores(path.parent):
        return Predictions(names, keys, winners, runners, answered, rounded, None, strange, sets)
    scores = read_scores(path.parent, rows)
    probabilities = softmax(scores)
    check_exact(path, probabilities, rounded)
    return Predictions(names, keys, winners, runners, answered, probabilities, log_odds(scores), strange, sets)


def write_multi_label_predictions(
    place: Path,
    ids: Iterable[str],
    classes: Sequence[str],
    chances: Floats,
    present: NDArray[np.bool_],
    units: Mapping[str, Sequence[Any]] | None = None,
    sizes: Iterable[int] = (),
) -> None:
    """Write the predictions of a multi-label run; arrays as in `MultiLabelPredictions`, the rest as for the others."""
    names = iter(ids)

    def told() -> Iterator[dict[str, Any]]:
        for start in range(0, len(chances), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            labels = [JOINT.join(classes[c] for c in np.flatnonzero(there).tolist()) for there in present[part]]
            own = {f"p_{key}": chances[part, c] for c, key in enumerate(classes)}
            yield {**_named(list(islice(names, _AT_ONCE)), units, part), "labels": labels, **own}

    write_columns(place, told(), sizes)


def read_multi_label_predictions(
    path: Path, classes: Sequence[str], ids: Sequence[str] | None = None, rows: NDArray[np.intp] | None = None
) -> MultiLabelPredictions:
    """Read the predictions of a multi-label run, with the exact probabilities beside them.

    Arguments and errors as in `read_predictions`.
    """
    position = {key: c for c, key in enumerate(classes)}
    try:
        names, labels, *chances = read_columns(
            path, (named_column(path), "labels", *(f"p_{key}" for key in classes)), rows
        )
        probabilities = np.array(chances, dtype=np.float64).T.reshape(len(names), len(classes))
        present = np.zeros(probabilities.shape, dtype=np.bool_)
        for number, joined in enumerate(labels):
            present[number, [position[key] for key in joined.split(JOINT) if key]] = True
    except (OSError, ValueError, KeyError) as error:
        raise FeaturesError(f"{str(path)!r} is not the predictions file of this run: classify again") from error
    _check_pictures(path, names, ids)
    keys = tuple(classes)
    if not has_scores(path.parent):
        return MultiLabelPredictions(names, keys, present, probabilities, exact=False)
    from scipy.special import expit

    exact = expit(read_scores(path.parent, rows))
    check_exact(path, exact, probabilities)
    return MultiLabelPredictions(names, keys, present, exact)
