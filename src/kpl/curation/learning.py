"""Learning on from corrected pictures: a mode of its own that uses labels, and no method of the registry.

What people said of pictures is clamped in the sums of every round: a corrected picture has the whole mass of its class,
one that shows none of the classes takes no part. The corrected pictures together weigh as much as all the others,
though none more than `MOST_WEIGHT` pictures, for a handful among thousands would move nothing.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from kpl.encoders import Encoder
from kpl.errors import InputError
from kpl.evaluation import NONE_OF_THESE
from kpl.methods import KPL
from kpl.proxies.arrays import Descriptions, Floats
from kpl.proxies.sums import ClassSums, sum_images
from kpl.runs import Learnt, Model, SingleLabelRun, classify
from kpl.runs.corrections import UNSURE, lines_of, read_corrections, settled
from kpl.runs.folder import CORRECTIONS_FILE, FEATURES_FOLDER
from kpl.runs.single_label import CORRECTED
from kpl.runs.thumbnails import THUMBNAILS_FILE

MOST_WEIGHT = 20.0


@dataclass(kw_only=True, eq=False)
class CorrectedKPL(KPL):
    """`KPL` that learns from corrected pictures too; it stands outside the registry, whose methods see no label.

    Attributes:
        known_: class sums of the corrected pictures.

    Example:
        >>> images, texts = np.eye(3)[[0, 0, 1, 1, 2]], [np.eye(3)[:1], np.eye(3)[1:2]]
        >>> learnt = CorrectedKPL().fit_corrected(images, texts, {4: 1})
        >>> learnt.predict(images).tolist()
        [0, 0, 1, 1, 1]
    """

    name: ClassVar[str] = CORRECTED
    summary: ClassVar[str] = "kpl, learning on from corrected pictures"

    known_: ClassSums = field(init=False, repr=False)

    def fit_corrected(
        self,
        images: NDArray[np.floating],
        descriptions: Descriptions,
        corrected: Mapping[int, int | None],
        *,
        weights: Floats | None = None,
    ) -> Self:
        """Learn from images of which some are corrected.

        Args:
            images: (n, d) unit rows.
            descriptions: C arrays (m_c, d) of unit rows.
            corrected: row to class index; None for an image of none of the classes.
            weights: (n,) as in `fit`.

        Raises:
            InputError: no image is left that is not corrected.
            FeaturesError: as in `fit`.
        """
        rows = np.array([row for row, index in corrected.items() if index is not None], dtype=np.intp)
        classes = np.array([index for index in corrected.values() if index is not None], dtype=np.intp)
        free = np.setdiff1d(np.arange(len(images)), list(corrected))
        if not len(free):
            raise InputError("every picture is corrected: there is nothing left to learn about")
        given = np.ones(len(images)) if weights is None else np.asarray(weights, dtype=np.float64)
        self.known_ = ClassSums(len(descriptions), images.shape[1])
        moments = sum_images(images[free], given[free])
        if len(rows):
            own = given[rows] * np.clip(given[free].sum() / given[rows].sum(), 1.0, MOST_WEIGHT)
            self.known_.update(images[rows].astype(np.float64), np.eye(len(descriptions))[classes], own)
            moments = moments.merged(sum_images(images[rows], own))
        return self.fit_moments(images[free], moments, descriptions, weights=given[free])

    def _known(self) -> ClassSums:
        return self.known_


@dataclass(frozen=True)
class Moved:
    """What learning on came to.

    Attributes:
        run: the new one.
        learnt, none, disputed, unsure: pictures that were learnt from, that show none of the classes, that readers
            disagree on, that nobody was sure of; the last two were learnt from as if nobody had looked.
        moves: (label before, label now) to the number of pictures that nobody corrected.
    """

    run: SingleLabelRun
    learnt: int
    none: int
    disputed: int
    unsure: int
    moves: Mapping[tuple[str, str], int]


def learn(
    run: SingleLabelRun,
    out: str | Path,
    *,
    encoder: str | Encoder | None = None,
    overwrite: bool = False,
    finish: Callable[[Path], object] | None = None,
) -> Moved:
    """Learn on from the corrections of a run, and write what comes out as a run of its own.

    Args:
        run: by `kpl`, or by this mode itself, with corrections.
        out: the run folder to make.
        encoder: where the run's encoder is, if not where its name says.
        overwrite: replace an earlier run in `out`.
        finish: called with the new run folder before it gets its name, to write more into it.

    Raises:
        InputError: the run is by another method, or has no correction to learn from.
        KplError: as `classify`.
    """
    if run.method_name not in (KPL.name, CORRECTED):
        raise InputError(
            f"the run is by {run.method_name!r}, and corrections are learnt by the sums of {KPL.name!r}: classify with "
            f"--method {KPL.name}, and correct that run"
        )
    corrections = read_corrections(run)
    agreed, disputed = settled(corrections)
    sure = {image: word for image, word in agreed.items() if word != UNSURE}
    if not sure:
        raise InputError(
            "the run has no correction that readers agree on: make some with `kpl correct`, or settle what they "
            "disagree on with `kpl correct --final`"
        )
    index = {key: place for place, key in enumerate(run.keys)}
    units = run.features.of_units
    said = {
        row: None if word == NONE_OF_THESE else index[word]
        for image, word in sure.items()
        for row in np.flatnonzero(units.of_rows == run.row_of(image)).tolist()
    }
    method = CorrectedKPL(**run.plan["settings"]).fit_corrected(
        run.features.load().astype(np.float64), list(run.descriptions), said, weights=units.weights
    )
    lot = Learnt(pictures=run.plan["pictures"], rows=run.n)
    model = Model(method, run.knowledge, run.plan["encoder"], run.encoder_name, (lot,), exact=True)

    def keep(folder: Path) -> None:
        # those that were learnt from: somebody may have said more meanwhile
        (folder / CORRECTIONS_FILE).write_text(lines_of(corrections), encoding="utf-8")
        # of a unit of several instances another one may speak loudest now
        if run.pooling.plain and (run.path / THUMBNAILS_FILE).exists():
            shutil.copyfile(run.path / THUMBNAILS_FILE, folder / THUMBNAILS_FILE)
        if finish:
            finish(folder)

    learnt = classify(
        run.path / FEATURES_FOLDER,
        model=model,
        out=out,
        encoder=encoder,
        pool=run.plan.get("pool"),
        overwrite=overwrite,
        finish=keep,
    )
    none = sum(word == NONE_OF_THESE for word in sure.values())
    looked = {each.image for each in corrections}
    unsure = len(looked - set(sure) - set(disputed))
    return Moved(learnt, len(sure) - none, none, len(disputed), unsure, _moves(run, learnt, sure))


def _moves(run: SingleLabelRun, learnt: SingleLabelRun, corrected: Collection[str]) -> dict[tuple[str, str], int]:
    """Count the changes of class among what nobody corrected, the commonest first."""
    before, now = run.predictions.winners, learnt.predictions.winners
    moved = [row for row in np.flatnonzero(before != now).tolist() if run.ids[row] not in corrected]
    return dict(Counter((run.keys[before[row]], run.keys[now[row]]) for row in moved).most_common())
