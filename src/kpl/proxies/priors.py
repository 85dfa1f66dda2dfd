"""Class priors: checked when given, estimated without labels when not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kpl.errors import InputError
from kpl.proxies.arrays import Floats, Images, as_array, chunks, softmax

_NEVER = -1e12  # below any score, and still a number that can be added to and saved


def checked_prior(prior: Sequence[float] | Floats, n_classes: int) -> Floats:
    """Return a given class prior (C,) in float64, summing to exactly one. Zeros are allowed: such a class never wins.

    Raises:
        InputError: not one share a class, a share below zero or not finite, or a sum that is not one (within 1e-6).

    Example:
        >>> checked_prior([0.5, 0.5, 0.0], 3).tolist()
        [0.5, 0.5, 0.0]
    """
    try:
        shares: Floats = as_array(prior, "prior").astype(np.float64)
    except InputError:
        raise InputError(f"prior must be numbers, one share a class, got {prior!r}") from None
    if shares.shape != (n_classes,):
        raise InputError(f"prior must have one share for each of {n_classes} classes, got shape {shares.shape}")
    if not (np.isfinite(shares).all() and (shares >= 0).all()):
        raise InputError(f"prior must hold shares of zero or more, got {shares.min():g} to {shares.max():g}")
    if abs(shares.sum() - 1.0) > 1e-6:
        raise InputError(f"prior must sum to one, got {shares.sum():g}: divide it by its sum")
    return np.asarray(shares / shares.sum())


def estimated_prior(log_likelihoods: Floats, *, tolerance: float = 1e-8, max_iterations: int = 1000) -> Floats:
    """Return the class prior (C,) that maximises the likelihood of unlabelled images, by expectation-maximisation.

    pi <- mean_i softmax(log p_i + log pi), from the uniform prior. Source: Saerens, Latinne, Decaestecker, Neural
    Computation 14, 2002, with the classifier's own prior taken as uniform.

    Args:
        log_likelihoods: (n, C) log p_ic, up to a constant per row.

    Example:
        >>> estimated_prior(np.log([[0.99, 0.01], [0.99, 0.01], [0.99, 0.01], [0.01, 0.99]])).round(2).tolist()
        [0.76, 0.24]
    """
    tiny = np.finfo(np.float64).tiny
    prior = np.full(log_likelihoods.shape[1], 1.0 / log_likelihoods.shape[1])
    for _ in range(max_iterations):
        fresh = softmax(log_likelihoods + np.log(np.maximum(prior, tiny))).mean(axis=0)
        moved = float(np.abs(fresh - prior).sum())
        prior = fresh
        if moved < tolerance:
            break
    return np.asarray(prior / prior.sum())


def given_prior(setting: object) -> Sequence[float] | None:
    """Return the shares of a method's setting `prior` if they were set by hand, None if it names a way to find them.

    Example:
        >>> given_prior((0.5, 0.5)), given_prior("estimated"), given_prior(None)
        ((0.5, 0.5), None, None)
    """
    return tuple(setting) if isinstance(setting, list | tuple | np.ndarray) else None


def prior_shift(given: Floats, fitted: Floats) -> Floats:
    """Return what to add to scores (n, C) that were learnt with the class prior `fitted`, so that `given` holds.

    The prior is a term of such scores, so nothing is learnt again. A class with a share of zero never wins.

    Args:
        given: (C,) shares, as `checked_prior` returns them.
        fitted: (C,) shares.

    Example:
        >>> prior_shift(np.array([0.8, 0.2]), np.array([0.5, 0.5])).round(2).tolist()
        [0.47, -0.92]
    """
    tiny = np.finfo(np.float64).tiny
    return np.where(given > 0, np.log(np.maximum(given, tiny)) - np.log(np.maximum(fitted, tiny)), _NEVER)


def text_logits(
    images: Images, proxies: Floats, temperature: float, prior: Sequence[float] | Floats | None = None
) -> Floats:
    """Return what the text proxies alone say of each image, (n, C): log probabilities, each row up to a constant.

    Args:
        images: (n, d) unit rows, or chunks.
        proxies: (C, d) text proxies.
        temperature: of the softmax over cosines.
        prior: (C,) shares that were set by hand, which hold for the text as for the method; None leaves the classes as
            common as each other.

    Example:
        >>> text_logits(np.array([[0.6, 0.8]]), np.eye(2), 0.1).round(1).tolist()
        [[6.0, 8.0]]
        >>> text_logits(np.array([[0.6, 0.8]]), np.eye(2), 0.1, [0.99, 0.01]).argmax(axis=1).tolist()
        [0]
    """
    proxies = np.asarray(proxies, dtype=np.float64)
    logits = np.concatenate([chunk @ proxies.T for chunk in chunks(images, proxies.shape[1])]) / temperature
    if prior is None:
        return logits
    return np.asarray(logits + prior_shift(checked_prior(prior, len(proxies)), np.full(len(proxies), 1 / len(proxies))))
