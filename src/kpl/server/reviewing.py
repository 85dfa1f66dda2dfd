"""The routes by which people say what pictures show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import Query
from fastapi.responses import Response

from kpl.curation import REASONS
from kpl.runs import MultiLabelRun
from kpl.runs.corrections import Correction
from kpl.server import bodies, correcting, review_schemas
from kpl.server.api import Mine, Served, answer_with_file
from kpl.server.document import HERE, as_file, guarded, problems
from kpl.server.sessions import Session

_FOUND = problems(404, 422)
_SENT = problems(400, 404, 408, 413, 422)
router = guarded()
Reader = Annotated[str, Query(min_length=1, max_length=200, description="Who reads the pictures.")]


@router.get("/api/runs", tags=["models"])
def list_runs(service: Served) -> list[review_schemas.RunInfo]:
    """Finished runs that the server was started with: a session may look at them, and correct them."""
    return [
        review_schemas.RunInfo(
            name=name,
            title=run.title,
            knowledge=run.knowledge.task.name,
            pictures=run.n,
            classes=len(run.keys),
            several=isinstance(run, MultiLabelRun),
        )
        for name, run in service.runs.items()
    ]


@router.get(f"{HERE}/corrections", tags=["corrections"], responses=_FOUND)
def corrections(session: Mine, by: Reader) -> review_schemas.OwnCorrections:
    """What a reader said of the pictures; what others said is not told."""
    return _about(session, correcting.own_corrections(session, by))


@router.post(f"{HERE}/corrections", tags=["corrections"], responses=_SENT)
def correct(session: Mine, body: bodies.Say) -> review_schemas.OwnCorrections:
    """Keep what a reader says of a picture; what the same reader said of it before is replaced."""
    return _about(session, correcting.say(session, body.by, body.place, body.label, final=body.final))


@router.delete(f"{HERE}/corrections", tags=["corrections"], responses=_FOUND)
def take_back(session: Mine, by: Reader) -> review_schemas.Corrected:
    """Take back the last that a reader said."""
    taken = correcting.take_back(session, by)
    return _one(session.names().index(taken.image), taken)


@router.get(f"{HERE}/queue", tags=["corrections"], responses=_FOUND)
def to_read(
    session: Mine,
    by: Reader,
    n: Annotated[int, Query(ge=1, le=1000, description="How many.")] = 20,
    why: Annotated[str, Query(max_length=100, description=f"Reasons, in turn: {', '.join(REASONS)}.")] = "coverage",
) -> review_schemas.ToRead:
    """The pictures that tell most when this reader looks at them."""
    found = correcting.to_read(session, by, n, [each.strip() for each in why.split(",")])
    return review_schemas.ToRead(places=[each.row for each in found])


@router.get(f"{HERE}/agreement", tags=["corrections"], responses=_FOUND)
def agreement(session: Mine) -> review_schemas.Readers:
    """How far readers agree, and what is to settle: for when all have read."""
    counts, found = correcting.disagreements(session)
    places = {image: place for place, image in enumerate(session.names())}
    return review_schemas.Readers(
        readers=counts,
        pairs=[
            review_schemas.Pair(one=one, other=other, pictures=both, kappa=kappa)
            for (one, other), (both, kappa) in found.pairs.items()
        ],
        to_settle=[
            review_schemas.Disputed(place=places[image], name=image, said=dict(said))
            for image, said in found.disputed.items()
        ],
    )


@router.get(f"{HERE}/corrections.csv", **as_file("text/csv", "One line a picture, as kpl correct --table reads it."))
def download_corrections(session: Mine, by: Reader) -> Response:
    """What a reader said, as a table for `kpl correct RUN --table`."""

    def write(own: Session, path: Path) -> None:
        correcting.write_corrections(own, path, by)

    return answer_with_file(session, write, "corrections.csv", "text/csv; charset=utf-8")


def _about(session: Session, said: list[Correction]) -> review_schemas.OwnCorrections:
    places = {image: place for place, image in enumerate(session.names())}
    corrections = [_one(places[each.image], each) for each in said]
    return review_schemas.OwnCorrections(corrections=corrections)


def _one(place: int, each: Correction) -> review_schemas.Corrected:
    return review_schemas.Corrected(place=place, label=each.label, final=each.final)
