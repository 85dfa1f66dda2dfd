"""What a user should know before believing a run: found without labels, said in plain words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kpl.encoders.protocol import Encoder
from kpl.knowledge import KnowledgeBase, fits_modality
from kpl.methods import Method
from kpl.methods.similarity import COLLAPSED

__all__ = ["absence_warnings", "result_warnings", "text_warnings"]

_MOVED = 0.3  # share of images on which the images overrule the text, above which a user should look
_FEW_PER_CLASS = 5
_ONE_CLASS = 0.9  # share of the pictures in one class
_LISTED = 8
_CONTRADICTED = 0.25  # share of the descriptions; in knowledge without a fault it was a sixth at most
_FAR_FROM_EVEN = 0.6  # of the way from even classes to a single one


def text_warnings(knowledge: KnowledgeBase, encoder: Encoder) -> list[str]:
    """Warn of knowledge that the encoder was not made for, and name the words that its tokenizer does not know."""
    found = []
    if not fits_modality(knowledge, encoder.card.modalities):
        states = f"is about {knowledge.task.modality!r}" if knowledge.task.modality else "does not state its modality"
        found.append(
            f"{encoder.card.name} is made for {', '.join(encoder.card.modalities[:2])}, and the knowledge {states}: "
            "believe nothing of this without labels to check it"
        )
    unknown: dict[str, int] = {}
    for entry in knowledge.classes:
        for description in entry.descriptions:
            for word in encoder.unknown_words(description.text):
                unknown[word] = unknown.get(word, 0) + 1
    if not unknown:
        return found
    words = sorted(unknown, key=lambda word: (-unknown[word], word))
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    found.append(
        f"{encoder.card.name} does not know {len(words)} words of the descriptions and reads past them: "
        f"{', '.join(words[:_LISTED])}{more}"
    )
    return found


def absence_warnings(knowledge: KnowledgeBase) -> list[str]:
    """Warn of classes whose absence is only their descriptions negated: many encoders read past a "no"."""
    silent = [entry.key for entry in knowledge.classes if not entry.absent]
    if not silent:
        return []
    listed = ", ".join(silent[:3]) + (", ..." if len(silent) > 3 else "")
    return [
        f"{len(silent)} of {len(knowledge.classes)} classes ({listed}) do not state their absence, so it is read as "
        "'no ...', which many encoders take for its contrary: state 'absent' in the knowledge, and check on labels"
    ]


def result_warnings(
    method: Method,
    winners: NDArray[np.intp],
    text_winners: NDArray[np.intp],
    classes: Sequence[str],
) -> list[str]:
    """Warn of classes that read alike, collapsed text, uneven classes, few images, overruled text, a collapsed result.

    Args:
        method: fitted.
        winners, text_winners: (n,) class indices by the method, and by the text proxies alone.
        classes: keys.
    """
    found = []
    cosine = method.text_.proxies @ method.text_.proxies.T
    alike = np.argwhere(np.triu(cosine, k=1) > COLLAPSED)
    if len(alike):
        pairs = ", ".join(f"{classes[a]} = {classes[b]}" for a, b in alike[:3].tolist())
        found.append(f"the encoder reads {len(alike)} pairs of classes as the same ({pairs}): describe what differs")
    n, n_classes = len(winners), len(classes)
    by_text = np.bincount(text_winners, minlength=n_classes)
    if n > 1 and by_text.max() > _ONE_CLASS * n:
        top = classes[int(by_text.argmax())]
        found.append(
            f"the text alone calls {by_text.max()} of {n} pictures {top!r}: if that is not so, the descriptions do not "
            "reach what this encoder sees"
        )
    prior = getattr(method, "prior_", None)
    if prior is not None and np.abs(prior - 1 / n_classes).sum() / 2 > _FAR_FROM_EVEN * (1 - 1 / n_classes):
        commonest = int(np.argmax(prior))
        found.append(
            f"the classes seem far from equally common: {classes[commonest]!r} at {prior[commonest]:.0%}, "
            f"{int((prior < 0.1 / n_classes).sum())} of {n_classes} next to absent; if that is not so, look closely"
        )
    if (learnt := method.moments_.count) < _FEW_PER_CLASS * n_classes:
        found.append(
            f"{learnt} pictures for {n_classes} classes is little to learn from: "
            "believe the result no more than the text alone"
        )
    against, described = sum(map(len, method.contradicted())), sum(map(len, method.text_.relevance))
    if against > _CONTRADICTED * described:
        found.append(
            f"the pictures contradict {against} of the {described} descriptions, which were left out: see "
            "kpl knowledge show KNOWLEDGE --features RUN, and mend the knowledge"
        )
    moved = float(np.mean(winners != text_winners))
    if moved > _MOVED:
        found.append(f"the images overrule the text on {moved:.0%} of the pictures: look at a few before trusting it")
    counts = np.bincount(winners, minlength=n_classes)
    if n > 1 and counts.max() > _ONE_CLASS * n:
        top = classes[int(counts.argmax())]
        found.append(f"{counts.max()} of {n} pictures went to {top!r}: if that is not so, check knowledge and encoder")
    return found
