"""The closed form of Multimodal Proxy Learning: a ridge-regularised linear discriminant from soft class means.

The published loop of 2000 steps approaches W_c - W_bar = (X^T X / n + lambda I)^-1 (b_c - b_bar) with the soft class
means b_c and lambda = tau_i ||x_bar||. One d x d solve replaces the loop, for any number of classes, from sums over
images alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kpl.errors import InputError
from kpl.proxies.arrays import Floats, Images, check_positive, softmax, weighted_chunks
from kpl.proxies.sums import ClassSums, ImageMoments, sum_images


@dataclass(frozen=True)
class LinearScores:
    """A linear classifier of image features: scores = X proxies^T + offsets.

    Attributes:
        proxies: (C, d).
        offsets: (C,).
    """

    proxies: Floats
    offsets: Floats

    def __call__(self, chunk: Floats) -> Floats:
        """Return the (n, C) scores of a (n, d) chunk."""
        return np.asarray(chunk @ self.proxies.T + self.offsets)


def text_class_means(
    images: Images, text_proxies: Floats, temperature: float, weights: Floats | None = None
) -> ClassSums:
    """Return the soft class sums under P = softmax(X T / temperature), in one pass; images may have weights (n,).

    The quotient weighted / mass is the full column normalisation of P; its scale cancels.

    Raises:
        InputError: the temperature is not above zero.
        FeaturesError: as `chunks`.
    """
    check_positive(text_temperature=temperature)
    sums = ClassSums(*text_proxies.shape)
    for chunk, own in weighted_chunks(images, weights, text_proxies.shape[1]):
        sums.update(chunk, softmax(chunk @ text_proxies.T / temperature), own)
    return sums


def ridge_discriminant(
    gram: Floats, class_means: Floats, ridge: float, *, intercept: bool = False, log_prior: Floats | None = None
) -> LinearScores:
    """Solve for the discriminant M b_c with M = (gram + ridge I)^-1.

    Args:
        gram: (d, d) second moment or covariance of the images.
        class_means: (C, d).
        ridge: lambda, above zero.
        intercept: add -1/2 b_c^T M b_c to the score of class c, as a discriminant needs; the published loop has none.
        log_prior: (C,) added to the scores.

    Raises:
        InputError: the ridge is not positive, not finite, or too small for the rounding of `gram`; or the prior's
            shape is wrong.
    """
    check_positive(ridge=ridge)
    if log_prior is not None and np.shape(log_prior) != (len(class_means),):
        raise InputError(f"log_prior must be ({len(class_means)},), one value a class, got {np.shape(log_prior)}")
    # numpy's linear algebra throughout: scipy brings threads of its own, and the two pools wait for one another.
    system = gram + ridge * np.eye(len(gram))
    try:
        np.linalg.cholesky(system)
    except np.linalg.LinAlgError:
        raise InputError(f"a ridge of {ridge} is lost in the rounding of the images' moments; raise it") from None
    proxies = np.ascontiguousarray(np.linalg.solve(system, class_means.T).T)
    offsets = np.zeros(len(class_means)) if log_prior is None else np.array(log_prior, dtype=np.float64)
    if intercept:
        offsets = offsets - 0.5 * np.einsum("cd,cd->c", class_means, proxies)
    return LinearScores(proxies, offsets)


def closed_proxies(
    images: Images,
    text_proxies: Floats,
    *,
    text_temperature: float = 0.01,
    ridge: float | None = None,
    image_temperature: float = 0.04,
    intercept: bool = False,
    log_prior: Floats | None = None,
    moments: ImageMoments | None = None,
) -> LinearScores:
    """Return the closed form of the published routine.

    Args:
        images: (n, d) unit rows, or a re-iterable of chunks; one pass for the moments, one for the class means.
        text_proxies: (C, d) unit rows.
        ridge: lambda; None takes the loop's own, image_temperature x ||mean image||.
        moments: those of `images` if known already, which saves a pass.
    """
    moments = moments or sum_images(images)
    sums = text_class_means(images, text_proxies, text_temperature)
    ridge = loop_ridge(moments, image_temperature) if ridge is None else ridge
    return ridge_discriminant(moments.gram, sums.finish(), ridge, intercept=intercept, log_prior=log_prior)


def loop_ridge(moments: ImageMoments, image_temperature: float = 0.04) -> float:
    """Return the ridge that the published loop amounts to: image_temperature x ||mean image||."""
    return image_temperature * float(np.linalg.norm(moments.mean))
