"""Classes that may occur together: each is present or not by itself, against a threshold of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import TextCache, embed_texts, encoder_identity
from kpl.encoders import Encoder
from kpl.errors import FeaturesError, InputError, LabelsError, UnknownNameError
from kpl.evaluation import OperatingRule, PresenceTable, Reading, Resampling, score_presence
from kpl.images import Pictures
from kpl.knowledge import KnowledgeBase, load_knowledge, write_knowledge
from kpl.progress import Progress, silent
from kpl.proxies.arrays import Floats
from kpl.proxies.presence import presence_probabilities
from kpl.runs.classifying import Source, about, checked_encoder
from kpl.runs.folder import FEATURES_FOLDER, KNOWLEDGE_FILE, RUN_FILE, is_run, run_folder, save_texts, write_log
from kpl.runs.multi_label import MultiLabelRun
from kpl.runs.opening import open_run
from kpl.runs.plan import Plan
from kpl.runs.predictions import JOINT, ROUNDED, SCORES_FILE, write_presence_predictions, write_scores
from kpl.runs.run import Run
from kpl.runs.thumbnails import keep_thumbnails, kept_presence_rows
from kpl.runs.warnings import absence_warnings, text_warnings

__all__ = ["classify_presence", "evaluate_presence", "is_multi_label"]

_METHOD = "presence"


def classify_presence(
    inputs: Pictures,
    *,
    knowledge: str | Path | Mapping[str, Any] | KnowledgeBase,
    out: str | Path | None = None,
    encoder: str | Encoder | None = None,
    threshold: float = 0.5,
    thresholds: Mapping[str, float] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    finish: Callable[[Path], object] | None = None,
    progress: Progress | None = None,
) -> MultiLabelRun:
    """Say of each class by itself whether a picture has it, in a multi-label run.

    Nothing is learnt from the pictures: the probability of a class comes from its descriptions against those of its
    absence (`KnowledgeBase.absent_prompts`, `kpl.proxies.presence`), and each picture stands alone.

    Args:
        inputs, knowledge, out, encoder, batch_size, workers, overwrite, finish, progress: as for `classify`.
        threshold: a class is present from this probability on.
        thresholds: class key, name or alias to a threshold of its own.

    Raises:
        KplError: one of the tree in `kpl.errors`; nothing is half-written.
    """
    started = time.perf_counter()
    base = load_knowledge(knowledge)
    keys, least = _keys(base), _thresholds(base, threshold, thresholds or {})
    source = Source.of(inputs, batch_size, workers)
    coder = checked_encoder(encoder, source, base)
    plan = _plan(coder, base, keys, least)

    def is_same(_run: Path, told: dict[str, Any]) -> bool:
        return plan.is_of(told.get("plan"), lambda: source.pictures_hash(coder))

    with run_folder(out, overwrite=overwrite, same=is_same, finish=finish) as (work, place):
        began, tell = time.perf_counter(), partial(progress or silent, "pictures")
        features = source.features(coder, work / FEATURES_FOLDER, tell)
        cache = TextCache()
        present, absent, names = (
            embed_texts(prompts, coder, cache=cache)
            for prompts in (base.prompts(), base.absent_prompts(), [[prompt] for prompt in base.name_prompts()])
        )
        embedded = time.perf_counter()
        chances = presence_probabilities(features, present, absent, temperature=1.0 / coder.logit_scale)
        there = chances >= least
        counts, empty = dict(zip(keys, there.sum(axis=0).tolist(), strict=True)), int((~there.any(axis=1)).sum())
        write_scores(work / SCORES_FILE, [_logits(chances)], *chances.shape)
        write_presence_predictions(work / "predictions.csv", features.ids, keys, chances, there)
        if source.found:
            keep_thumbnails(work, source.found.pictures, features.ids, kept_presence_rows(chances, there, least))
        save_texts(work, present, np.concatenate(names), absent=absent)
        write_knowledge(base, work / KNOWLEDGE_FILE, overwrite=True)
        warnings = [*text_warnings(base, coder), *absence_warnings(base)]
        summary = {
            "pictures": features.n,
            "classes": counts,
            "without_any": empty,
            "set_aside": [{"image": item.id, "reason": item.reason} for item in features.set_aside],
            "other_files": source.other_files,
            "warnings": warnings,
        }
        whole = replace(plan, pictures=features.index.pictures_sha256)
        _write_summary(work / RUN_FILE, whole, about(base, coder) | summary)
        seconds = time.perf_counter() - started
        write_log(work, {"embed": embedded - began, "all": seconds})
    run = open_run(place.path)
    if not isinstance(run, MultiLabelRun):
        raise FeaturesError(f"{str(place.path)!r} was changed while it was written: classify again")
    return replace(run, seconds=seconds, embed_seconds=None if source.folder else embedded - began, _kept=place)


def _plan(encoder: Encoder, base: KnowledgeBase, keys: Sequence[str], least: Floats) -> Plan:
    """Return the plan of a run whose pictures are not read yet."""
    return Plan(
        encoder=encoder_identity(encoder),
        knowledge=base.content_hash(),
        pictures="",
        method=_METHOD,
        settings={"temperature": 1.0 / encoder.logit_scale},
        thresholds=dict(zip(keys, least.tolist(), strict=True)),
    )


def _write_summary(path: Path, plan: Plan, facts: dict[str, Any]) -> None:
    summary = {"kpl_run": 1, "multi_label": True, "plan": plan.to_json(), "plan_hash": plan.content_hash(), **facts}
    path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def is_multi_label(path: str | Path) -> bool:
    """Say whether a folder holds a multi-label run."""
    return is_run(path) and bool(json.loads((Path(path) / RUN_FILE).read_text(encoding="utf-8")).get("multi_label"))


def evaluate_presence(
    target: str | Path | Run,
    *,
    labels: str | Path,
    by: Sequence[str] = (),
    replicates: int = 2000,
    rule: OperatingRule | None = None,
    reading: Reading | None = None,
) -> tuple[PresenceTable, tuple[str, ...]]:
    """Score a multi-label run against a table of labels; return the scores and what was left out of them.

    The values of the columns `by` of the labels are scored apart too.

    Raises:
        LabelsError, FeaturesError: what cannot be used.
    """
    run = target if isinstance(target, Run) else open_run(target)
    if not isinstance(run, MultiLabelRun):
        raise LabelsError(f"{str(run.path)!r} gives each picture one label: score it with evaluate")
    truth = run.labels(labels, columns=by, reading=reading)
    table = score_presence(
        truth.present,
        run.predictions.probabilities,
        run.keys,
        run.thresholds,
        groups=truth.groups,
        resampling=Resampling(replicates),
        rule=rule,
        subgroups=truth.columns,
    )
    return table, (truth.said, *truth.notices, *([] if run.predictions.exact else [ROUNDED]))


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
