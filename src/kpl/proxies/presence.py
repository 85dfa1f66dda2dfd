"""Is each finding there or not? Independent probabilities a class, from pairs of a present and an absent sentence.

Source: Pellegrini et al., "Xplainer: From X-Ray Observations to Explainable Zero-Shot Diagnosis", MICCAI 2023: a
sentence and its negation compete in a softmax of two, and a class's probability is the geometric mean over its
sentences (its equations 1 and 2).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kpl.errors import FeaturesError
from kpl.proxies.arrays import Descriptions, Floats, Images, check_positive, checked_descriptions, chunks

__all__ = ["log_presence", "presence_blocks", "presence_probabilities", "presence_shares"]


def presence_probabilities(
    images: Images, present: Descriptions, absent: Descriptions, *, temperature: float = 0.01
) -> Floats:
    """Return the probability that each class is present, (n, C); the rows need not sum to one.

    p(class) = exp(mean_j log softmax([x.present_j, x.absent_j] / temperature)[0]), j over the class's sentences.

    Args:
        images: (n, d) unit rows, or a re-iterable of such chunks.
        present: C arrays (m_c, d) of unit rows: what is seen when the class is there.
        absent: C arrays of unit rows: (m_c, d), one against each sentence in its order; or (1, d), against all.
        temperature: of the softmax; one over the encoder's own scale.

    Raises:
        FeaturesError: shapes or values that cannot be used, or sentences that make no pairs.
        InputError: a temperature that is not above zero.

    Example:
        >>> image = np.array([[1.0, 0.0]])
        >>> seen, other = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
        >>> presence_probabilities(image, [seen, other], [other, seen], temperature=1.0).round(3)
        array([[0.731, 0.269]])
    """
    return np.concatenate(list(presence_blocks(images, present, absent, temperature=temperature)))


def presence_blocks(
    images: Images, present: Descriptions, absent: Descriptions, *, temperature: float = 0.01
) -> Iterator[Floats]:
    """Yield what `presence_probabilities` returns in blocks of rows, so that memory holds one block."""
    check_positive(temperature=temperature)
    seen = checked_descriptions(present)
    dim = seen[0].shape[1]
    other = checked_descriptions(absent, dim)
    if len(seen) != len(other):
        raise FeaturesError(f"{len(seen)} classes have present sentences, {len(other)} absent ones: give both of each")
    for c, (a, b) in enumerate(zip(seen, other, strict=True)):
        if len(b) not in (1, len(a)):
            raise FeaturesError(
                f"class {c} has {len(a)} present and {len(b)} absent sentences: give one absent sentence for each, "
                "or a single one against all"
            )
    contrasts = [(a - b) / temperature for a, b in zip(seen, other, strict=True)]
    for chunk in chunks(images, dim):
        yield np.exp(log_presence(chunk, contrasts))


def presence_shares(image: Floats, contrast: Floats, threshold: float) -> tuple[Floats, Floats]:
    """Split by sentence how far a class is above its threshold: log p - log threshold, whose sign decides.

    As log p is the mean over the sentences of log softmax([x.present_j, x.absent_j] / temperature)[0], a sentence's
    share is its own such logarithm less log threshold, over their number: the shares sum to the margin exactly. A
    sentence speaks for presence where its own probability is above the threshold.

    Args:
        image: (d,) unit.
        contrast: (m, d), (present - absent) / temperature of the class.
        threshold: above zero.

    Returns:
        Probabilities by each sentence alone, (m,), and shares, (m,).

    Raises:
        InputError: a threshold that is not above zero, from which nothing has a distance.

    Example:
        >>> chances, shares = presence_shares(np.array([1.0, 0.0]), np.array([[1.0, -1.0], [-1.0, 1.0]]), 0.5)
        >>> chances.round(3), shares.round(3)
        (array([0.731, 0.269]), array([ 0.19, -0.31]))
    """
    check_positive(threshold=threshold)
    logs = -np.logaddexp(0.0, -(contrast @ image))
    return np.exp(logs), (logs - np.log(threshold)) / len(logs)


def log_presence(chunk: Floats, contrasts: list[Floats]) -> Floats:
    """Return the log probability of presence (n, C) from each class's (present - absent) / temperature, (m_c, d)."""
    # log softmax([p, a])[0] = -log(1 + exp(a - p)), without overflow
    return np.stack([-np.logaddexp(0.0, -(chunk @ rows.T)).mean(axis=1) for rows in contrasts], axis=1)
