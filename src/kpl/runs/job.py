"""A run from start to end, of whichever kind: pictures become features, the kind answers, a whole folder is there."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from kpl.embeddings import FeatureFolder
from kpl.encoders import Encoder
from kpl.knowledge import KnowledgeBase, write_knowledge
from kpl.progress import Progress, silent
from kpl.proxies.pooling import DEFAULT_POOL
from kpl.runs.answers import Said
from kpl.runs.folder import FEATURES_FOLDER, KNOWLEDGE_FILE, RUN_FILE, run_folder, write_log
from kpl.runs.opening import open_run
from kpl.runs.plan import Plan
from kpl.runs.run import Run
from kpl.runs.source import Source
from kpl.runs.summary import FORMAT
from kpl.runs.tables import Kept, predictions_place
from kpl.runs.thumbnails import keep_thumbnails
from kpl.runs.units import Pooling, Told, write_tissue
from kpl.runs.warnings import text_warnings


@dataclass(frozen=True)
class Desk:
    """Where a job works.

    Attributes:
        folder: the run folder that is being made.
        pooling: of the scores of its features.
        source: of these.
        tell: told how far the work is.
        said: what the method says of the features, where others worked it out.
    """

    folder: Path
    pooling: Pooling
    source: Source
    tell: Progress
    said: Said | None = None

    @property
    def features(self) -> FeatureFolder:
        """Of the pictures."""
        return self.pooling.features

    def keep_thumbnails(self, told: Told | None, rows: Callable[[], dict[int, int]]) -> None:
        """Keep small pictures of some units, if there are pictures; of a unit of several that which `told` names."""
        if self.source.found:
            units = self.features.of_units.ids
            whole = {u.id: replace(u.instances[0], place=None) for u in self.source.found.units if u.kind == "slide"}
            slides = {row: whole[unit] for row, unit in enumerate(units) if unit in whole}
            ids, beside = (told.key_ids, told.beside) if told else (self.features.ids, {})
            keep_thumbnails(self.folder, self.source.found.pictures, ids, rows(), beside, slides)


@dataclass(frozen=True, kw_only=True)
class Job(ABC):
    """What a kind of run computes.

    Attributes:
        knowledge, encoder: of the run.
        plan: what decides its numbers; its pictures are not read yet.
        kept: how the predictions are.
    """

    stated: ClassVar[dict[str, Any]] = {}
    """What `run.json` says of the kind."""
    knowledge: KnowledgeBase
    encoder: Encoder
    plan: Plan
    kept: Kept = "csv"

    @property
    def keys(self) -> list[str]:
        """Of the classes, in order."""
        return [entry.key for entry in self.knowledge.classes]

    @abstractmethod
    def answer(self, desk: Desk) -> dict[str, Any]:
        """Write what the run says of its pictures; return what `run.json` says of it, `warnings` among it."""

    def is_whole(self, run: Path) -> bool:
        """Say whether a run of the same plan has all that this job writes."""
        return predictions_place(run, self.kept).exists()

    def carry_out(
        self,
        source: Source,
        began: float,
        *,
        out: str | Path | None,
        overwrite: bool,
        finish: Callable[[Path], object] | None,
        progress: Progress | None,
    ) -> Run:
        """Make the run; arguments as in `kpl.classify`, and when the work `began` by `time.perf_counter`."""
        tell = progress or silent

        def is_same(run: Path, told: dict[str, Any]) -> bool:
            return self.is_whole(run) and self.plan.is_of(told.get("plan"), lambda: source.pictures_hash(self.encoder))

        with run_folder(out, overwrite=overwrite, same=is_same, finish=finish) as (work, place):
            before = time.perf_counter()
            features = source.features(self.encoder, work / FEATURES_FOLDER, partial(tell, "pictures"), old=out)
            reading = time.perf_counter() - before
            desk = Desk(work, Pooling(features, self.plan.pool or DEFAULT_POOL), source, tell)
            answers = self.answer(desk)
            write_tissue(work, features.of_units.listed)
            write_knowledge(self.knowledge, work / KNOWLEDGE_FILE, overwrite=True)
            self._write_summary(desk, answers)
            seconds = time.perf_counter() - began
            write_log(work, {"embed": reading, "all": seconds})
        told = None if source.folder else reading
        return replace(open_run(place.path), seconds=seconds, embed_seconds=told, _kept=place)

    def _write_summary(self, desk: Desk, answers: dict[str, Any]) -> None:
        """Write `run.json`: no time, no path, no machine, so that the same inputs give the same bytes."""
        plan = replace(self.plan, pictures=desk.features.index.pictures_sha256)
        warnings = [*desk.source.notes, *text_warnings(self.knowledge, self.encoder), *answers.pop("warnings")]
        summary = {
            "kpl_run": FORMAT,
            **self.stated,
            "plan": plan.to_json(),
            "plan_hash": plan.content_hash(),
            **about(self.knowledge, self.encoder),
            "pictures": desk.features.index.rows,
            **answers,
            "set_aside": [{"image": item.id, "reason": item.reason} for item in desk.features.set_aside],
            "other_files": desk.source.other_files,
            "warnings": [*warnings, *desk.pooling.warnings()],
            **desk.pooling.facts(),
        }
        text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
        (desk.folder / RUN_FILE).write_text(text, encoding="utf-8")


def about(base: KnowledgeBase, encoder: Encoder) -> dict[str, Any]:
    """Say for `run.json` what encoder, knowledge and versions a run used."""
    card = encoder.card
    sentences = [d for entry in base.classes for d in entry.descriptions]
    reviewed = sum(bool(d.provenance and d.provenance.reviewed_by) for d in sentences)
    return {
        "encoder": {
            "name": card.name,
            "intended_use": card.intended_use,
            "licence": card.licence,
            "logit_scale": encoder.logit_scale,
            "sources": [{"hub_id": source.hub_id, "revision": source.revision} for source in card.sources],
            "files": dict(card.files),
        },
        "knowledge": {
            "name": base.task.name,
            "version": base.task.version,
            "modality": base.task.modality,
            "descriptions": len(sentences),
            "reviewed": reviewed,
        },
        "versions": {name: version(name) for name in ("knowledge-proxy-learning", "numpy", "scipy", "onnxruntime")},
    }
