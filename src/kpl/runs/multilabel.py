"""Classes that may occur together: each is present or not by itself, against a threshold of its own."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import TextCache, embed_texts, encoder_identity
from kpl.encoders import Encoder
from kpl.errors import FeaturesError, InputError, UnknownNameError
from kpl.evaluation import OperatingRule, PresenceTable, Resampling, read_presence, score_presence
from kpl.images import SetAside
from kpl.knowledge import KnowledgeBase, load_knowledge, write_knowledge
from kpl.proxies.arrays import Floats
from kpl.proxies.presence import presence_blocks
from kpl.runs.classifying import Progress, Source, about, checked_encoder
from kpl.runs.folder import FEATURES_FOLDER, KNOWLEDGE_FILE, RUN_FILE, is_run, new_run_folder, open_run, save_texts
from kpl.runs.plan import Plan
from kpl.runs.tables import write_csv
from kpl.runs.warnings import absence_warnings, text_warnings

__all__ = ["PresenceResult", "classify_presence", "evaluate_presence", "is_multi_label"]

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
    keys = [entry.key for entry in base.classes]
    least = _thresholds(base, threshold, thresholds or {})
    if joint := [key for key in keys if _JOINT in key]:
        raise InputError(f"class {joint[0]!r} has {_JOINT!r} in its key, which joins labels in a table: rename it")
    source = Source.of(inputs)
    coder = checked_encoder(encoder, source, base)
    with new_run_folder(Path(out), overwrite=overwrite) as work:
        features = source.features(
            coder, work / FEATURES_FOLDER, lambda done, total: progress and progress("pictures", done, total)
        )
        cache = TextCache()
        present, absent, names = (
            embed_texts(prompts, coder, cache=cache)
            for prompts in (base.prompts(), base.absent_prompts(), [[prompt] for prompt in base.name_prompts()])
        )
        found = presence_blocks(features, present, absent, temperature=1.0 / coder.logit_scale)
        (work / "evidence.csv").unlink(missing_ok=True)
        counts, empty = _write(work / "predictions.csv", features.ids, keys, found, least)
        save_texts(work, present, np.concatenate(names))
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
            "kpl_run": 1,
            "multi_label": True,
            "plan": plan.to_json(),
            "plan_hash": plan.content_hash(),
            **about(base, coder),
            "pictures": features.n,
            "classes": counts,
            "without_any": empty,
            "set_aside": [{"image": item.id, "reason": item.reason} for item in features.set_aside],
            "other_files": source.other_files,
            "warnings": warnings,
        }
        (work / RUN_FILE).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        seconds = time.perf_counter() - started
    return PresenceResult(
        Path(out), coder.card.name, features.n, counts, empty, features.set_aside, tuple(warnings), seconds
    )


def is_multi_label(path: str | Path) -> bool:
    """Say whether a folder holds a multi-label run."""
    return is_run(path) and bool(json.loads((Path(path) / RUN_FILE).read_text(encoding="utf-8")).get("multi_label"))


def evaluate_presence(
    target: str | Path,
    *,
    labels: str | Path,
    replicates: int = 2000,
    rule: OperatingRule | None = None,
) -> tuple[PresenceTable, tuple[str, ...]]:
    """Score a multi-label run against a table of labels; return the scores and what was left out of them.

    Raises:
        LabelsError, FeaturesError: what cannot be used.
    """
    run = open_run(target)
    keys = [entry.key for entry in run.knowledge.classes]
    ids, probabilities = _read(run.predictions_file, keys)
    truth = read_presence(Path(labels), ids, run.knowledge)
    table = score_presence(
        truth.present,
        probabilities,
        keys,
        np.array([run.summary["plan"]["thresholds"][key] for key in keys]),
        groups=truth.groups,
        resampling=Resampling(replicates),
        rule=rule,
    )
    return table, truth.notices


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


def _write(
    path: Path, ids: Sequence[str], keys: Sequence[str], blocks: Iterator[Floats], least: Floats
) -> tuple[dict[str, int], int]:
    """Write the table; count the pictures of each class, and those without any."""
    counts, empty = np.zeros(len(keys), dtype=np.int64), 0

    def rows() -> Iterator[list[str]]:
        nonlocal empty
        names = iter(ids)
        for block in blocks:
            for chances, there in zip(block, block >= least, strict=True):
                counts[there] += 1
                empty += not there.any()
                labels = _JOINT.join(keys[c] for c in np.flatnonzero(there).tolist())
                yield [next(names), labels, *(f"{p:.6f}" for p in chances)]

    write_csv(path, ["image", "labels", *(f"p_{key}" for key in keys)], rows())
    return dict(zip(keys, counts.tolist(), strict=True)), empty


def _read(path: Path, keys: Sequence[str]) -> tuple[list[str], NDArray[np.float64]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file))
        if header != ["image", "labels", *(f"p_{key}" for key in keys)]:
            raise ValueError("other columns")
        probabilities = np.array([row[2:] for row in rows], dtype=np.float64)
        if probabilities.shape != (len(rows), len(keys)):
            raise ValueError("ragged rows")
    except (OSError, ValueError, csv.Error) as error:
        raise FeaturesError(f"{str(path)!r} is not the predictions file of this run: classify again") from error
    return [row[0] for row in rows], probabilities
