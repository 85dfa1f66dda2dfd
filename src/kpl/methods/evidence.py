"""Which sentences spoke for a prediction, and which against it.

Different things, never passed off as each other:

* `text_share`: the margin between the *text proxies* of the winner and the runner-up splits exactly by sentence,
  because a text proxy is a sum of sentences over its length: x.t_w - x.t_r = sum_j x.e_wj / l_w - sum_j x.e_rj / l_r.
  Nearly all of a share is common to every picture (all cosines of an encoder are alike), so that shares of one picture
  differ little. `text_excess` is what the share has beyond that of the average picture, x less x_bar in the same sum:
  what this picture in particular shows of the sentence.
* `proxy_effect`: what the sentence does to the *method's* margin is not a sum, so it is found by learning again
  without the sentence: the margin as it is, minus the margin without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError
from kpl.methods.contract import Method
from kpl.progress import Counted
from kpl.proxies.arrays import Floats, Images, chunks
from kpl.proxies.retrieval import best_k
from kpl.proxies.sums import ImageMoments, sum_images


@dataclass(frozen=True)
class Sentence:
    """One description's part in a decision.

    Attributes:
        class_index, index: which description.
        text_share: its exact part of the text margin.
        text_excess: its share less its share of the average picture's margin; above zero speaks for the winner.
        proxy_effect: by how much the method's margin falls when it is left out; None if not asked for, or if it is
            its class's only description.
        winner_without: the class that the image then goes to; None with `proxy_effect`.
    """

    class_index: int
    index: int
    text_share: float
    text_excess: float
    proxy_effect: float | None = None
    winner_without: int | None = None


@dataclass(frozen=True)
class Evidence:
    """Why one image went to its class.

    Attributes:
        winner, runner_up: class indices, by the method's scores unless others were asked for.
        text_margin: cosine with the winner's text proxy minus the runner-up's; the sum of all text shares.
        proxy_margin: the method's score of the winner minus the runner-up's.
        sentences: all retrieved descriptions of both classes, those that speak for the winner first, by their excess.
    """

    winner: int
    runner_up: int
    text_margin: float
    proxy_margin: float
    sentences: tuple[Sentence, ...]


def explain(
    method: Method,
    images: Images,
    *,
    refit_on: Images | None = None,
    top: int = 3,
    average: Floats | None = None,
    weights: Floats | None = None,
    sides: NDArray[np.intp] | None = None,
    progress: Counted | None = None,
) -> list[Evidence]:
    """Explain the predictions of a fitted method, image by image.

    Args:
        method: fitted.
        images: (n, d) unit rows, or chunks.
        refit_on: the images that the method was fitted on. Given, the `top` sentences for and against of every image
            get their `proxy_effect`; one fit for each distinct sentence.
        top: see `refit_on`.
        average: (d,) mean of the images among which these are looked at; None for those that the method learnt from.
        weights: of `refit_on`, those of the fit.
        sides: (n, 2) the classes to hold against each other, of an image that stands for a unit of several; None for
            the two that the method scores highest.
        progress: called with (fits done, fits in all).

    Raises:
        NotFittedError: before `fit`.
        InputError: `top` is below one.
    """
    if top < 1:
        raise InputError(f"top, the number of sentences on each side, must be at least 1, got {top}")
    scores = method.scores(images)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :2] if sides is None else sides
    usual = method.moments_.mean if average is None else average
    rows = [
        _text_evidence(method, x, s, w, r, usual)
        for x, s, (w, r) in zip(_rows(images), scores, order.tolist(), strict=True)
    ]
    if refit_on is None:
        return rows
    return _with_refits(method, images, rows, refit_on, top, weights, progress)


def _rows(images: Images) -> NDArray[np.float64]:
    return np.concatenate(list(chunks(images)))


def text_shares(
    image: Floats,
    descriptions: Sequence[NDArray[np.floating]],
    chosen: Sequence[NDArray[np.intp]],
    winner: int,
    runner_up: int,
    average: Floats,
) -> tuple[Sentence, ...]:
    """Split the margin between two text proxies by sentence, those that speak for the winner first.

    Args:
        image: (d,) unit row.
        descriptions: of every class, (m_c, d) unit rows.
        chosen: of every class, the indices of the descriptions that its text proxy is made of.
        winner, runner_up: class indices.
        average: (d,) mean of the images.

    Example:
        >>> texts = [np.eye(2)[:1], np.eye(2)[1:]]
        >>> image, average = np.array([0.8, 0.6]), np.array([0.6, 0.8])
        >>> found = text_shares(image, texts, [np.array([0]), np.array([0])], 0, 1, average)
        >>> [(round(sentence.text_share, 1), round(sentence.text_excess, 1)) for sentence in found]
        [(0.8, 0.2), (-0.6, 0.2)]
    """
    found = []
    for class_index, sign in ((winner, 1.0), (runner_up, -1.0)):
        kept = np.asarray(descriptions[class_index], dtype=np.float64)[chosen[class_index]]
        length = float(np.linalg.norm(kept.sum(axis=0))) or 1.0  # descriptions that cancel out have a proxy of zeros
        parts, excess = sign * (kept @ image) / length, sign * (kept @ (image - average)) / length
        found += [
            Sentence(class_index, int(j), float(part), float(more))
            for j, part, more in zip(chosen[class_index], parts, excess, strict=True)
        ]
    return tuple(sorted(found, key=lambda sentence: -sentence.text_excess))


def _text_evidence(
    method: Method, image: Floats, scores: Floats, winner: int, runner_up: int, average: Floats
) -> Evidence:
    chosen = method.text_.chosen
    if getattr(method, "retrieval", "dataset") == "image":
        chosen = tuple(best_k(rows @ image, method.k) for rows in method.descriptions_)
    sentences = text_shares(image, method.descriptions_, chosen, winner, runner_up, average)
    margin = float(sum(s.text_share for s in sentences))
    return Evidence(winner, runner_up, margin, float(scores[winner] - scores[runner_up]), sentences)


def without(
    method: Method,
    images: Images,
    moments: ImageMoments,
    class_index: int,
    indices: Sequence[int],
    weights: Floats | None = None,
) -> Method:
    """Return the method learnt again without some descriptions of a class.

    Args:
        method: fitted.
        images, moments, weights: what it was fitted on.
        class_index, indices: the descriptions; not all of the class.
    """
    return method.learnt_again(images, moments, method.texts_without(class_index, indices), weights=weights)


def _with_refits(
    method: Method,
    images: Images,
    rows: list[Evidence],
    refit_on: Images,
    top: int,
    weights: Floats | None,
    progress: Counted | None,
) -> list[Evidence]:
    asked = sorted({(s.class_index, s.index) for row in rows for s in _extremes(row, top)})
    asked = [(c, j) for c, j in asked if len(method.descriptions_[c]) > 1]
    moments = sum_images(refit_on, weights)
    winners, runners = (np.array([getattr(row, side) for row in rows]) for side in ("winner", "runner_up"))
    index, full = np.arange(len(rows)), np.array([row.proxy_margin for row in rows])
    told: dict[tuple[int, int], tuple[Floats, NDArray[np.intp]]] = {}
    for done, (c, j) in enumerate(asked, start=1):
        scores = without(method, refit_on, moments, c, [j], weights).scores(images)
        told[c, j] = full - (scores[index, winners] - scores[index, runners]), scores.argmax(axis=1)
        if progress:
            progress(done, len(asked))

    def said(i: int, row: Evidence, s: Sentence) -> Sentence:
        if (s.class_index, s.index) not in told or s not in _extremes(row, top):
            return s
        effects, then = told[s.class_index, s.index]
        return replace(s, proxy_effect=float(effects[i]), winner_without=int(then[i]))

    return [replace(row, sentences=tuple(said(i, row, s) for s in row.sentences)) for i, row in enumerate(rows)]


def _extremes(row: Evidence, top: int) -> tuple[Sentence, ...]:
    """The sentences that speak loudest on both sides; `sentences` is sorted."""
    return row.sentences[:top] + row.sentences[-top:]
