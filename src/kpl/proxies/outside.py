"""How unlike every listed class a picture is, by the texts alone: never by the posterior, which has to share out one.

A picture's cosine with a class's text says as much of the encoder as of the class, so what counts is the part along
what tells that class's text from the others': f_i = max_c x_i . (t_c - t_bar), over the mean |t_c - t_bar|.
"""

from __future__ import annotations

import numpy as np

from kpl.errors import InputError
from kpl.proxies.arrays import Floats, Images, chunks

__all__ = ["unlike_texts"]

LEAST_CLASSES = 3  # two texts differ along one line, on whose either side every picture lies
_TOP = 0.95  # of the pictures of a folder, the place of one that fits well
_SHARE = 0.3  # of what that one has, below which a picture is none of the listed
_LEAST_TOP = 0.13  # if even that one has less, nothing in the folder is listed


def unlike_texts(images: Images, text_proxies: Floats) -> Floats:
    """Return how unlike the listed classes each of the images of a folder is, (n,): from 1 on, none of these.

    Args:
        images: (n, d) unit rows, or chunks.
        text_proxies: (C, d) unit rows, at least three.

    Raises:
        InputError: fewer classes.

    Example:
        >>> texts = np.eye(4)[:3]
        >>> images = np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
        >>> (unlike_texts(images, texts) >= 1).tolist()
        [False, False, True]
    """
    if len(text_proxies) < LEAST_CLASSES:
        raise InputError(
            f"with {len(text_proxies)} classes the texts cannot tell pictures of something else: it takes at least "
            f"{LEAST_CLASSES}, or a model that `kpl fit` learnt from pictures of the listed classes"
        )
    away = text_proxies - text_proxies.mean(axis=0)
    away /= max(float(np.linalg.norm(away, axis=1).mean()), np.finfo(np.float64).tiny)
    fits = np.concatenate([(chunk @ away.T).max(axis=1) for chunk in chunks(images, text_proxies.shape[1])])
    top = float(np.quantile(fits, _TOP))
    limit = top * _SHARE if top >= _LEAST_TOP else float(fits.max())
    return np.asarray(np.exp((limit - fits) / max(top, _LEAST_TOP)))
