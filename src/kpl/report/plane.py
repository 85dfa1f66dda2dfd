"""How the pictures of a run lie together: their features and the text proxies on two axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kpl.proxies.arrays import Floats
from kpl.runs import SingleLabelRun


@dataclass(frozen=True)
class Plane:
    """The first two principal axes of the image features.

    Attributes:
        images: (n, 2).
        texts: (C, 2) text proxies, moved by the gap between texts and pictures and stretched to the pictures' spread:
            their mean is the pictures' mean, their distances from it as large as those of the classes' mean pictures.
        shares: of the variance, one an axis.
    """

    images: Floats
    texts: Floats
    shares: tuple[float, float]


def plane_of(run: SingleLabelRun) -> Plane:
    """Find where pictures and text proxies lie on the principal axes."""
    images, mean, texts = run.images, run.average, np.asarray(run.text_proxies)
    gram = images.T @ images / np.float32(run.n) - np.outer(mean, mean)
    values, vectors = np.linalg.eigh(np.asarray(gram, dtype=np.float64))
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)  # the same signs everywhere
    total = float(np.maximum(values, 0).sum()) or 1.0
    places = (texts - texts.mean(axis=0)) @ axes
    centres = (_class_means(run) - mean) @ axes
    spread = float(np.sqrt(np.mean(places**2))) or 1.0
    return Plane(
        (images - mean) @ axes,
        places * (float(np.sqrt(np.mean(centres**2))) or spread) / spread,
        (float(values[-1]) / total, float(values[-2]) / total),
    )


def _class_means(run: SingleLabelRun) -> Floats:
    """Mean feature of the pictures of each class that has some, (c, d)."""
    winners = run.predictions.winners
    sums = np.zeros((len(run.keys), run.images.shape[1]))
    np.add.at(sums, winners, run.images)
    found = np.unique(winners)
    return np.asarray(sums[found] / np.bincount(winners)[found, None])
