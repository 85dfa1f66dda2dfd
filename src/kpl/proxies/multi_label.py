"""Is each finding there or not? Independent probabilities a class, from sentences of its presence against its absence.

A sentence and what it is held against compete in a softmax of two, and the class's log odds are the mean over its
sentences of theirs: the geometric mean of the probabilities of presence over that of absence, brought to sum to one.
Where a knowledge base does not say what is seen when a class is not there, that is what the other classes say
(`other_texts`): encoders of the CLIP family take "no ..." for its contrary.

Related: Pellegrini et al., "Xplainer: From X-Ray Observations to Explainable Zero-Shot Diagnosis", MICCAI 2023 (its
equations 1 and 2), there against the negated sentence and by the geometric mean of presence alone (`log_multi_label`),
which one sentence that does not hold takes to zero.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kpl.errors import FeaturesError
from kpl.proxies.arrays import Descriptions, Floats, Images, check_positive, checked_descriptions, chunks, unit_rows

_TINY = 1e-300


def multi_label_probabilities(
    images: Images, present: Descriptions, absent: Descriptions, *, temperature: float = 0.01
) -> Floats:
    """Return the probability that each class is present, (n, C); the rows need not sum to one.

    log odds of a class = mean_j x.(present_j - absent_j) / temperature, j over its sentences.

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
        >>> multi_label_probabilities(image, [seen, other], [other, seen], temperature=1.0).round(3)
        array([[0.731, 0.269]])
    """
    return np.concatenate(list(multi_label_blocks(images, present, absent, temperature=temperature)))


def multi_label_blocks(
    images: Images, present: Descriptions, absent: Descriptions, *, temperature: float = 0.01
) -> Iterator[Floats]:
    """Yield what `multi_label_probabilities` returns in blocks of rows, so that memory holds one block."""
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
    contrasts = np.stack([(a - b).mean(axis=0) for a, b in zip(seen, other, strict=True)]) / temperature
    for chunk in chunks(images, dim):
        yield np.exp(-np.logaddexp(0.0, -(chunk @ contrasts.T)))


def other_texts(present: Descriptions) -> list[Floats]:
    """Return for each class (1, d) what it is held against that does not state its absence: the other classes' text.

    It is the unit mean of their text proxies, in which each class speaks once.

    Args:
        present: C arrays (m_c, d) of unit rows.

    Example:
        >>> other_texts([np.eye(2)[:1], np.eye(2)[1:], np.eye(2)[1:]])[0].tolist()
        [[0.0, 1.0]]
    """
    proxies = unit_rows(np.stack([rows.mean(axis=0) for rows in checked_descriptions(present)]))
    return [unit_rows(proxies[np.arange(len(proxies)) != c].mean(axis=0, keepdims=True)) for c in range(len(proxies))]


def multi_label_shares(image: Floats, contrast: Floats, threshold: float) -> tuple[Floats, Floats]:
    """Split by sentence how far a class is above its threshold, in log odds; the sign decides.

    As the log odds of a class are the mean of those of its sentences, a sentence's share is its own less those of the
    threshold, over their number: the shares sum to the margin exactly. A sentence speaks for presence where its own
    probability is above the threshold.

    Args:
        image: (d,) unit.
        contrast: (m, d), (present - absent) / temperature of the class.
        threshold: above zero and below one.

    Returns:
        Probabilities by each sentence alone, (m,), and shares, (m,).

    Raises:
        InputError: a threshold of zero or one, from which nothing has a distance.

    Example:
        >>> chances, shares = multi_label_shares(np.array([1.0, 0.0]), np.array([[1.0, -1.0], [-1.0, 1.0]]), 0.5)
        >>> chances.round(3), shares.round(3)
        (array([0.731, 0.269]), array([ 0.5, -0.5]))
    """
    check_positive(threshold=threshold, room_above_threshold=1 - threshold)
    odds = contrast @ image
    return np.exp(-np.logaddexp(0.0, -odds)), (odds - np.log(threshold / (1 - threshold))) / len(odds)


def parting_thresholds(probabilities: Floats) -> Floats:
    """Return for each class (C,) the probability at which its images fall best into two groups, without labels.

    Where log odds differ most between the groups for how they scatter within (Otsu 1979): half-way between the lowest
    image above and the highest below. Every class is parted, whether or not any image has it. Images that are all alike
    part nowhere: 0.5.

    Args:
        probabilities: (n, C).

    Example:
        >>> parting_thresholds(np.array([[0.01], [0.02], [0.2], [0.3]])).round(3).tolist()
        [0.067]
    """
    odds = np.sort(np.log(np.maximum(probabilities, _TINY)) - np.log(np.maximum(1 - probabilities, _TINY)), axis=0)
    n = len(odds)
    if n < 2:
        return np.full(odds.shape[1], 0.5)
    below, size = odds.cumsum(axis=0), np.arange(1, n)[:, None]
    between = (below[-1] * size / n - below[:-1]) ** 2 / (size * (n - size))
    best, columns = between.argmax(axis=0), np.arange(odds.shape[1])
    middle = (odds[best, columns] + odds[best + 1, columns]) / 2
    return np.where(odds[-1] > odds[0], np.exp(-np.logaddexp(0.0, -middle)), 0.5)


def log_multi_label(chunk: Floats, contrasts: list[Floats]) -> Floats:
    """Return Xplainer's log probability of presence (n, C), from the (m_c, d) (present - absent) / temperature."""
    # log softmax([p, a])[0] = -log(1 + exp(a - p)), without overflow
    return np.stack([-np.logaddexp(0.0, -(chunk @ rows.T)).mean(axis=1) for rows in contrasts], axis=1)
