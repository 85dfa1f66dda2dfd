"""The main job: pictures and a knowledge base in, predictions with their evidence out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import FeatureFolder, TextCache, embed_texts, encoder_identity
from kpl.encoders import Encoder
from kpl.errors import InputError
from kpl.images import Asked, Pictures
from kpl.knowledge import KnowledgeBase
from kpl.methods import Method, as_method, explain
from kpl.progress import Progress
from kpl.proxies.arrays import Floats, chunks, log_odds, softmax
from kpl.proxies.sums import sum_images
from kpl.runs.answers import Said, on_cluster
from kpl.runs.calibrating import load_calibration
from kpl.runs.conformal import ConformalSets
from kpl.runs.contradicting import contradictions
from kpl.runs.deciding import Deciding, looks_for_others, unlike_classes
from kpl.runs.evidence_file import write_evidence
from kpl.runs.folder import save_texts
from kpl.runs.job import Desk, Job
from kpl.runs.levels import write_levels
from kpl.runs.models import Model, known_base, load_model
from kpl.runs.narrowing import thresholds_of
from kpl.runs.opening import open_single_label
from kpl.runs.plan import Plan
from kpl.runs.prediction_files import write_predictions
from kpl.runs.scores import SCORES_FILE, write_scores
from kpl.runs.single_label import SingleLabelRun
from kpl.runs.site import site_of
from kpl.runs.source import DEFAULT_ENCODER, Source, card_of
from kpl.runs.tables import Kept, check_kept, predictions_place
from kpl.runs.texts import wanted_prompts
from kpl.runs.thumbnails import kept_rows
from kpl.runs.units import Told, fit_on, odds_of, write_units
from kpl.runs.warnings import further_keys, result_warnings
from kpl.tables import Wanted

_EVIDENCE = "evidence.csv"


def classify(
    inputs: Pictures = None,
    *,
    table: str | Path | None = None,
    reading: Wanted | None = None,
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
    thresholds: Mapping[str | None, float] | None = None,
    other: bool = False,
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
) -> SingleLabelRun:
    """Classify pictures without labels.

    Args:
        inputs: folders and files of pictures, or one feature folder of `kpl embed`; or pictures in memory, see
            `kpl.images.find_given`; or a table of their names, and then it may be left out.
        table: take of the pictures those that this table names, and from it the patients that they are of; nothing else
            of it is read, see `kpl.tables.open_cohort`.
        reading: which columns of the table are which, where that is not plain.
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
        thresholds: leave pictures without a label whose class is less sure than its own threshold: class key, name or
            alias to a confidence, None to that of all others.
        other: label pictures that are of no listed class `NONE_OF_THESE`, and say how unlike all classes each is.
        pool: how scores of a unit's instances are pooled: "mean", "max", "top-K"; None takes the default, see
            `kpl.proxies.pooling`.
        batch_size, workers: as in `embed_pictures`; refused where the features are there already.
        asked: of the readers of medical files: window, slices, frames, ids; refused where the features are there.
        predictions: kept as one table, or in Parquet, a file a shard of the features.
        overwrite: replace an earlier run in `out`.
        finish: called with the run folder before it gets its name, to write more into it.
        progress: called while pictures are embedded and evidence is gathered.
        on: who predicts: this process, or the workers of a cluster of Ray, which see the same feature folder and the
            folder of the run; with a model alone.
        address: of the cluster's head, host:port; None starts Ray on this machine alone.

    Raises:
        AlreadyThereError: this very run is in `out`.
        KplError: one of the tree in `kpl.errors`; nothing is half-written.
    """
    started = time.perf_counter()
    check_kept(predictions)
    learnt = load_model(model) if isinstance(model, str | Path) else model
    base = known_base(knowledge, learnt)
    card = learnt.card_by(encoder) if learnt else partial(card_of, encoder)
    source = Source.of(inputs, batch_size, workers, asked, base.task, table, reading, card, progress)
    if on is not None and (learnt is None or source.folder is None or out is None):
        raise InputError("a cluster predicts from features by a model: kpl embed, kpl fit, then give both and --out")
    if isinstance(knowledge, Mapping) and base.task.modality is None and source.folder is None:
        encoder = encoder or DEFAULT_ENCODER  # a dict has no place for a modality: a warning says so
    coder, chosen = _prepared(source, base, learnt, encoder, method, dict(settings or {}))
    if with_evidence and chosen.reads not in ("descriptions", "pairs"):
        raise InputError(f"method {chosen.name!r} reads no descriptions: there is no evidence by sentence to explain")
    trusted = load_calibration(calibration) if calibration is not None else None
    stated = _stated(coder, base, chosen, learnt)
    applied = trusted.for_run(**stated, keys=[entry.key for entry in base.classes]) if trusted else None
    deciding = Deciding(applied, abstain_below, coverage, thresholds_of(base, thresholds))
    plan = Plan(
        **stated,
        pictures="",
        calibration=trusted.content_hash() if trusted else None,
        abstain=deciding.asked,
        pool=source.pool(pool, base.task),
        other=looks_for_others(base, other),
    )
    job = _Job(
        knowledge=base, encoder=coder, plan=plan, method=chosen, deciding=deciding, model=learnt, kept=predictions,
        with_evidence=with_evidence, further=further_keys("calibration", (trusted and trusted.model_extra) or ()),
        sets=trusted.sets if trusted else None, cluster=None if on is None else partial(on_cluster, address=address),
    )  # fmt: skip
    run = job.carry_out(source, started, out=out, overwrite=overwrite, finish=finish, progress=progress)
    return open_single_label(run)


def _stated(encoder: Encoder, base: KnowledgeBase, method: Method, model: Model | None) -> dict[str, Any]:
    """Return what a run says of itself, in which a calibration must agree with it."""
    return {
        "encoder": encoder_identity(encoder),
        "knowledge": base.content_hash(),
        "method": method.name,
        "settings": _settings(method),
        "model": model.sha256 if model else None,
    }


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
        coder = source.encoder(encoder, base)
        if isinstance(method, str | None):
            settings = {"temperature": 1.0 / coder.logit_scale, **settings}
        return coder, as_method("kpl" if method is None else method, **settings)
    if method is not None or settings:
        raise InputError("a model has its method and settings already: leave them out, or fit another model")
    return model.encoder_for(source.folder, encoder), model.method


@dataclass(frozen=True, kw_only=True)
class _Job(Job):
    method: Method
    deciding: Deciding
    model: Model | None
    with_evidence: bool
    further: list[str]
    sets: ConformalSets | None
    cluster: Callable[[Method, FeatureFolder, Path], AbstractContextManager[Said]] | None = None

    def is_whole(self, run: Path) -> bool:
        return (run / _EVIDENCE).exists() == self.with_evidence and super().is_whole(run)

    def answer(self, desk: Desk) -> dict[str, Any]:
        if self.cluster is None or desk.source.folder is None:
            return self._answer(desk)
        with self.cluster(self.method, desk.source.folder, desk.folder) as said:
            return self._answer(replace(desk, said=said))

    def _answer(self, desk: Desk) -> dict[str, Any]:
        cache, method = TextCache(), self.method
        descriptions = embed_texts(self.knowledge.prompts(), self.encoder, cache=cache)
        names = embed_texts([[prompt] for prompt in self.knowledge.name_prompts()], self.encoder, cache=cache)
        weights = fit_on(method, desk.features)
        if self.model is None:
            read = {"names": names, "descriptions": descriptions}.get(method.reads)
            texts = read or embed_texts(wanted_prompts(method, self.knowledge), self.encoder, cache=cache)
            method.fit(desk.features, texts, weights=weights)
        sureness, first = self._write_scores(desk)
        answered = self.deciding.answered(sureness, [self.keys[c] for c in first])
        unlike = unlike_classes(method, desk.pooling, self.model) if self.plan.other else None
        if unlike is not None:
            answered = (unlike < 1) & (True if answered is None else answered)
        told = self._tell_units(desk, first)
        own = self._columns(desk, told, first) if told else None
        table, units = predictions_place(desk.folder, self.kept), desk.features.of_units
        chances, sets = map(softmax, self._logits(desk)), self._sets(desk)
        winners = write_predictions(
            table, units.names(), self.keys, chances, answered, own, unlike, sets, desk.pooling.shards
        )
        write_levels(desk.folder, units.names(), self.knowledge, lambda: map(softmax, self._logits(desk)))
        text = np.concatenate([each.argmax(axis=1) for each in desk.pooling.pooled(self._said(desk).text_logits())])
        desk.keep_thumbnails(told, lambda: kept_rows(winners, text, sureness, len(self.keys)))
        if self.with_evidence:
            evidence = explain(
                method,
                desk.features.load()[list(told.key_rows)] if told else desk.features,
                refit_on=None if self.model else desk.features,
                average=sum_images(desk.features, weights).mean if self.model else None,
                weights=weights,
                sides=self._first_two(desk) if told else None,
                progress=partial(desk.tell, "evidence"),
            )
            write_evidence(desk.folder / _EVIDENCE, units.ids, evidence, self.knowledge)
        reads = method.reads == "descriptions"
        save_texts(desk.folder, descriptions, np.concatenate(names), method.text_, of_descriptions=reads)
        distances, held = self._said(desk).distances(), self._said(desk).held
        site = site_of(self.model, desk.features, distances, held) if self.model else None
        far = None if distances is None else -desk.pooling.pooled_column(-distances)
        found = [*(site.warnings if site else []), *result_warnings(method, winners, text, self.keys, far)]
        found += [*(self.model.notes if self.model else []), *self.further]
        moved = {"site": site.to_json()} if site else {}
        against = [] if self.model else [each._asdict() for each in contradictions(method, self.knowledge)]
        return {**self._counts(winners, answered, unlike), **moved, "contradicted": against, "warnings": found}

    def _counts(
        self, winners: NDArray[np.intp], answered: NDArray[np.bool_] | None, unlike: Floats | None
    ) -> dict[str, Any]:
        """Say how many units went to each class, and what the method itself believes of these."""
        given = winners if answered is None else winners[answered]
        counts, prior = np.bincount(given, minlength=len(self.keys)), self.method.estimated_prior
        unlisted = None if unlike is None else int((unlike >= 1).sum())
        told: dict[str, Any] = {"classes": dict(zip(self.keys, counts.tolist(), strict=True))}
        if self.deciding.asked:
            told["abstained"] = len(winners) - len(given) - (unlisted or 0)
        if unlisted is not None:
            told["none_of_these"] = unlisted
        return told | {
            "estimated_prior": None if prior is None else dict(zip(self.keys, prior.round(6).tolist(), strict=True)),
            "retrieved": {k: len(c) for k, c in zip(self.keys, self.method.text_.chosen, strict=True)},
        }

    def _logits(self, desk: Desk, by: str | None = None) -> Iterator[Floats]:
        yield from self.deciding.calibrated(self._raw(desk, by))

    def _said(self, desk: Desk) -> Said:
        return desk.said or Said(self.method, desk.features)

    def _raw(self, desk: Desk, by: str | None = None) -> Iterator[Floats]:
        return desk.pooling.pooled(self._said(desk).logits(), by=by)

    def _sets(self, desk: Desk) -> Iterator[str] | None:
        """The sets of classes of a stated coverage, by the probabilities before any calibration; None without."""
        return None if self.sets is None else self.sets.joined(map(softmax, self._raw(desk)), self.keys)

    def _first_two(self, desk: Desk) -> NDArray[np.intp]:
        """Return of each unit the likeliest class and the next, (n, 2)."""
        return np.concatenate([np.argsort(-each, axis=1, kind="stable")[:, :2] for each in self._logits(desk)])

    def _tell_units(self, desk: Desk, winners: NDArray[np.intp]) -> Told | None:
        """Write what belongs to units of several pictures, if there are any."""
        write_units(desk.folder, desk.features)
        if desk.pooling.plain:
            return None
        return desk.pooling.tell(desk.folder, self.keys, odds_of(self.method, chunks(desk.features)), winners)

    def _columns(self, desk: Desk, told: Told, winners: NDArray[np.intp]) -> dict[str, Sequence[Any]]:
        """Return what predictions.csv tells of units, with the label by the other pool where that is another."""
        pool = desk.pooling.other
        other = np.concatenate([block.argmax(axis=1) for block in self._logits(desk, pool)])
        differs = [self.keys[c] if c != own else "" for c, own in zip(other.tolist(), winners.tolist(), strict=True)]
        return told.columns(**{f"by_{pool}": differs})

    def _write_scores(self, desk: Desk) -> tuple[Floats, NDArray[np.intp]]:
        """Write the exact scores, the largest of each unit zero; return log odds and number of its class, (n,) each."""
        found, first = [], []

        def blocks() -> Iterator[NDArray[np.float32]]:
            for block in self._logits(desk):
                first.append(block.argmax(axis=1))
                kept = (block - block.max(axis=1, keepdims=True)).astype(np.float32)
                found.append(log_odds(kept.astype(np.float64)).max(axis=1))  # as whoever reads them will rank
                yield kept

        write_scores(desk.folder / SCORES_FILE, blocks(), len(desk.pooling.sizes), len(self.keys))
        return np.concatenate(found), np.concatenate(first)


def _settings(method: Method) -> dict[str, Any]:
    """Return the settings as JSON has them: a prior set by hand is a list, here and in what is read back."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in method.get_params().items()}
