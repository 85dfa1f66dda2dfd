"""How unlike every listed class a picture is, by the texts: never by the posterior, which has to share out one.

A picture's cosine with a class's text says as much of the encoder as of the class. Two parts of it tell: what it has
of what tells that class's text from the others', beyond what pictures of other classes have of it, and what it has of
all the texts together, beyond the average picture. With t_bar the mean text, s the mean |t_c - t_bar| and P the
softmax of the cosines over the temperature,

    level_c = mean_i (1 - P_ic) x_i . (t_c - t_bar) / s
    f_i     = max_c (x_i . (t_c - t_bar) / s - level_c) + (x_i - x_bar) . t_bar / (2 s)

A folder of one class alone has next to no level, so that it keeps its fit.
"""

from __future__ import annotations

import numpy as np

from kpl.errors import InputError
from kpl.proxies.arrays import Floats, Images, softmax, weighted_chunks

_COMMON = 0.5  # what the texts have in common, beside what tells them apart
_TOP = 0.95  # of the pictures of a folder, the place of one that fits well
_SHARE = 1 / 3  # of what that one has, below which a picture of many classes is none of the listed
_LEAST_TOP = 0.055  # if even that one has less, nothing in the folder is listed


def text_fits(images: Images, text_proxies: Floats, temperature: float, weights: Floats | None = None) -> Floats:
    """Return how well each of the images of a folder fits any of the texts, (n,): f above. Two passes.

    Args:
        images: (n, d) unit rows, or a re-iterable of such chunks.
        text_proxies: (C, d) unit rows, at least two.
        temperature: of the softmax over cosines.
        weights: (n,) how much each image counts in the means; None counts each once.

    Raises:
        InputError: a single class.

    Example:
        >>> texts = np.eye(4)[:3]
        >>> images = np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
        >>> int(text_fits(images, texts, 0.01).argmin())
        2
    """
    count, dim = text_proxies.shape
    if count < 2:
        raise InputError("with one class there is nothing that tells its text from others: list two classes or more")
    common = text_proxies.mean(axis=0)
    away = text_proxies - common
    scale = max(float(np.linalg.norm(away, axis=1).mean()), np.finfo(np.float64).tiny)
    level, usual, mass = np.zeros(count), 0.0, 0.0
    for chunk, own in weighted_chunks(images, weights, dim):
        share = np.ones(len(chunk)) if own is None else own
        level += share @ ((1.0 - softmax(chunk @ text_proxies.T / temperature)) * (chunk @ away.T))
        usual += float(share @ (chunk @ common))
        mass += float(share.sum())
    fits = [
        (chunk @ away.T - level / mass).max(axis=1) + _COMMON * (chunk @ common - usual / mass)
        for chunk, _ in weighted_chunks(images, None, dim)
    ]
    return np.asarray(np.concatenate(fits) / scale)


def unlike_fits(fits: Floats, n_classes: int) -> Floats:
    """Return how unlike all classes the pictures of a folder are, (n,), by their fits: from 1 on, none of these.

    The limit is a third of what a picture that fits well has, times (1 - 1/C): of two classes, between which every
    picture lies on one line, half of that. Where even that picture has next to nothing, nothing there is listed.

    Args:
        fits: (n,) of the pictures, or units, as `text_fits` returns them.
        n_classes: C.

    Example:
        >>> (unlike_fits(np.array([0.3, 0.25, 0.28, 0.02]), 5) >= 1).tolist()
        [False, False, False, True]
        >>> (unlike_fits(np.array([0.03, 0.02]), 5) >= 1).tolist()
        [True, True]
    """
    top = float(np.quantile(fits, _TOP))
    limit = top * _SHARE * (1 - 1 / n_classes) if top >= _LEAST_TOP else float(fits.max())
    return np.asarray(np.exp((limit - fits) / max(top, _LEAST_TOP)))
