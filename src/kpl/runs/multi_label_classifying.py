"""Classes that may occur together: each is present or not by itself, against a threshold of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import TextCache, embed_texts, encoder_identity
from kpl.encoders import Encoder
from kpl.errors import FeaturesError, InputError, UnknownNameError
from kpl.images import Asked, Pictures
from kpl.knowledge import KnowledgeBase, load_knowledge
from kpl.progress import Progress
from kpl.proxies.arrays import Floats
from kpl.proxies.multi_label import multi_label_probabilities, other_texts, parting_thresholds
from kpl.runs.answers import Written, said_on_cluster
from kpl.runs.choosing import load_thresholds
from kpl.runs.folder import save_texts
from kpl.runs.job import Desk, Job
from kpl.runs.multi_label import MultiLabelRun
from kpl.runs.plan import Plan
from kpl.runs.prediction_files import write_multi_label_predictions
from kpl.runs.predictions import JOINT
from kpl.runs.scores import SCORES_FILE, write_scores
from kpl.runs.source import Source, card_of
from kpl.runs.tables import Kept, check_kept, predictions_place
from kpl.runs.thumbnails import kept_multi_label_rows
from kpl.runs.units import Told, write_units
from kpl.runs.warnings import absence_warnings
from kpl.tables import Wanted

_METHOD = "multi-label"
_FEWEST = 10  # pictures to find thresholds by: as many as labelled ones would have to be
_PARTED = (
    "its thresholds part the pictures of each class in two, whether or not any has it: choose them by labels, with "
    "kpl calibrate, where there are some"
)


def classify_multi_label(
    inputs: Pictures = None,
    *,
    knowledge: str | Path | Mapping[str, Any] | KnowledgeBase,
    table: str | Path | None = None,
    reading: Wanted | None = None,
    out: str | Path | None = None,
    encoder: str | Encoder | None = None,
    threshold: float | Literal["auto"] | None = None,
    thresholds: Mapping[str, float] | None = None,
    calibration: str | Path | None = None,
    pool: str | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    asked: Asked | None = None,
    predictions: Kept = "csv",
    overwrite: bool = False,
    finish: Callable[[Path], object] | None = None,
    progress: Progress | None = None,
    on: Literal["ray"] | None = None,
    address: str | None = None,
) -> MultiLabelRun:
    """Say of each class by itself whether a picture has it, in a multi-label run.

    Nothing is learnt from the pictures: the probability of a class comes from its descriptions against those of its
    absence, or those of the other classes where it states none (`kpl.proxies.multi_label`), and each picture stands
    alone.

    Args:
        inputs, table, reading, knowledge, out, encoder, pool, batch_size, workers, asked: as for `classify`.
        predictions, overwrite, finish, progress: as for `classify`.
        threshold: a class is present from this probability on; None takes 0.5. "auto" parts the pictures of each class
            in two by how its probabilities lie, without labels, where ten pictures or more are given.
        thresholds: class key, name or alias to a threshold of its own.
        calibration: a file of `calibrate_multi_label`, in the place of these two.
        on, address: as for `classify`; of features, and into `out`.

    Raises:
        KplError: one of the tree in `kpl.errors`; nothing is half-written.
    """
    began = time.perf_counter()
    check_kept(predictions)
    base = load_knowledge(knowledge)
    keys = _keys(base)
    if calibration is not None and (threshold is not None or thresholds):
        raise InputError("a calibration of a multi-label run has its thresholds already: leave --threshold out")
    chosen = None if calibration is None else load_thresholds(calibration)
    auto = threshold == "auto"
    if auto and thresholds:
        raise InputError("thresholds are chosen by the pictures, auto, or given for single classes: leave one out")
    least = _thresholds(base, 0.5 if threshold in (None, "auto") else float(threshold), thresholds or {})
    source = Source.of(
        inputs, batch_size, workers, asked, base.task, table, reading, partial(card_of, encoder), progress
    )
    if on is not None and (source.folder is None or out is None):
        raise InputError(
            "a cluster reads features: embed first, kpl embed SCANS/ --out features/ --on ray, and give --out"
        )
    coder = source.encoder(encoder, base)
    identity, content, pool = encoder_identity(coder), base.content_hash(), source.pool(pool, base.task)
    if chosen is not None:
        least = _thresholds(base, 0.5, chosen.for_run(encoder=identity, knowledge=content, pool=pool))
    plan = Plan(
        encoder=identity,
        knowledge=content,
        pictures="",
        method=_METHOD,
        settings={"temperature": 1.0 / coder.logit_scale, **({"threshold": "auto"} if auto else {})},
        thresholds=None if auto else dict(zip(keys, least.tolist(), strict=True)),
        pool=pool,
    )
    told = () if chosen is None else (f"its thresholds were chosen by the labels of {chosen.labelled} pictures",)
    cluster = None if on is None else partial(said_on_cluster, address=address)
    job = _Job(knowledge=base, encoder=coder, plan=plan, least=least, told=told, kept=predictions, cluster=cluster)
    run = job.carry_out(source, began, out=out, overwrite=overwrite, finish=finish, progress=progress)
    if not isinstance(run, MultiLabelRun):
        raise FeaturesError(f"{str(run.path)!r} was changed while it was written: classify again")
    return run


@dataclass(frozen=True, kw_only=True)
class _Job(Job):
    stated: ClassVar[dict[str, Any]] = {"multi_label": True}
    least: Floats
    """Threshold of each class, (C,), where the plan has thresholds; else where too few pictures are given."""
    told: tuple[str, ...]
    """Where these come from, if labels chose them."""
    cluster: Callable[..., AbstractContextManager[Written]] | None = None

    def answer(self, desk: Desk) -> dict[str, Any]:
        present, absent, names = _texts(self.knowledge, self.encoder)
        heat = 1.0 / self.encoder.logit_scale
        say = partial(multi_label_probabilities, present=present, absent=absent, temperature=heat)
        if self.cluster is None or desk.source.folder is None:
            chances = say(desk.features)
        else:
            with self.cluster(say, desk.source.folder, desk.folder) as written:
                chances = np.concatenate(list(written))
        chances, told = _of_units(desk, chances, self.keys)
        least, parted = self.least, self.plan.thresholds is None and len(chances) >= _FEWEST
        if parted:
            least = parting_thresholds(chances)
        there, ids, own = chances >= least, desk.features.of_units.names(), told.columns() if told else None
        write_scores(desk.folder / SCORES_FILE, [_logits(chances)], *chances.shape)
        place = predictions_place(desk.folder, self.kept)
        write_multi_label_predictions(place, ids, self.keys, chances, there, own, desk.pooling.shards)
        desk.keep_thumbnails(told, lambda: kept_multi_label_rows(chances, there, least))
        save_texts(desk.folder, present, np.concatenate(names), absent=absent)
        return {
            "classes": dict(zip(self.keys, there.sum(axis=0).tolist(), strict=True)),
            "without_any": int((~there.any(axis=1)).sum()),
            **({} if self.plan.thresholds else {"thresholds": dict(zip(self.keys, least.tolist(), strict=True))}),
            "warnings": [*absence_warnings(self.knowledge), *self.told, *([_PARTED] if parted else [])],
        }


def _texts(base: KnowledgeBase, encoder: Encoder) -> tuple[list[NDArray[np.float32]], ...]:
    """Return of each class its sentences, what it is held against, and its name, (m_c, d), (m_c or 1, d) and (1, d)."""
    cache = TextCache()
    present, stated, names = (
        embed_texts(prompts, encoder, cache=cache)
        for prompts in (base.prompts(), base.absent_prompts(), [[prompt] for prompt in base.name_prompts()])
    )
    against = zip(base.classes, stated, other_texts(present), strict=True)
    return present, [own if entry.absent else others.astype(np.float32) for entry, own, others in against], names


def _of_units(desk: Desk, chances: Floats, keys: Sequence[str]) -> tuple[Floats, Told | None]:
    """Pool the probabilities (n, C) of instances, and write what belongs to units of several."""
    write_units(desk.folder, desk.features)
    if desk.pooling.plain:
        return chances, None
    from scipy.special import expit

    odds = _logits(chances)
    pooled = np.concatenate(list(desk.pooling.pooled([odds], apart=True)))
    return np.asarray(expit(pooled)), desk.pooling.tell(desk.folder, keys, [odds], pooled.argmax(axis=1))


def _keys(base: KnowledgeBase) -> list[str]:
    keys = [entry.key for entry in base.classes]
    if joint := [key for key in keys if JOINT in key]:
        raise InputError(f"class {joint[0]!r} has {JOINT!r} in its key, which joins labels in a table: rename it")
    return keys


def _thresholds(base: KnowledgeBase, threshold: float, own: Mapping[str, float]) -> Floats:
    least = np.full(len(base.classes), threshold, dtype=np.float64)
    for name, value in own.items():
        number = base.resolve(name)
        if number is None:
            raise UnknownNameError("class", name, [entry.key for entry in base.classes])
        least[number] = value
    if not ((least >= 0) & (least <= 1)).all():
        raise InputError(f"a threshold is a probability from 0 to 1, got {least.tolist()}")
    return least


def _logits(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import logit

    return np.asarray(logit(chances))
