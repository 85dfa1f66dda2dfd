"""Classes that may occur together: each is present or not by itself, against a threshold of its own."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from kpl.embeddings import TextCache, embed_texts, encoder_identity
from kpl.encoders import Encoder
from kpl.errors import FeaturesError, InputError, UnknownNameError
from kpl.evaluation import OperatingRule, PresenceTable, Resampling, read_presence, score_presence
from kpl.images import SetAside
from kpl.knowledge import KnowledgeBase, load_knowledge, write_knowledge
from kpl.proxies.arrays import Floats
from kpl.proxies.presence import presence_probabilities
from kpl.runs.classifying import Progress, Source, about, checked_encoder
from kpl.runs.folder import (
    FEATURES_FOLDER,
    KNOWLEDGE_FILE,
    RUN_FILE,
    is_run,
    new_run_folder,
    open_run,
    save_texts,
    write_log,
)
from kpl.runs.notebook import result_html
from kpl.runs.plan import Plan
from kpl.runs.predictions import ROUNDED, SCORES_FILE, check_exact, check_pictures, read_scores, write_scores
from kpl.runs.tables import read_csv, write_csv
from kpl.runs.thumbnails import keep_thumbnails, kept_presence_rows
from kpl.runs.warnings import absence_warnings, text_warnings

__all__ = [
    "MultiLabel",
    "PresenceResult",
    "classify_presence",
    "evaluate_presence",
    "is_multi_label",
    "read_multi_label",
]

_METHOD = "presence"
_JOINT = "|"


@dataclass(frozen=True)
class PresenceResult:
    """What a multi-label run came to.

    Attributes:
        out: the run folder.
        encoder: its name.
        n: pictures.
        counts: class key to pictures that have it.
        empty: pictures without any class.
        set_aside: files without a prediction, with reasons.
        warnings: what to know before believing it.
        seconds: from start to end.
    """

    out: Path
    encoder: str
    n: int
    counts: dict[str, int]
    empty: int
    set_aside: tuple[SetAside, ...]
    warnings: tuple[str, ...]
    seconds: float

    def _repr_html_(self) -> str:
        title = f"{self.n} pictures, several labels each, with {self.encoder}"
        notes = (f"{self.empty} pictures have none of these classes", *self.warnings)
        return result_html(self.out, self.counts, title, notes, _ranking, self.n)


def classify_presence(
    inputs: str | Path | Sequence[str | Path],
    *,
    knowledge: str | Path | KnowledgeBase,
    out: str | Path,
    encoder: str | Encoder | None = None,
    threshold: float = 0.5,
    thresholds: Mapping[str, float] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PresenceResult:
    """Say of each class by itself whether a picture has it, and write a multi-label run folder.

    Nothing is learnt from the pictures: the probability of a class comes from its descriptions against those of its
    absence (`KnowledgeBase.absent_prompts`, `kpl.proxies.presence`), and each picture stands alone.

    Args:
        inputs, knowledge, out, encoder, overwrite, progress: as for `classify`.
        threshold: a class is present from this probability on.
        thresholds: class key, name or alias to a threshold of its own.

    Raises:
        KplError: one of the tree in `kpl.errors`; nothing is half-written.
    """
    started = time.perf_counter()
    base = knowledge if isinstance(knowledge, KnowledgeBase) else load_knowledge(knowledge)
    keys, least = _keys(base), _thresholds(base, threshold, thresholds or {})
    source = Source.of(inputs)
    coder = checked_encoder(encoder, source, base)
    with new_run_folder(Path(out), overwrite=overwrite) as work:
        began = time.perf_counter()
        features = source.features(
            coder, work / FEATURES_FOLDER, lambda done, total: progress and progress("pictures", done, total)
        )
        cache = TextCache()
        present, absent, names = (
            embed_texts(prompts, coder, cache=cache)
            for prompts in (base.prompts(), base.absent_prompts(), [[prompt] for prompt in base.name_prompts()])
        )
        embedded = time.perf_counter()
        chances = presence_probabilities(features, present, absent, temperature=1.0 / coder.logit_scale)
        there = chances >= least
        counts, empty = dict(zip(keys, there.sum(axis=0).tolist(), strict=True)), int((~there.any(axis=1)).sum())
        write_scores(work / SCORES_FILE, [logit(chances)], *chances.shape)
        _write(work / "predictions.csv", features.ids, keys, chances, there)
        if source.found:
            keep_thumbnails(work, source.found.pictures, features.ids, kept_presence_rows(chances, there, least))
        save_texts(work, present, np.concatenate(names), absent=absent)
        write_knowledge(base, work / KNOWLEDGE_FILE, overwrite=True)
        plan = Plan(
            encoder=encoder_identity(coder),
            knowledge=base.content_hash(),
            pictures=features.index.pictures_sha256,
            method=_METHOD,
            settings={"temperature": 1.0 / coder.logit_scale},
            thresholds=dict(zip(keys, least.tolist(), strict=True)),
        )
        warnings = [*text_warnings(base, coder), *absence_warnings(base)]
        summary = {
            "pictures": features.n,
            "classes": counts,
            "without_any": empty,
            "set_aside": [{"image": item.id, "reason": item.reason} for item in features.set_aside],
            "other_files": source.other_files,
            "warnings": warnings,
        }
        _write_summary(work / RUN_FILE, plan, about(base, coder) | summary)
        seconds = time.perf_counter() - started
        write_log(work, {"embed": embedded - began, "all": seconds})
    return PresenceResult(
        Path(out), coder.card.name, features.n, counts, empty, features.set_aside, tuple(warnings), seconds
    )


def _write_summary(path: Path, plan: Plan, facts: dict[str, Any]) -> None:
    summary = {"kpl_run": 1, "multi_label": True, "plan": plan.to_json(), "plan_hash": plan.content_hash(), **facts}
    path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def is_multi_label(path: str | Path) -> bool:
    """Say whether a folder holds a multi-label run."""
    return is_run(path) and bool(json.loads((Path(path) / RUN_FILE).read_text(encoding="utf-8")).get("multi_label"))


def evaluate_presence(
    target: str | Path,
    *,
    labels: str | Path,
    by: Sequence[str] = (),
    replicates: int = 2000,
    rule: OperatingRule | None = None,
) -> tuple[PresenceTable, tuple[str, ...]]:
    """Score a multi-label run against a table of labels; return the scores and what was left out of them.

    The values of the columns `by` of the labels are scored apart too.

    Raises:
        LabelsError, FeaturesError: what cannot be used.
    """
    run = open_run(target)
    keys = [entry.key for entry in run.knowledge.classes]
    said = read_multi_label(run.predictions_file, keys, run.features.ids)
    truth = read_presence(Path(labels), said.ids, run.knowledge, columns=by)
    table = score_presence(
        truth.present,
        said.probabilities,
        keys,
        np.array([run.summary["plan"]["thresholds"][key] for key in keys]),
        groups=truth.groups,
        resampling=Resampling(replicates),
        rule=rule,
        subgroups=truth.columns,
    )
    return table, (*truth.notices, *([] if said.exact else [ROUNDED]))


def _keys(base: KnowledgeBase) -> list[str]:
    keys = [entry.key for entry in base.classes]
    if joint := [key for key in keys if _JOINT in key]:
        raise InputError(f"class {joint[0]!r} has {_JOINT!r} in its key, which joins labels in a table: rename it")
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


@dataclass(frozen=True)
class MultiLabel:
    """What a multi-label run says.

    Attributes:
        ids: (n,) of the images.
        present: (n, C), which classes an image has.
        probabilities: (n, C).
        exact: the probabilities are not rounded to six decimals, as those of earlier versions are.
    """

    ids: tuple[str, ...]
    present: NDArray[np.bool_]
    probabilities: Floats
    exact: bool


def read_multi_label(path: Path, keys: Sequence[str], ids: Sequence[str] | None = None) -> MultiLabel:
    """Read the predictions of a multi-label run, with the exact probabilities beside them; arguments as elsewhere.

    Raises:
        FeaturesError: a file is missing or damaged, not of these classes, or of other images than `ids`.
    """
    position = {key: c for c, key in enumerate(keys)}
    try:
        header, *rows = read_csv(path)
        if header != ["image", "labels", *(f"p_{key}" for key in keys)]:
            raise ValueError("other columns")
        probabilities = np.array([row[2:] for row in rows], dtype=np.float64)
        if probabilities.shape != (len(rows), len(keys)):
            raise ValueError("ragged rows")
        present = np.zeros(probabilities.shape, dtype=np.bool_)
        for number, row in enumerate(rows):
            present[number, [position[key] for key in row[1].split(_JOINT) if key]] = True
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise FeaturesError(f"{str(path)!r} is not the predictions file of this run: classify again") from error
    names = tuple(row[0] for row in rows)
    check_pictures(path, names, ids)
    scores = read_scores(path.parent)
    if scores is None:
        return MultiLabel(names, present, probabilities, exact=False)
    exact = expit(scores)
    check_exact(path, exact, probabilities)
    return MultiLabel(names, present, exact, exact=True)


def _write(path: Path, ids: Sequence[str], keys: Sequence[str], chances: Floats, present: NDArray[np.bool_]) -> None:
    def rows() -> Iterator[list[str]]:
        for name, own, there in zip(ids, chances, present, strict=True):
            yield [name, _JOINT.join(keys[c] for c in np.flatnonzero(there).tolist()), *(f"{p:.6f}" for p in own)]

    write_csv(path, ["image", "labels", *(f"p_{key}" for key in keys)], rows())


def _ranking(path: Path, keys: list[str]) -> tuple[list[str], list[list[int]]]:
    said = read_multi_label(path, keys)
    orders = np.argsort(-said.probabilities, axis=0, kind="stable").T
    return list(said.ids), [order[said.present[order, c]].tolist() for c, order in enumerate(orders)]
