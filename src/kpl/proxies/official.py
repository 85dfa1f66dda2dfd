"""The published routine, step by step: kept faithful, quirks and all, to compare with.

Source: Liu et al., AAAI 2025, as its released code computes it; the loop is that of InMaP (Qian et al., NeurIPS 2023).
`kpl.proxies.ridge` holds the closed form that this loop approaches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kpl.proxies.arrays import check_positive, unit_rows
from kpl.proxies.transport import official_greenkhorn


def harden(responsibilities: NDArray[np.floating], alpha: float) -> NDArray[np.floating]:
    """Return the responsibilities with every row whose maximum exceeds alpha made one-hot.

    Example:
        >>> harden(np.array([[0.7, 0.3], [0.5, 0.5]]), 0.6).tolist()
        [[1.0, 0.0], [0.5, 0.5]]
    """
    sure = responsibilities.max(axis=1) > alpha
    hardened = responsibilities.copy()
    hardened[sure] = 0.0
    hardened[sure, responsibilities[sure].argmax(axis=1)] = 1.0
    return hardened


def proxy_descent(
    images: NDArray[np.floating],
    start: NDArray[np.floating],
    responsibilities: NDArray[np.floating],
    *,
    temperature: float = 0.04,
    learning_rate: float = 10.0,
    steps: int = 2000,
) -> NDArray[np.floating]:
    """Learn proxies by projected gradient descent on the cross-entropy towards fixed responsibilities.

    G = X^T softmax(X W / tau_i) - X^T P; the step is halved whenever ||G|| grew; columns return to unit length.

    Args:
        images: (n, d) unit rows; the arithmetic is done in their dtype, float16 in float32.
        start: (C, d) unit rows, the text proxies.
        responsibilities: (n, C) target P.

    Returns:
        (C, d) unit rows.

    Raises:
        InputError: the temperature or the learning rate is not above zero.
    """
    check_positive(image_temperature=temperature, learning_rate=learning_rate)
    images = _at_least_single(images)
    n = len(images)
    if n + len(start) < images.shape[1]:
        # Everything happens in the span of images and texts: fewer dimensions, the same steps.
        basis = np.linalg.qr(np.concatenate([images, start.astype(images.dtype)]).T)[0]
        within = proxy_descent(
            images @ basis,
            start.astype(images.dtype) @ basis,
            responsibilities,
            temperature=temperature,
            learning_rate=learning_rate,
            steps=steps,
        )
        return np.ascontiguousarray(within @ basis.T)
    target = images.T @ responsibilities.astype(images.dtype)
    proxies = np.array(start.T, dtype=images.dtype, order="C")
    previous = np.inf
    for _ in range(steps):
        logits = images @ proxies
        logits /= temperature
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        gradient = images.T @ logits - target
        size = float(np.linalg.norm(gradient))
        if size > previous:
            learning_rate /= 2.0
        previous = size
        proxies -= (learning_rate / (n * temperature)) * gradient
        lengths = np.linalg.norm(proxies, axis=0, keepdims=True)
        proxies /= np.where(lengths > 0, lengths, 1)  # a text of zeros that nothing pulls stays where it is
    return np.ascontiguousarray(proxies.T)


def official_proxies(
    images: NDArray[np.floating],
    text_proxies: NDArray[np.floating],
    *,
    text_temperature: float = 0.01,
    image_temperature: float = 0.04,
    alpha: float = 0.6,
    learning_rate: float = 10.0,
    steps: int = 2000,
    updates: int = 20,
) -> NDArray[np.floating]:
    """Return the proxies (C, d) of the released routine with its released settings.

    Args:
        images: (n, d) unit rows. float64: in float32 the first-order term that separates the classes drowns
            at n of about 28 000.
        text_proxies: (C, d) unit rows.

    Raises:
        InputError: a temperature or the learning rate is not above zero.
    """
    check_positive(text_temperature=text_temperature)
    images = _at_least_single(images)
    logits = (images @ text_proxies.T.astype(images.dtype)) / text_temperature
    logits = np.exp(logits - logits.max(axis=1, keepdims=True))
    pseudo = official_greenkhorn(logits / logits.sum(axis=1, keepdims=True), updates)
    return proxy_descent(
        images,
        unit_rows(text_proxies),
        harden(pseudo, alpha),
        temperature=image_temperature,
        learning_rate=learning_rate,
        steps=steps,
    )


def _at_least_single(images: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(images, dtype=np.result_type(images, np.float32))
