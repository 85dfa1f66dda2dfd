"""The routes by which people say what pictures show."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Security
from fastapi.responses import FileResponse, Response

from kpl.curation import REASONS
from kpl.runs import MultiLabelRun
from kpl.runs.corrections import Correction
from kpl.server import bodies, correcting, review_schemas
from kpl.server.api import Mine, Served, answer_with_file
from kpl.server.document import BEARER, file_of, problems
from kpl.server.requests import Route
from kpl.server.sessions import Session

_FOUND = problems(404, 422)
_SENT = problems(400, 404, 408, 413, 422)
router = APIRouter(route_class=Route, responses=problems(401, 403, 421, 429, 503), dependencies=[Security(BEARER)])
Reader = Annotated[str, Query(min_length=1, max_length=200, description="Who reads the pictures.")]
_HERE = "/api/sessions/{session_id}"


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


@router.get(f"{_HERE}/corrections", tags=["corrections"], responses=_FOUND)
def corrections(session: Mine, by: Reader) -> review_schemas.OwnCorrections:
    """What a reader said of the pictures; what others said is not told."""
    return _about(session, correcting.own_corrections(session, by))


@router.post(f"{_HERE}/corrections", tags=["corrections"], responses=_SENT)
def correct(session: Mine, body: bodies.Say) -> review_schemas.OwnCorrections:
    """Keep what a reader says of a picture; what the same reader said of it before is replaced."""
    return _about(session, correcting.say(session, body.by, body.place, body.label, final=body.final))


@router.delete(f"{_HERE}/corrections", tags=["corrections"], responses=_FOUND)
def take_back(session: Mine, by: Reader) -> review_schemas.Corrected:
    """Take back the last that a reader said."""
    return _one(session, correcting.take_back(session, by))


@router.get(f"{_HERE}/queue", tags=["corrections"], responses=_FOUND)
def to_read(
    session: Mine,
    by: Reader,
    n: Annotated[int, Query(ge=1, le=1000, description="How many.")] = 20,
    why: Annotated[str, Query(max_length=100, description=f"Reasons, in turn: {', '.join(REASONS)}.")] = "coverage",
) -> review_schemas.ToRead:
    """The pictures that tell most when this reader looks at them."""
    found = correcting.to_read(session, by, n, [each.strip() for each in why.split(",")])
    return review_schemas.ToRead(places=[each.row for each in found])


@router.get(f"{_HERE}/agreement", tags=["corrections"], responses=_FOUND)
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


@router.get(
    f"{_HERE}/corrections.csv",
    tags=["downloads"],
    response_class=FileResponse,
    responses=file_of("text/csv", "One line a picture, as kpl correct --table reads it.") | _FOUND,
)
def download_corrections(session: Mine, by: Reader) -> Response:
    """What a reader said, as a table for `kpl correct RUN --table`."""
    return answer_with_file(
        session,
        lambda own, path: correcting.write_corrections(own, path, by),
        "corrections.csv",
        "text/csv; charset=utf-8",
    )


def _about(session: Session, said: list[Correction]) -> review_schemas.OwnCorrections:
    places = {image: place for place, image in enumerate(session.names())}
    return review_schemas.OwnCorrections(
        corrections=[
            review_schemas.Corrected(place=places[each.image], label=each.label, final=each.final) for each in said
        ]
    )


def _one(session: Session, each: Correction) -> review_schemas.Corrected:
    return review_schemas.Corrected(place=session.names().index(each.image), label=each.label, final=each.final)
