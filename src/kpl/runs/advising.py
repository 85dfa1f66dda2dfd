"""Which encoder for these pictures: what can be said without a label, which is never how often it is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import TextCache, embed_texts
from kpl.embeddings.encoding import encode_pictures
from kpl.encoders import catalogue, encoder_names, load_card, load_encoder, parse_spec, suited
from kpl.errors import InputError, KplError
from kpl.evaluation import cohen_kappa
from kpl.images import find_inputs
from kpl.images.readers import load_instance
from kpl.images.records import Instance
from kpl.knowledge import KnowledgeBase, fits_modality, load_knowledge
from kpl.methods import make_method
from kpl.progress import Progress
from kpl.runs.source import asked_of

_BATCH = 16
_HALVINGS = 5
_FEWEST = 8


@dataclass(frozen=True)
class EncoderSeen:
    """What one encoder makes of the pictures and sentences.

    Attributes:
        name: as it was asked for.
        fits: whether its card says that it was made for pictures of the knowledge's modality, or for any.
        spread: one minus the cosine between the mean sentences of two classes, mean over pairs: 0 where the encoder
            cannot tell the texts apart.
        steady: Cohen's kappa between the labels learnt from one half of the pictures and from the other, mean over
            five halvings; 0 is chance, 1 the same labels.
        alike: Cohen's kappa of its labels and those of another encoder, mean over the others; None where it is alone.
        problem: why it was not tried; the figures are None then.
    """

    name: str
    fits: bool
    spread: float | None = None
    steady: float | None = None
    alike: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class Advice:
    """What was found out.

    Attributes:
        modality: of the knowledge, None where it states none.
        pictures: how many were read.
        tried: one for each encoder, in the order of names.
        to_get: encoders of the catalogue that were made for the modality and are not here.
    """

    modality: str | None
    pictures: int
    tried: tuple[EncoderSeen, ...]
    to_get: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return asdict(self)


def advise(
    inputs: Sequence[str],
    knowledge: str | Path | KnowledgeBase,
    *,
    encoders: Sequence[str] = (),
    limit: int = 200,
    trust_remote_code: bool = False,
    progress: Progress | None = None,
) -> Advice:
    """Let encoders read the same pictures and sentences, and compare what they say. No label is read.

    Args:
        inputs: folders or files of pictures, as for `classify`.
        knowledge: file, name of a pack, or knowledge base.
        encoders: as for `load_encoder`; without any, those that are here and fit the modality.
        limit: pictures that are read, at most, taken evenly.
        trust_remote_code: as for `load_encoder`.
        progress: told which encoder is at work.

    Raises:
        InputError: too few pictures can be read, or no encoder is here.
    """
    base = knowledge if isinstance(knowledge, KnowledgeBase) else load_knowledge(knowledge)
    found = find_inputs(inputs, asked_of(base.task, None)).pictures
    chosen = [found[k] for k in np.unique(np.linspace(0, len(found) - 1, min(limit, len(found))).astype(int))]
    readable = [one for one in chosen if isinstance(load_instance(one)[1], np.ndarray)]
    if len(readable) < _FEWEST:
        raise InputError(f"{len(readable)} pictures can be read: at least {_FEWEST} are needed to compare encoders")
    here = [name for name in encoder_names() if parse_spec(name).here]
    names = list(dict.fromkeys(encoders)) or [name for name in here if _fits(name, base)]
    if not names:
        raise InputError(
            "no encoder here was made for this: name some with --encoder, or get one of `kpl encoders list`"
        )
    seen, labels = [], {}
    for place, name in enumerate(names):
        if progress:
            progress(name, place, len(names))
        try:
            one, labels[name] = _try(name, base, readable, trust_remote_code=trust_remote_code)
        except KplError as error:
            one = EncoderSeen(name, fits=False, problem=str(error))
        seen.append(one)
    tried = tuple(_compared(one, labels) for one in seen)
    modality = base.task.modality
    to_get = [name for name in (suited(modality) if modality else []) if name in catalogue() and name not in here]
    return Advice(modality, len(readable), tried, tuple(to_get))


def _fits(name: str, base: KnowledgeBase) -> bool:
    """Whether an encoder was made for the knowledge's modality; one that cannot be read is tried, which says why."""
    try:
        return fits_modality(base, load_card(name).modalities)
    except KplError:
        return True


def _try(
    name: str, base: KnowledgeBase, pictures: Sequence[Instance], *, trust_remote_code: bool
) -> tuple[EncoderSeen, NDArray[np.intp]]:
    """Encode, learn on all pictures and on halves of them; the labels are those learnt on all."""
    encoder = load_encoder(name, trust_remote_code=trust_remote_code)
    texts = embed_texts(base.prompts(), encoder, cache=TextCache())
    rows = []
    for start in range(0, len(pictures), _BATCH):
        pixels = [load_instance(one)[1] for one in pictures[start : start + _BATCH]]
        rows.append(encode_pictures([one for one in pixels if isinstance(one, np.ndarray)], encoder))
    images = np.concatenate(rows)

    def learnt(part: NDArray[np.intp]) -> NDArray[np.intp]:
        method = make_method("kpl").fit(images[part], texts)
        return np.asarray(method.predict(images), dtype=np.intp)

    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(images)) for _ in range(_HALVINGS)]
    middle = len(images) // 2
    steady = [_agreement(learnt(order[:middle]), learnt(order[middle:])) for order in orders]
    means = np.stack([text.mean(axis=0) / np.linalg.norm(text.mean(axis=0)) for text in texts])
    pairs = (means @ means.T)[np.triu_indices(len(means), 1)]
    spread = float(1.0 - pairs.mean()) if pairs.size else 0.0
    fits = fits_modality(base, encoder.card.modalities)
    return EncoderSeen(name, fits, spread, float(np.mean(steady))), learnt(np.arange(len(images)))


def _compared(one: EncoderSeen, labels: dict[str, NDArray[np.intp]]) -> EncoderSeen:
    others = [given for name, given in labels.items() if name != one.name]
    if one.problem or not others:
        return one
    alike = float(np.mean([_agreement(labels[one.name], given) for given in others]))
    return EncoderSeen(one.name, one.fits, one.spread, one.steady, alike)


def _agreement(a: NDArray[np.intp], b: NDArray[np.intp]) -> float:
    """Cohen's kappa; 0 where both give every picture the same one label, which says nothing.

    Example:
        >>> _agreement(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])), _agreement(np.zeros(4, int), np.zeros(4, int))
        (0.5, 0.0)
    """
    kappa = cohen_kappa(a, b)
    return 0.0 if np.isnan(kappa) else kappa
