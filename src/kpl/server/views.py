"""From what the service knows to what goes over the wire."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kpl.encoders import catalogue, load_card
from kpl.errors import KplError
from kpl.evaluation import CLASS_METRICS, NONE_OF_THESE, MultiLabelTable, Scores
from kpl.knowledge import PackHead, pack_names, read_pack_head
from kpl.methods import Evidence
from kpl.proxies.arrays import Floats
from kpl.report.slices import how_read, over_slide
from kpl.runs import Predictions as Said
from kpl.runs.calibrating import CalibrationResult
from kpl.server.brought import Brought
from kpl.server.jobs import Job
from kpl.server.oneshot import Answer, OneShot
from kpl.server.opened import OpenedRun
from kpl.server.outcomes import Outcome
from kpl.server.said import UnitsInfo
from kpl.server.schemas import (
    Classified,
    ContradictedInfo,
    EncoderInfo,
    EvidenceInfo,
    JobInfo,
    LeftOut,
    NearPicture,
    PackInfo,
    Predictions,
    SentenceInfo,
    SessionInfo,
    SlideMap,
    Unlabelled,
)
from kpl.server.score_schemas import CalibrationInfo, ClassFigures, Figures, LevelFigures, ScoresInfo
from kpl.server.scoring import Scored
from kpl.server.sessions import Session, shown_name
from kpl.server.shot_schemas import ModelInfo, ModelSite, OneShotAnswer

_LISTED = 500  # files left out that one answer names


def encoders(brought: Brought) -> list[EncoderInfo]:
    """Every encoder known by name, those that are here first."""
    found = []
    for name in brought.encoders():
        here = brought.place(name) is not None
        try:
            known = brought.cards.get(name) or (load_card(name) if here else catalogue()[name])
        except (KplError, KeyError):
            continue  # its files are damaged: `kpl encoders check` says how
        found.append(EncoderInfo.model_validate({**dict(known), "name": name, "here": here}))
    first = (*brought.cards, "mini")
    return sorted(found, key=lambda info: (not info.here, info.name not in first, info.name))


def packs(brought: Brought) -> list[PackInfo]:
    """The knowledge that has descriptions: what who runs the server added, and the packs, the user's own among them."""
    added = [_pack(PackHead.of(name, base), own=True) for name, base in brought.knowledge.items()]
    heads = [read_pack_head(name) for name in pack_names() if name not in brought.knowledge]
    return added + [_pack(head, own=head.own is not None) for head in heads if head.descriptions]


def _pack(head: PackHead, *, own: bool) -> PackInfo:
    return PackInfo(
        name=head.name,
        own=own,
        version=head.task.version,
        title=head.task.name,
        modality=head.task.modality,
        classes=head.classes,
        descriptions=head.descriptions,
    )


def about_model(name: str, held: OneShot) -> ModelInfo:
    """Describe a fitted model."""
    model = held.model
    return ModelInfo(
        name=name,
        encoder=model.encoder_name,
        method=model.method.name,
        classes=list(model.keys),
        learnt_from=sum(lot.rows for lot in model.learnt_from),
        site=ModelSite.model_validate(site, from_attributes=True) if (site := held.site) else None,
    )


def about_session(session: Session) -> SessionInfo:
    """Describe a session."""
    base = session.knowledge
    return SessionInfo(
        id=session.id,
        encoder=session.encoder,
        pictures=len(session.names()),
        waiting=len(session.held),
        left_out=[LeftOut(name=item.id, reason=item.reason) for item in session.set_aside[-_LISTED:]],
        classes=[entry.key for entry in base.classes] if base else [],
        classified=len(session.opened.ids) if session.opened else len(session.outcome.ids) if session.outcome else 0,
    )


def about_job(job: Job) -> JobInfo:
    """Describe a job."""
    return JobInfo(id=job.id, state=job.state, stage=job.stage, done=job.done, total=job.total, error=job.error)


def about_outcome(outcome: Outcome | OpenedRun, *, with_warnings: bool = True) -> Predictions:
    """Say what KPL and the text proxies say, with the settings in use."""
    estimated = outcome.estimated
    return Predictions(
        classes=outcome.keys,
        names=[entry.name for entry in outcome.knowledge.classes],
        fixed=isinstance(outcome, OpenedRun),
        unlike=None if outcome.predictions.unlike is None else _short(outcome.predictions.unlike, 6),
        k=outcome.k,
        most=outcome.most,
        prior=_short(estimated if outcome.prior is None else outcome.prior, 6),
        estimated_prior=_short(estimated, 6),
        by_hand=outcome.prior is not None,
        units=_units(outcome),
        kpl=_columns(outcome.predictions),
        text=_columns(outcome.text),
        warnings=outcome.warnings() if with_warnings else [],
        contradicted=[
            ContradictedInfo.model_validate(said, from_attributes=True)
            for said in (outcome.contradicted[:_LISTED] if with_warnings else ())
        ],
        calibrated=outcome.calibrated is not None,
        least=outcome.least,
        thresholds=dict(outcome.thresholds),
        unlabelled=[
            Unlabelled(place=row, why=outcome.predictions.unlabelled(row))
            for row in np.flatnonzero(~outcome.predictions.answered).tolist()
        ],
    )


def _units(outcome: Outcome | OpenedRun) -> UnitsInfo | None:
    if (told := outcome.units) is None:
        return None
    held = outcome.pooling.features.of_units
    return UnitsInfo(
        kind=[unit.kind for unit in held.listed],
        instances=list(held.sizes),
        patient=[unit.patient for unit in held.listed],
        key_instance=list(told["key_instance"]),
        pool=outcome.pooling.pool,
        other=outcome.pooling.other,
        by_other=list(told[f"by_{outcome.pooling.other}"]),
    )


def _columns(said: Said) -> Classified:
    listed = said.winners if said.unlike is None else said.winners[said.unlike < 1]
    shares = np.bincount(listed, minlength=len(said.classes)) / len(said)
    return Classified.model_construct(
        label=said.winners.tolist(),
        confidence=_short(said.confidence),
        runner_up=said.runners.tolist(),
        share=_short(shares),
        order=np.argsort(-said.sureness, kind="stable").tolist(),
    )


def _short(values: Floats, digits: int = 4) -> list[float]:
    return [float(value) for value in np.round(values, digits).tolist()]


def about_evidence(place: int, outcome: Outcome | OpenedRun, evidence: Evidence) -> EvidenceInfo:
    """Say why a picture went to its class."""
    classes, key = outcome.knowledge.classes, outcome.key(place)
    curve = outcome.curve(place, evidence.winner)
    unit, shown = outcome.pooling.features.of_units.listed[place], outcome.pooling.shown(place, key, curve)
    over = (
        over_slide(unit.reading, outcome.pooling.places(place), curve.tolist(), shown) if unit.kind == "slide" else None
    )
    return EvidenceInfo(
        place=place,
        name=outcome.ids[place],
        winner=evidence.winner,
        runner_up=evidence.runner_up,
        text_margin=evidence.text_margin,
        proxy_margin=evidence.proxy_margin,
        text_label=int(outcome.text.winners[place]),
        key=key,
        curve=_short(curve),
        shown=list(shown),
        read=how_read(unit),
        slide=None if over is None else SlideMap.model_validate(over),
        sentences=[
            SentenceInfo(**vars(s), text=classes[s.class_index].descriptions[s.index].text) for s in evidence.sentences
        ],
        nearest_winner=_near(outcome, place, evidence.winner),
        nearest_runner_up=_near(outcome, place, evidence.runner_up),
    )


def _near(outcome: Outcome | OpenedRun, place: int, class_index: int) -> list[NearPicture]:
    found = outcome.nearest(place, class_index)
    return [NearPicture(place=other, name=outcome.ids[other], cosine=round(cosine, 4)) for other, cosine in found]


def about_scores(found: Scored) -> ScoresInfo:
    """Say how good the result is by labels."""
    if isinstance(found.evaluation.table, MultiLabelTable):
        return _about_findings(found.evaluation.table, found.evaluation.notices)
    table = found.evaluation.methods

    def figures(scores: Scores) -> Figures:
        return Figures(figures=dict(scores.figures), intervals=dict(scores.intervals))

    return ScoresInfo(
        labelled=table.majority.n,
        unit=table.unit,
        methods={name: figures(scores) for name, scores in table.scores.items()},
        classes={},
        majority=figures(table.majority),
        chance=table.chance,
        levels=[
            LevelFigures(
                level=level,
                names=list(next(iter(above.details.values())).classes),
                labelled=above.majority.n,
                methods={name: figures(scores) for name, scores in above.scores.items()},
                majority=figures(above.majority),
            )
            for level, above in found.evaluation.levels.items()
        ],
        notices=list(found.evaluation.notices),
        truth=[None if label < 0 else label for label in found.truth],
    )


def _about_findings(table: MultiLabelTable, notices: Sequence[str]) -> ScoresInfo:
    names = [metric.name for metric in CLASS_METRICS]
    return ScoresInfo(
        labelled=table.n,
        unit=table.unit,
        methods={
            "multi-label": Figures(
                figures=dict(table.mean), intervals={name: table.intervals.get(name) for name in names}
            )
        },
        classes={
            key: ClassFigures(
                figures={name: own[name] for name in names},
                intervals={name: table.intervals.get(f"{name} {key}") for name in names},
                positives=int(own["positives"] or 0),
                n=int(own["n"] or 0),
                threshold=own["threshold"] or 0.0,
            )
            for key, own in table.classes.items()
        },
        majority=Figures(figures={"accuracy": table.majority}, intervals={}),
        chance=0.5,
        levels=[],
        notices=list(notices),
        truth=[],
    )


def about_calibration(found: CalibrationResult) -> CalibrationInfo:
    """Say what a few labels made of the confidences."""
    told = {**dict(found.file), "unit": found.unit, "notices": list(found.notices)}
    return CalibrationInfo.model_validate(told)


def about_one(keys: tuple[str, ...], answer: Answer, *, other: bool = False) -> OneShotAnswer:
    """Say what a fitted model says of one picture or unit; with `other` one of no listed class is called so."""
    said, strange = answer.said, other and answer.unlike is not None and answer.unlike >= 1
    several = answer.instances > 1
    best = None if isinstance(said, str) else int(said.argmax())
    return OneShotAnswer(
        name=shown_name(answer.name),
        files=list(answer.files),
        kind=answer.kind,
        instances=answer.instances,
        key_instance=answer.key if several else None,
        patient=answer.patient,
        notes=list(answer.notes),
        label=None if best is None else NONE_OF_THESE if strange else keys[best],
        unlike=None if answer.unlike is None else round(answer.unlike, 6),
        confidence=None if best is None else round(float(said[best]), 6),
        probabilities={} if isinstance(said, str) else {k: round(float(p), 6) for k, p in zip(keys, said, strict=True)},
        error=said if isinstance(said, str) else None,
    )
