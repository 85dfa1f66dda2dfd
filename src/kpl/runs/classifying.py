"""The main job: pictures and a knowledge base in, predictions with their evidence out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import (
    FeatureFolder,
    TextCache,
    embed_texts,
    encoder_identity,
    recorded_encoder,
)
from kpl.encoders import Encoder
from kpl.errors import EncoderError, InputError
from kpl.evaluation import Calibration
from kpl.images import Found, Pictures
from kpl.knowledge import KnowledgeBase, check_tokens, fits_modality, write_knowledge
from kpl.methods import Method, as_method, explain
from kpl.progress import Progress, silent
from kpl.proxies.arrays import Floats, chunks, log_odds, softmax
from kpl.proxies.sums import sum_images
from kpl.runs.calibrating import CalibrationFile, load_calibration
from kpl.runs.deciding import Deciding
from kpl.runs.evidence import write_evidence
from kpl.runs.folder import FEATURES_FOLDER, KNOWLEDGE_FILE, RUN_FILE, run_folder, save_texts, write_log
from kpl.runs.models import Model, known_base, load_model
from kpl.runs.opening import open_single_label
from kpl.runs.plan import Plan
from kpl.runs.predictions import SCORES_FILE, write_predictions, write_scores
from kpl.runs.single_label import SingleLabelRun
from kpl.runs.source import Source
from kpl.runs.texts import wanted_prompts
from kpl.runs.thumbnails import keep_thumbnails, kept_rows
from kpl.runs.warnings import result_warnings, text_warnings

__all__ = ["DEFAULT_ENCODER", "Source", "about", "checked_encoder", "classify"]

DEFAULT_ENCODER = "mini"
_EVIDENCE = "evidence.csv"


def classify(
    inputs: Pictures,
    *,
    knowledge: str | Path | Mapping[str, Any] | KnowledgeBase | None = None,
    model: str | Path | Model | None = None,
    out: str | Path | None = None,
    encoder: str | Encoder | None = None,
    method: str | Method | None = None,
    settings: Mapping[str, Any] | None = None,
    with_evidence: bool = False,
    calibration: str | Path | None = None,
    abstain_below: float | None = None,
    coverage: float | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    finish: Callable[[Path], object] | None = None,
    progress: Progress | None = None,
) -> SingleLabelRun:
    """Classify pictures without labels.

    Args:
        inputs: folders and files of pictures, or one feature folder of `kpl embed`; or pictures in memory, see
            `kpl.images.find_given`.
        knowledge: a file, a pack's name, a dict of class to sentences, or a knowledge base; a model brings its own.
        model: what `fit` learnt, in the place of learning from these pictures; then `encoder` only says where the
            model's own encoder is.
        out: the run folder to make; None keeps the run for as long as it is used, and `Run.save` writes it.
        encoder: its name, or one that is loaded; None takes the one the features were made with, else the embedded
            default, and then knowledge of a modality that it was not made for is refused. The method's temperature is
            one over its logit scale unless `settings` say otherwise, for sigmoid heads too: their bias is the same for
            all classes, so it does not change which of them is likeliest.
        method: a registry name, or a method made by hand; None takes the default, "kpl".
        settings: of the method; what is left out keeps its default.
        with_evidence: write `evidence.csv` too.
        calibration: a file of `kpl calibrate`, made for this encoder, knowledge and method.
        abstain_below: leave pictures of lower confidence without a label.
        coverage: label this share of the pictures, the most confident.
        batch_size, workers: as in `embed_pictures`; refused where the features are there already.
        overwrite: replace an earlier run in `out`.
        finish: called with the run folder before it gets its name, to write more into it.
        progress: called while pictures are embedded and evidence is gathered.

    Raises:
        AlreadyThereError: this very run is in `out`.
        KplError: one of the tree in `kpl.errors`; nothing is half-written.
    """
    started = time.perf_counter()
    learnt = load_model(model) if isinstance(model, str | Path) else model
    base = known_base(knowledge, learnt)
    source = Source.of(inputs, batch_size, workers)
    if isinstance(knowledge, Mapping) and base.task.modality is None and source.folder is None:
        encoder = encoder or DEFAULT_ENCODER  # a dict has no place for a modality: a warning says so
    coder, chosen = _prepared(source, base, learnt, encoder, method, dict(settings or {}))
    if with_evidence and chosen.reads not in ("descriptions", "pairs"):
        raise InputError(f"method {chosen.name!r} reads no descriptions: there is no evidence by sentence to explain")
    trusted = load_calibration(calibration) if calibration is not None else None
    deciding = Deciding(_fitting(trusted, coder, base, chosen, learnt), abstain_below, coverage)
    tell = progress or silent
    plan = _plan(coder, base, chosen, trusted, deciding, learnt)

    def is_same(run: Path, told: dict[str, Any]) -> bool:
        explained = (run / _EVIDENCE).exists()
        return explained == with_evidence and plan.is_of(told.get("plan"), lambda: source.pictures_hash(coder))

    with run_folder(out, overwrite=overwrite, same=is_same, finish=finish) as (work, done):
        began = time.perf_counter()
        features = source.features(coder, work / FEATURES_FOLDER, lambda done, total: tell("pictures", done, total))
        embedded = time.perf_counter()
        job = _Job(work, base, coder, chosen, features, deciding, plan, learnt, source.found)
        winners, warnings = job.run(tell, with_evidence=with_evidence)
        counts = dict(zip(job.keys, np.bincount(winners, minlength=len(job.keys)).tolist(), strict=True))
        job.write_summary(counts, warnings, source.other_files)
        seconds = time.perf_counter() - started
        write_log(work, {"embed": embedded - began, "all": seconds})
    told = None if source.folder else embedded - began
    return replace(open_single_label(done.path), seconds=seconds, embed_seconds=told, _kept=done)


def _plan(
    encoder: Encoder,
    base: KnowledgeBase,
    method: Method,
    trusted: CalibrationFile | None,
    deciding: Deciding,
    model: Model | None,
) -> Plan:
    """Return the plan of a run whose pictures are not read yet."""
    return Plan(
        encoder=encoder_identity(encoder),
        knowledge=base.content_hash(),
        pictures="",
        method=method.name,
        settings=_settings(method),
        calibration=trusted.content_hash() if trusted else None,
        abstain=deciding.asked,
        model=model.sha256 if model else None,
    )


def _fitting(
    trusted: CalibrationFile | None, encoder: Encoder, base: KnowledgeBase, method: Method, model: Model | None
) -> Calibration | None:
    """Return the calibration of a file, refused if it was made for another run than this."""
    if trusted is None:
        return None
    return trusted.for_run(
        encoder=encoder_identity(encoder),
        knowledge=base.content_hash(),
        method=method.name,
        settings=_settings(method),
        keys=[entry.key for entry in base.classes],
        model=None if model is None else model.sha256,
    )


def _prepared(
    source: Source,
    base: KnowledgeBase,
    model: Model | None,
    encoder: str | Encoder | None,
    method: str | Method | None,
    settings: dict[str, Any],
) -> tuple[Encoder, Method]:
    """Return the encoder, checked, and the method, which is fitted already if it is a model's."""
    if model is None:
        coder = checked_encoder(encoder, source, base)
        if isinstance(method, str | None):
            settings = {"temperature": 1.0 / coder.logit_scale, **settings}
        return coder, as_method("kpl" if method is None else method, **settings)
    if method is not None or settings:
        raise InputError("a model has its method and settings already: leave them out, or fit another model")
    return model.encoder_for(source.folder, encoder), model.method


def checked_encoder(name: str | Encoder | None, source: Source, base: KnowledgeBase) -> Encoder:
    """Load the encoder of a run and refuse one that does not fit the features or the knowledge.

    Raises:
        EncoderError, KnowledgeError: it does not fit.
    """
    folder = source.folder
    made_with = folder.index.encoder_name if folder else DEFAULT_ENCODER
    encoder = recorded_encoder(made_with, folder.check_encoder if folder else lambda _identity: None, name)
    card = encoder.card
    if name is None and not fits_modality(base, card.modalities):
        states = f"is about {base.task.modality!r}" if base.task.modality else "does not state its modality"
        raise EncoderError(
            f"knowledge {base.task.name!r} {states}, and the default encoder {card.name!r} reads only "
            f"{', '.join(card.modalities[:2])}: choose an encoder made for it with --encoder, state task.modality in "
            f"the knowledge file, or insist with --encoder {card.name}"
        )
    check_tokens(base, encoder.count_tokens, encoder.context_length)
    return encoder


@dataclass(frozen=True)
class _Job:
    work: Path
    knowledge: KnowledgeBase
    encoder: Encoder
    method: Method
    features: FeatureFolder
    deciding: Deciding
    planned: Plan
    model: Model | None
    found: Found | None

    @property
    def keys(self) -> list[str]:
        return [entry.key for entry in self.knowledge.classes]

    def run(self, tell: Progress, *, with_evidence: bool) -> tuple[NDArray[np.intp], list[str]]:
        """Embed the texts, learn, write predictions and evidence; return the labels given and the warnings."""
        cache = TextCache()
        descriptions = embed_texts(self.knowledge.prompts(), self.encoder, cache=cache)
        names = embed_texts([[prompt] for prompt in self.knowledge.name_prompts()], self.encoder, cache=cache)
        if self.model is None:
            self.method.fit(self.features, self._texts(descriptions, names, cache))
        ids = self.features.ids
        sureness = self._write_scores()
        answered = self.deciding.answered(sureness)
        chances = map(softmax, self._logits())
        winners = write_predictions(self.work / "predictions.csv", ids, self.keys, chances, answered)
        text = self.method.text_logits(self.features).argmax(axis=1)
        if self.found:
            rows = kept_rows(winners, text, sureness, len(self.keys))
            keep_thumbnails(self.work, self.found.pictures, ids, rows)
        if with_evidence:
            evidence = explain(
                self.method,
                self.features,
                refit_on=None if self.model else self.features,
                average=sum_images(self.features).mean if self.model else None,
                progress=lambda done, total: tell("evidence", done, total),
            )
            write_evidence(self.work / _EVIDENCE, ids, evidence, self.knowledge)
        reads = self.method.reads == "descriptions"
        save_texts(self.work, descriptions, np.concatenate(names), self.method.text_, of_descriptions=reads)
        write_knowledge(self.knowledge, self.work / KNOWLEDGE_FILE, overwrite=True)
        warnings = text_warnings(self.knowledge, self.encoder)
        warnings += result_warnings(self.method, winners, text, self.keys)
        return winners if answered is None else winners[answered], warnings

    def _texts(
        self, descriptions: list[NDArray[np.float32]], names: list[NDArray[np.float32]], cache: TextCache
    ) -> list[NDArray[np.float32]]:
        read = {"names": names, "descriptions": descriptions}.get(self.method.reads)
        return read or embed_texts(wanted_prompts(self.method, self.knowledge), self.encoder, cache=cache)

    def _logits(self) -> Iterator[Floats]:
        yield from self.deciding.calibrated(self.method.logits(chunk) for chunk in chunks(self.features))

    def _write_scores(self) -> Floats:
        """Write the exact scores, the largest of each picture zero, and return the log odds of its class, (n,)."""
        found = []

        def blocks() -> Iterator[NDArray[np.float32]]:
            for block in self._logits():
                kept = (block - block.max(axis=1, keepdims=True)).astype(np.float32)
                found.append(log_odds(kept.astype(np.float64)).max(axis=1))  # as whoever reads them will rank
                yield kept

        write_scores(self.work / SCORES_FILE, blocks(), self.features.n, len(self.keys))
        return np.concatenate(found)

    def write_summary(self, counts: dict[str, int], warnings: list[str], other_files: int) -> None:
        """Write `run.json`: no time, no path, no machine, so that the same inputs give the same bytes."""
        base, index, prior = self.knowledge, self.features.index, self.method.estimated_prior
        plan = replace(self.planned, pictures=index.pictures_sha256)
        summary = {
            "kpl_run": 1,
            "plan": plan.to_json(),
            "plan_hash": plan.content_hash(),
            **about(base, self.encoder),
            "pictures": index.rows,
            "classes": counts,
            **({"abstained": index.rows - sum(counts.values())} if self.deciding.asked else {}),
            "estimated_prior": None if prior is None else dict(zip(self.keys, prior.round(6).tolist(), strict=True)),
            "retrieved": {k: len(c) for k, c in zip(self.keys, self.method.text_.chosen, strict=True)},
            "set_aside": [{"image": item.id, "reason": item.reason} for item in self.features.set_aside],
            "other_files": other_files,
            "warnings": warnings,
        }
        (self.work / RUN_FILE).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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


def _settings(method: Method) -> dict[str, Any]:
    """Return the settings as JSON has them: a prior set by hand is a list, here and in what is read back."""
    own = {f.name: getattr(method, f.name) for f in fields(method) if f.init}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}
