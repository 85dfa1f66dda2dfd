"""What a user should know before believing a run: found without labels, said in plain words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from kpl.encoders.protocol import Encoder
from kpl.knowledge import KnowledgeBase, fits_modality
from kpl.methods import KPL, Method
from kpl.methods.similarity import COLLAPSED
from kpl.proxies.arrays import Floats

_MOVED = 0.3  # share of images on which the images overrule the text, above which a user should look
_FEW_PER_CLASS = 5
_ONE_CLASS = 0.9  # share of the pictures in one class
_LISTED = 8
_MOST_UNKNOWN = 1 / 3  # of the words of a sentence, above which what is left may say something else
_WORD = re.compile(r"[^\W\d_]+")
_CONTRADICTED = 0.25  # share of the descriptions; in knowledge without a fault it was a sixth at most
UNLIKE = 3.5  # times as far from every class as usual: some 4 % of new pictures of the learnt kinds are
_MANY_UNLIKE = 0.2
_HANGS = 0.8  # agreement of two halves, below which the answer hangs on the choice of sentences
_FAR_FROM_EVEN = 0.6  # of the way from even classes to a single one


def further_keys(what: str, keys: Iterable[str]) -> list[str]:
    """Say what a file holds beyond what this version reads, as one by a later version may.

    Example:
        >>> further_keys("model", ["units"])
        ['the model also states units, which this version of KPL does not read: a later one wrote it']
    """
    names = ", ".join(sorted(keys))[:200]
    return [f"the {what} also states {names}, which this version of KPL does not read: a later one wrote it"] * bool(
        names
    )


def misfit(knowledge: KnowledgeBase, encoder: Encoder) -> str:
    """Say that an encoder was not made for what the knowledge is about; nothing where it was, or is a general one."""
    card = encoder.card
    if fits_modality(knowledge, card.modalities):
        return ""
    states = f"is about {knowledge.task.modality!r}" if knowledge.task.modality else "does not state its modality"
    return f"knowledge {knowledge.task.name!r} {states}, and {card.name!r} reads only {', '.join(card.modalities[:2])}"


def text_warnings(knowledge: KnowledgeBase, encoder: Encoder) -> list[str]:
    """Warn of knowledge that the encoder was not made for, and of sentences of which its tokenizer knows too little.

    A word that is read past leaves what the rest of its sentence says; `kpl knowledge lint` lists them all.
    """
    found = []
    if not fits_modality(knowledge, encoder.card.modalities):
        states = f"is about {knowledge.task.modality!r}" if knowledge.task.modality else "does not state its modality"
        found.append(
            f"{encoder.card.name} is made for {', '.join(encoder.card.modalities[:2])}, and the knowledge {states}: "
            "believe nothing of this without labels to check it"
        )
    unknown: Counter[str] = Counter()
    poor, total = 0, 0
    for text in (description.text for entry in knowledge.classes for description in entry.descriptions):
        words, missing = _WORD.findall(text), set(encoder.unknown_words(text))
        total += 1
        if sum(word in missing for word in words) > _MOST_UNKNOWN * len(words):
            poor += 1
            unknown.update(missing)
    if poor:
        listed = sorted(unknown, key=lambda word: (-unknown[word], word))
        more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
        found.append(
            f"{encoder.card.name} does not know more than a third of the words of {poor} of {total} descriptions, and "
            f"reads past them: {', '.join(listed[:_LISTED])}{more}"
        )
    return found


def absence_warnings(knowledge: KnowledgeBase) -> list[str]:
    """Warn of classes that do not say what is seen when they are not there."""
    silent = [entry.key for entry in knowledge.classes if not entry.absent]
    if not silent:
        return []
    listed = ", ".join(silent[:3]) + (", ..." if len(silent) > 3 else "")
    return [
        f"{len(silent)} of {len(knowledge.classes)} classes ({listed}) do not state their absence, so each is held "
        "against what the other classes say: state 'absent' in the knowledge, and check on labels"
    ]


def result_warnings(
    method: Method,
    winners: NDArray[np.intp],
    text_winners: NDArray[np.intp],
    classes: Sequence[str],
    distances: Floats | None = None,
) -> list[str]:
    """Warn of classes that read alike, collapsed text, uneven classes, few images, overruled text, a collapsed result.

    Warn too of pictures that are like nothing a class was learnt from.

    Args:
        method: fitted.
        winners, text_winners: (n,) class indices by the method, and by the text proxies alone.
        classes: keys.
        distances: (n,) of the pictures from the nearest class, if the method knows them: `KPL.distances`.
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
    prior = method.estimated_prior
    if prior is not None and np.abs(prior - 1 / n_classes).sum() / 2 > _FAR_FROM_EVEN * (1 - 1 / n_classes):
        commonest = int(np.argmax(prior))
        found.append(
            f"the classes seem far from equally common: {classes[commonest]!r} at {prior[commonest]:.0%}, "
            f"{int((prior < 0.1 / n_classes).sum())} of {n_classes} next to absent; if that is not so, look closely"
        )
    if (learnt := method.moments_.count) < _FEW_PER_CLASS * n_classes:
        found.append(
            f"{learnt:g} picture{'s' * (learnt != 1)} for {n_classes} classes is little to learn from: "
            "believe the result no more than the text alone"
        )
    against, described = len(method.contradicted()), sum(map(len, method.text_.relevance))
    if against > _CONTRADICTED * described:
        found.append(
            f"the pictures contradict {against} of the {described} descriptions, which were left out: see "
            "kpl knowledge show KNOWLEDGE --features RUN, and mend the knowledge"
        )
    if distances is not None and (unlike := int((distances > UNLIKE).sum())) > _MANY_UNLIKE * n:
        found.append(
            f"{unlike} of {n} pictures are like none of the classes as they were learnt: "
            "believe nothing of them unless they are what the knowledge is about"
        )
    found += _doubts(method)
    moved = float(np.mean(winners != text_winners))
    if moved > _MOVED:
        found.append(f"the images overrule the text on {moved:.0%} of the pictures: look at a few before trusting it")
    counts = np.bincount(winners, minlength=n_classes)
    if n > 1 and counts.max() > _ONE_CLASS * n:
        top = classes[int(counts.argmax())]
        found.append(f"{counts.max()} of {n} pictures went to {top!r}: if that is not so, check knowledge and encoder")
    return found


def _doubts(method: Method) -> list[str]:
    """Warn where two halves of the knowledge, learnt from alone, come to different answers."""
    doubt = method.doubt_ if isinstance(method, KPL) else None
    if doubt is None:
        return []
    told = (
        f"learnt from either half of the descriptions alone, the answers agree on {doubt.agreement:.0%} of the pictures"
    )
    if doubt.apart:
        return [
            f"{told}, and on {doubt.text_agreement:.0%} before they learnt: the pictures do not settle what the "
            f"sentences ask, so the averaged descriptions have {doubt.text_share:.0%} of the say; check on labels"
        ]
    if doubt.agreement < _HANGS:
        return [f"{told}: it hangs on the choice of sentences, and no confidence here is to be above that on average"]
    return []
