"""Methods that judge a batch as a whole: what they found for its images is kept, and given back image by image."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from kpl.methods.contract import Method
from kpl.proxies.arrays import Floats, Images, chunks
from kpl.proxies.sums import ImageMoments

_GRID = float(1 << 22)  # rows that differ by less are the same image: above float64's rounding, below float32's


@dataclass(kw_only=True, eq=False)
class Transductive(Method):
    """A method that holds all images of a batch at once, because each one's result depends on the others.

    `predict` on images of the batch, in any order and number, gives what was found for them in the batch; identical
    images get the mean of their scores. What an image that was not in the batch gets is said by each method.

    A subclass implements `_judge` (all images at once) and `_extend` (images from outside).

    Attributes:
        batch_scores_: (m, C) scores of the m distinct images of the batch.
        batch_keys_: (m,) by which they are recognised, sorted.
    """

    batch_only: ClassVar[str] = "it judges a batch as a whole, and what it found is about those images alone"
    unweighted: ClassVar[str] = "its graph of neighbours joins images, each of which is one"

    batch_scores_: Floats = field(init=False, repr=False)
    batch_keys_: NDArray[np.uint64] = field(init=False, repr=False)

    @abstractmethod
    def _judge(self, images: Floats) -> Floats:
        """Learn from the whole batch (n, d) and return its scores (n, C)."""

    @abstractmethod
    def _extend(self, rows: Floats) -> Floats:
        """Return the scores (m, C) of images that were not in the batch."""

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        del moments, weights
        batch = np.concatenate(list(chunks(images)))
        scores = self._judge(batch)
        self.batch_keys_, places, times = np.unique(_keys(batch), return_inverse=True, return_counts=True)
        if len(times) == len(batch):
            self.batch_scores_ = scores[places.argsort()]
        else:
            total = np.zeros((len(times), scores.shape[1]))
            np.add.at(total, places, scores)
            self.batch_scores_ = total / times[:, None]

    def _scores(self, chunk: Floats) -> Floats:
        keys = _keys(chunk)
        places = np.minimum(self.batch_keys_.searchsorted(keys), len(self.batch_keys_) - 1)
        result = self.batch_scores_[places]
        outside = self.batch_keys_[places] != keys
        if outside.any():
            result[outside] = self._extend(chunk[outside])
        return np.asarray(result)

    def _logits(self, scores: Floats) -> Floats:
        return scores


def _keys(rows: Floats) -> NDArray[np.uint64]:
    """A number for each row, (n,): the same for rows that are the same up to rounding."""
    grid: NDArray[np.int32] = np.rint(rows * _GRID).astype(np.int32)
    return np.array([int.from_bytes(blake2b(row.tobytes(), digest_size=8).digest()) for row in grid], dtype=np.uint64)
