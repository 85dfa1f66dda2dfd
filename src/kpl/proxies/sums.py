"""What is learnt from images, as sums over images: the same code serves memory, shards on disk and a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from kpl.errors import FeaturesError
from kpl.proxies.arrays import Floats, Images
from kpl.proxies.passes import Parts, Spread, add_up

_SMALL = 256  # up to here SciPy takes longer to load than it saves


@dataclass
class ImageSums:
    """The count, the sum and the second moment of image features; the count of weighted images is the sum of weights.

    Memory is O(d^2), whatever the number of images. `merge` of the sums of two halves equals the sums of the whole
    up to the rounding of float64.

    Example:
        >>> halves = [ImageSums(2).update(np.eye(2)), ImageSums(2).update(np.eye(2))]
        >>> halves[0].merge(halves[1]).finish().gram
        array([[0.5, 0. ],
               [0. , 0.5]])
    """

    dim: int
    count: float = 0
    total: Floats = field(init=False)
    moment: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.total = np.zeros(self.dim)
        self.moment = np.zeros((self.dim, self.dim))

    def update(self, chunk: Floats, weights: Floats | None = None) -> ImageSums:
        """Add a (n_k, d) chunk of unit rows, with (n_k,) weights above zero if they do not count alike."""
        chunk = _checked(chunk, self.dim)
        self.count += len(chunk) if weights is None else float(weights.sum())
        self.total += _weighted(chunk, weights).sum(axis=0)
        rows = chunk if weights is None else _weighted(chunk, np.sqrt(weights))
        self.moment += rows.T @ rows
        return self

    def merge(self, other: ImageSums) -> ImageSums:
        """Return the sums of these images and others together; both stay as they are."""
        if other.dim != self.dim:
            raise FeaturesError(f"sums over {self.dim} and {other.dim} dimensions cannot be merged")
        merged = ImageSums(self.dim, self.count + other.count)
        merged.total, merged.moment = self.total + other.total, self.moment + other.moment
        return merged

    @property
    def parts(self) -> Parts:
        """The count, the sum and the second moment."""
        return np.array(self.count, dtype=np.float64), self.total, self.moment

    def finish(self) -> ImageMoments:
        """Return the moments.

        Raises:
            FeaturesError: no image was added.
        """
        if not self.count:
            raise FeaturesError("no image was added to the sums")
        return ImageMoments(self.count, self.total / self.count, self.moment / self.count)


@dataclass(frozen=True)
class ImageMoments:
    """The moments of image features: count n (the sum of weights), mean (d,), and gram X^T X / n (d, d)."""

    count: float
    mean: Floats
    gram: Floats

    def merged(self, other: ImageMoments) -> ImageMoments:
        """Return the moments of these images and others together, up to rounding those of the whole.

        Example:
            >>> ImageMoments(1, np.zeros(1), np.zeros((1, 1))).merged(ImageMoments(3, np.ones(1), np.ones((1, 1)))).mean
            array([0.75])
        """
        count = self.count + other.count
        own, theirs = self.count / count, other.count / count
        return ImageMoments(count, own * self.mean + theirs * other.mean, own * self.gram + theirs * other.gram)

    @cached_property
    def covariance(self) -> Floats:
        """The covariance (d, d), with divisor n."""
        return np.asarray(self.gram - np.outer(self.mean, self.mean))

    def ridged_inverse(self, ridge: float) -> Floats:
        """Return (covariance + ridge I)^-1, computed once: the rounds, and every fit on these images, start from it."""
        if ridge not in self._inverses:
            self._inverses[ridge] = inverse(self.covariance + ridge * np.eye(len(self.mean)))
        return self._inverses[ridge]

    @cached_property
    def _inverses(self) -> dict[float, Floats]:
        return {}


def inverse(matrix: Floats) -> Floats:
    """Return the inverse of a symmetric positive definite (d, d) matrix, a large one by its Cholesky factor.

    One that rounding has left indefinite is inverted all the same, by elimination.

    Example:
        >>> inverse(np.diag([2.0, 4.0])).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    if len(matrix) > _SMALL:
        from scipy.linalg import lapack

        factor, failed = lapack.dpotrf(matrix, lower=1)
        if not failed:
            lower = np.tril(lapack.dpotri(factor, lower=1)[0])
            return np.asarray(lower + np.tril(lower, -1).T)
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


@dataclass
class ClassSums:
    """Soft class sums: the mass of each class and the responsibility-weighted sum of its image features.

    Attributes:
        mass: (C,) sum over images of the responsibilities P.
        weighted: (C, d) P^T X.
    """

    n_classes: int
    dim: int
    mass: Floats = field(init=False)
    weighted: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.mass = np.zeros(self.n_classes)
        self.weighted = np.zeros((self.n_classes, self.dim))

    @classmethod
    def of(cls, mass: Floats, weighted: Floats) -> ClassSums:
        """Return the sums of these."""
        made = cls(*weighted.shape)
        made.mass, made.weighted = mass, weighted
        return made

    @property
    def parts(self) -> Parts:
        """The masses and the weighted sums."""
        return self.mass, self.weighted

    def update(self, chunk: Floats, responsibilities: Floats, weights: Floats | None = None) -> ClassSums:
        """Add a (n_k, d) chunk with its (n_k, C) responsibilities, and (n_k,) weights if they do not count alike."""
        chunk = _checked(chunk, self.dim)
        responsibilities = _weighted(_checked(responsibilities, self.n_classes), weights)
        self.mass += responsibilities.sum(axis=0)
        self.weighted += responsibilities.T @ chunk
        return self

    def merge(self, other: ClassSums) -> ClassSums:
        """Return the sums of these images and others together; both stay as they are."""
        if (other.n_classes, other.dim) != (self.n_classes, self.dim):
            raise FeaturesError("class sums of another number of classes or dimensions cannot be merged")
        return ClassSums.of(self.mass + other.mass, self.weighted + other.weighted)

    def finish(self) -> Floats:
        """Return the soft class means b_c (C, d); a class without any mass gets zeros."""
        return np.asarray(self.weighted / np.maximum(self.mass, np.finfo(np.float64).tiny)[:, None])


def _weighted(rows: Floats, weights: Floats | None) -> Floats:
    return rows if weights is None else rows * weights[:, None]


def _checked(rows: Floats, width: int) -> Floats:
    """Rows in float64, whatever they are stored in: sums over many images are not safe in less."""
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise FeaturesError(f"the sums take blocks of shape (n, {width}), got {rows.shape}")
    return rows


class _Moments:
    def partial(self, step: None, chunk: Floats, weights: Floats | None, first: int | None = None) -> ImageSums:
        del step, first
        return ImageSums(chunk.shape[1]).update(chunk, weights)


def sum_images(images: Images | Spread, weights: Floats | None = None) -> ImageMoments:
    """Return the moments of all images in one pass.

    Args:
        images: (n, d) unit rows, or a re-iterable of such chunks.
        weights: (n,) above zero; None counts every image once.
    """
    count, total, moment = add_up(images, _Moments(), weights)
    return ImageMoments(float(count), total / count, moment / count)
