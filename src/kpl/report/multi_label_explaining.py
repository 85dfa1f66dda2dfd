"""The evidence for each class of a picture of a multi-label run: present against absent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kpl.errors import FeaturesError
from kpl.runs import MultiLabelRun, MultiLabelSentence, Run, open_run


@dataclass(frozen=True)
class ClassExplained:
    """Why a class is present in a picture, or is not.

    Attributes:
        class_name: its name.
        present: what the run says.
        probability, threshold: as in predictions.csv and run.json.
        margin: log odds of the probability less those of the threshold, the sum of the shares; against an even chance
            where the threshold is 0 or 1.
        sentences: all of the class, those that speak for presence first.
        nearest: the nearest other pictures of the run that have the class, and that have it not, with cosines.
    """

    class_name: str
    present: bool
    probability: float
    threshold: float
    margin: float
    sentences: tuple[MultiLabelSentence, ...]
    nearest: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]


def explain_classes(run: str | Path | Run, image: str) -> tuple[str, tuple[ClassExplained, ...]]:
    """Explain what a multi-label run says of one picture, class by class.

    Args:
        run: a run folder of `kpl classify --multi-label`.
        image: the picture's id, as predictions.csv has it, or the end of it where that names one picture only.

    Returns:
        The picture's id, and its classes: those that it has, then the others, the likeliest first.

    Raises:
        FeaturesError: it is no finished multi-label run, or damaged.
        UnknownNameError: the run has no such picture.
        InputError: the end of a name fits several pictures.
    """
    seen = run if isinstance(run, Run) else open_run(run)
    if not isinstance(seen, MultiLabelRun):
        raise FeaturesError(f"{str(seen.path)!r} is no multi-label run: it gives each picture one label")
    row = seen.row_of(image)
    order = np.lexsort((-seen.predictions.probabilities[row], ~seen.predictions.present[row])).tolist()
    return seen.ids[row], tuple(_class_explained(seen, row, c) for c in order)


def _class_explained(seen: MultiLabelRun, row: int, class_index: int) -> ClassExplained:
    sentences = seen.sentences(row, class_index)
    name = seen.class_names[class_index]
    return ClassExplained(
        class_name=name,
        present=bool(seen.predictions.present[row, class_index]),
        probability=float(seen.predictions.probabilities[row, class_index]),
        threshold=float(seen.thresholds[class_index]),
        margin=sum(each.share for each in sentences),
        sentences=sentences,
        nearest=tuple(
            (
                f"where {name} is {'present' if present else 'absent'}",
                tuple((seen.ids[other], cosine) for other, cosine in seen.nearest(row, class_index, present=present)),
            )
            for present in (True, False)
        ),
    )
