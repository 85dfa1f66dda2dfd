"""The evidence for one picture of a run: sentences, what learning without them does, and its neighbours."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kpl.errors import InputError
from kpl.methods import Method, Sentence, without
from kpl.progress import Progress
from kpl.proxies.sums import sum_images
from kpl.runs import Run, SingleLabelRun, open_single_label
from kpl.runs.single_label import CORRECTED
from kpl.runs.units import fit_on
from kpl.visible import visible_html

_SHOWN = 3  # sentences for the label, and sentences against it, in a notebook


@dataclass(frozen=True)
class Without:
    """What the method says when it learns again without a sentence, or without several.

    Attributes:
        margin: its score of the winner less that of the runner-up, then.
        effect: how much of the margin is gone.
        label: name of the class it gives to the picture, then.
    """

    margin: float
    effect: float
    label: str


@dataclass(frozen=True)
class SentenceSaid:
    """One description of the winner or the runner-up.

    Attributes:
        class_name, text: whose it is, and what it says.
        share: its exact part of the text margin.
        excess: its share less its share of the average picture's margin; above zero it speaks for the winner.
        without: None where the method was not fitted again.
    """

    class_name: str
    text: str
    share: float
    excess: float
    without: Without | None = None


@dataclass(frozen=True)
class Explained:
    """Why a picture went to its class.

    Attributes:
        image: its id in the run.
        label, runner_up: names of the classes.
        class_index: of the label.
        confidence, runner_confidence: as in predictions.csv.
        text_label: what the text proxies alone say.
        text_margin: the sum of the shares.
        method_margin: the method's score of the label less the runner-up's; None where it was not fitted again.
        sentences: all retrieved ones of both classes, those that speak for the label first, by their excess; empty for
            a method that reads none.
        together: for the label and the runner-up the name, how many of its sentences were left out one by one, and
            what the method says without all of these at once.
        nearest: for the label and the runner-up the nearest other pictures of the run, with cosines.
        not_fitted: why nothing was learnt again; empty where it was.
        unlabelled: why the run gives another label than that of the class, or none; empty where it gives it.
        picture: the small picture, WebP, that the run kept; None if it kept none.
    """

    image: str
    label: str
    runner_up: str
    class_index: int
    confidence: float
    runner_confidence: float
    text_label: str
    text_margin: float
    method_margin: float | None
    sentences: tuple[SentenceSaid, ...]
    together: tuple[tuple[str, int, Without], ...]
    nearest: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]
    not_fitted: str = ""
    unlabelled: str = ""
    picture: bytes | None = field(default=None, repr=False)

    def _repr_html_(self) -> str:
        fitted = any(each.without for each in self.sentences)
        head = ("says of", "sentence", "text share", "beyond average", *(["lost without"] if fitted else []))
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left">{visible_html(each.class_name)}</th>'
            f'<td style="text-align:left">{visible_html(each.text)}</td><td>{each.share:+.4f}</td>'
            f"<td>{each.excess:+.4f}</td>"
            + (f"<td>{each.without.effect:+.4f}</td>" if each.without else "<td></td>" if fitted else "")
            + "</tr>"
            for each in _loudest(self.sentences)
        )
        title = f"{self.image}: {self.label} {self.confidence:.1%}, then {self.runner_up} {self.runner_confidence:.1%}"
        title += f"; {self.unlabelled}" if self.unlabelled else ""
        near = "".join(
            f"<p>Nearest called {visible_html(name)}: "
            + visible_html(", ".join(f"{image} ({cosine:.3f})" for image, cosine in found))
            + "</p>"
            for name, found in self.nearest
            if found
        )
        titles = "".join(f'<th scope="col">{each}</th>' for each in head)
        kept = base64.b64encode(self.picture).decode("ascii") if self.picture else ""
        shown = f'<img src="data:image/webp;base64,{kept}" style="max-height:320px" alt="{visible_html(self.image)}">'
        return (
            f"{shown if kept else ''}<table><caption>{visible_html(title)}</caption><thead><tr>"
            f"{titles}</tr></thead><tbody>{rows}</tbody></table>"
            f"<p>The text margin of {self.text_margin:+.4f} is the sum of the shares of all {len(self.sentences)} "
            f"sentences; the text alone says {visible_html(self.text_label)}.</p>{near}"
        )


def _loudest(sentences: Sequence[SentenceSaid]) -> Sequence[SentenceSaid]:
    """Return the sentences that speak most for the label, and most against it."""
    return sentences if len(sentences) <= 2 * _SHOWN else (*sentences[:_SHOWN], *sentences[-_SHOWN:])


def explain_picture(
    run: str | Path | Run,
    image: str,
    *,
    top: int = 3,
    progress: Progress | None = None,
) -> Explained:
    """Explain what a run says of one picture.

    Args:
        run: a run folder of `kpl classify`.
        image: the picture's id, as predictions.csv has it, or the end of it where that names one picture only.
        top: the loudest sentences on each side are left out one by one, and the method fitted again; 0 for none.
        progress: told "fits", how many are done, and how many there are.

    Raises:
        FeaturesError: it is no finished run, a multi-label run, or damaged.
        UnknownNameError: the run has no such picture.
        InputError: `top` is below zero, or the end of a name fits several pictures.
    """
    if top < 0:
        raise InputError(f"top, the number of sentences on each side, must be at least 0, got {top}")
    run = open_single_label(run)
    row = run.row_of(image)
    winner, runner = int(run.predictions.winners[row]), int(run.predictions.runners[row])
    sides = [winner] if winner == runner else [winner, runner]
    found = run.sentences(row)
    again = _learn_again(run, row, top, progress)
    classes = run.knowledge.classes
    return Explained(
        image=run.ids[row],
        label=run.class_names[winner],
        runner_up=run.class_names[runner],
        class_index=winner,
        confidence=float(run.predictions.confidence[row]),
        runner_confidence=float(run.predictions.probabilities[row, runner]),
        text_label=run.class_names[int(run.text.winners[row])],
        text_margin=float(run.images[row] @ (run.text_proxies[winner] - run.text_proxies[runner])),
        method_margin=again.margin,
        sentences=tuple(
            SentenceSaid(
                classes[s.class_index].name,
                classes[s.class_index].descriptions[s.index].text,
                s.text_share,
                s.text_excess,
                again.without.get((s.class_index, (s.index,))),
            )
            for s in found
        ),
        together=tuple(
            (run.class_names[c], len(indices), told) for (c, indices), told in again.without.items() if len(indices) > 1
        ),
        nearest=tuple(
            (run.class_names[c], tuple((run.ids[other], cosine) for other, cosine in run.nearest(row, c)))
            for c in sides
        ),
        not_fitted=again.why_not,
        unlabelled=run.predictions.unlabelled(row),
        picture=run.thumbnails.get(row),
    )


_Descriptions = tuple[int, tuple[int, ...]]  # a class, and which of its descriptions


@dataclass(frozen=True)
class _Again:
    """The method's own margin, and what it says without some descriptions; or why nothing was learnt again."""

    margin: float | None = None
    without: dict[_Descriptions, Without] = field(default_factory=dict)
    why_not: str = ""


def _learn_again(run: SingleLabelRun, row: int, top: int, progress: Progress | None) -> _Again:
    """Fit the run's method again: whole, without each of the loudest sentences, without those of a class at once."""
    plan = run.plan
    found = run.sentences(row)
    if run.method_name == CORRECTED:
        return _Again(why_not="the run learnt from corrections too")
    if plan.get("model"):
        return _Again(why_not="the run used a model, which learnt from other pictures")
    if not found:
        return _Again(why_not=f"method {plan['method']!r} reads no descriptions")
    if top == 0:
        return _Again(why_not="not asked for")
    winner, runner = int(run.predictions.winners[row]), int(run.predictions.runners[row])
    method, images, own = run.fresh_method(), run.features.load(), run.images[row : row + 1]
    weights = fit_on(method, run.features)
    moments = sum_images(images, weights)
    method.fit_moments(images, moments, run.texts(method), weights=weights)
    scores = method.scores(own)[0]
    margin = float(scores[winner] - scores[runner])
    told: dict[_Descriptions, Without] = {}
    asked = _left_out(method, found, top)
    for done, (c, indices) in enumerate(asked, start=1):
        less = without(method, images, moments, c, indices, weights).scores(own)[0]
        then = float(less[winner] - less[runner])
        told[c, indices] = Without(then, margin - then, run.class_names[int(np.argmax(less))])
        if progress:
            progress("fits", done, len(asked))
    return _Again(margin, told)


def _left_out(method: Method, found: Sequence[Sentence], top: int) -> list[_Descriptions]:
    """List the loudest sentences of both sides one by one, then those of each class together; a class keeps one."""
    loudest = list(dict.fromkeys((s.class_index, s.index) for s in (*found[:top], *found[-top:])))
    single = [(c, (j,)) for c, j in loudest if len(method.descriptions_[c]) > 1]
    classes = dict.fromkeys(c for c, _ in loudest)
    whole = [(c, tuple(j for other, j in loudest if other == c)) for c in classes]
    return single + [(c, js) for c, js in whole if 1 < len(js) < len(method.descriptions_[c])]
