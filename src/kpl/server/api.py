"""The routes. Each reads a request, calls the service, and says what came of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path as FilePath
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, File, Path, Query, Request, UploadFile
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from kpl.knowledge import KnowledgeBase
from kpl.report import How
from kpl.server import bodies, downloads, gathering, schemas, views
from kpl.server.brought import read_file
from kpl.server.document import EVENTS, HERE, as_file, file_of, guarded, problems
from kpl.server.jobs import Job
from kpl.server.maps import known_ways
from kpl.server.refusals import Gone, Refused, TooLarge
from kpl.server.requests import Route
from kpl.server.service import Service
from kpl.server.sessions import Session, shown_name
from kpl.server.shot_schemas import ModelInfo, OneShotAnswer

_SECONDS_A_LOOK = 0.1
_FOUND = problems(404, 422)
_SENT = problems(400, 408, 413, 422)
unguarded = APIRouter(route_class=Route, responses=problems(421, 429, 503))
"""Routes that answer without a token."""
router = guarded()


async def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


async def _client(request: Request) -> str:
    return request.client.host if request.client else ""


Served = Annotated[Service, Depends(_service)]
Client = Annotated[str, Depends(_client)]
_SessionId = Annotated[str, Path(description="Of the session, as it was told when the session began.")]
JobId = Annotated[str, Path(description="Of the job, as it was told when the job was started.")]
Place = Annotated[int, Path(description="Of the picture or unit in the session, from 0.")]
Instance = Annotated[int | None, Query(ge=0, le=10**6, description="Which of a unit, from 0; else its key instance.")]


async def _session(session_id: _SessionId, service: Served) -> Session:
    return service.sessions.get(session_id)


Mine = Annotated[Session, Depends(_session)]
Pictures = Annotated[list[UploadFile], File(description="Pictures.")]
Files = Annotated[list[UploadFile], File(description="Pictures, or zip archives of pictures.")]


@unguarded.get("/health", tags=["service"])
async def health(service: Served) -> schemas.Health:
    """Say that the service is there, and how large a file it takes."""
    largest = service.limits.file_bytes
    return schemas.Health(status="ok", version=version("knowledge-proxy-learning"), largest_file=largest)


@router.get("/metrics", tags=["service"], response_class=PlainTextResponse)
async def metrics(request: Request, service: Served) -> str:
    """Counts and times in Prometheus' text format; no name of anything a user brought.

    A request that is refused before it reaches a route counts for the route "other".
    """
    gauges: dict[str, float] = {
        "sessions": len(service.sessions),
        "jobs_waiting": service.jobs.waiting,
        "pictures_read": service.pictures,
    }
    gauges |= {f"jobs_{state}": count for state, count in service.jobs.count().items()}
    text: str = request.app.state.metrics.text(gauges)
    return text


@router.get("/api/encoders", tags=["models"])
def list_encoders(service: Served) -> list[schemas.EncoderInfo]:
    """Encoders known by name, with what they are for and whether they are here."""
    return views.encoders(service.brought)


@router.get("/api/packs", tags=["models"])
def list_packs(service: Served) -> list[schemas.PackInfo]:
    """Knowledge packs: those that come with KPL, and the user's own."""
    return views.packs(service.brought)


@router.get("/api/packs/{name}", tags=["models"], responses=_FOUND, response_model_exclude_none=True)
def read_pack(service: Served, name: Annotated[str, Path(description="Of the pack.")]) -> KnowledgeBase:
    """A pack, as its file says it."""
    return service.brought.pack(name)


@router.post("/api/knowledge", tags=["models"], responses=_SENT, response_model_exclude_none=True)
def open_knowledge(
    service: Served, file: Annotated[UploadFile, File(description="A knowledge file, YAML or JSON.")]
) -> KnowledgeBase:
    """Read a knowledge file of one's own, with its faults by line; nothing of it is kept."""
    return read_file(shown_name(name_of(file)), file.file.read(service.limits.file_bytes + 1), service.limits)


@router.get("/api/models", tags=["models"])
def list_models(service: Served) -> list[ModelInfo]:
    """Fitted models that `/classify` can use."""
    return [views.about_model(name, held) for name, held in service.models.items()]


@router.post("/classify", tags=["one-shot"], responses=problems(404) | _SENT)
def classify(
    service: Served,
    client: Client,
    files: Pictures,
    model: Annotated[
        str | None, Query(max_length=200, description="Name of the model, where there are several.")
    ] = None,
    other: Annotated[bool, Query(description="Call pictures of no listed class 'none of these'.")] = False,
) -> list[OneShotAnswer]:
    """Classify pictures at once by a fitted model; medical files are put together, one answer a unit."""
    if not service.models:
        raise Gone("this server has no fitted model: make one with `kpl fit`, then `kpl serve --model FILE`")
    name = model if model is not None else next(iter(service.models))
    _check_number(files, service)
    answers = service.one_shot(name, [(name_of(file), file.file) for file in files], client)
    if other and any(not isinstance(answer.said, str) and answer.unlike is None for answer in answers):
        raise Refused(f"model {name!r} knows no distance from its classes: leave other out, or fit kpl")
    keys = service.models[name].model.keys
    return [views.about_one(keys, answer, other=other) for answer in answers]


@router.post("/api/sessions", tags=["sessions"], status_code=201, responses=problems(404) | _SENT)
def begin(service: Served, client: Client, body: bodies.Begin) -> schemas.SessionInfo:
    """Begin a session with an encoder that is here, or one that looks at a finished run."""
    if body.run is not None:
        return views.about_session(service.look_at(body.run, client))
    return views.about_session(service.begin(body.encoder, client))


@router.get("/api/sessions/{session_id}", tags=["sessions"], responses=_FOUND)
def look(session: Mine) -> schemas.SessionInfo:
    """What a session holds."""
    return views.about_session(session)


@router.delete("/api/sessions/{session_id}", tags=["sessions"], status_code=204, responses=_FOUND)
def end(service: Served, session: Mine) -> None:
    """End a session and remove its files."""
    service.end(session.id)


@router.put("/api/sessions/{session_id}/knowledge", tags=["sessions"], responses=problems(404) | _SENT)
def know(service: Served, session: Mine, body: bodies.Choice) -> schemas.SessionInfo:
    """Choose a pack, or send classes with descriptions."""
    if (body.pack is None) == (body.knowledge is None):
        raise Refused("give the name of a pack, or a knowledge base: one of the two")
    service.know(session, body.pack if body.pack is not None else body.knowledge or {}, insist=body.insist)
    return views.about_session(session)


@router.post("/api/sessions/{session_id}/pictures", tags=["sessions"], responses=problems(404) | _SENT)
def upload(service: Served, session: Mine, files: Files) -> schemas.Uploaded:
    """Add pictures, medical files, or zip archives of them; what cannot be read is named with its reason.

    Medical files get no place before a job puts them together to units.
    """
    _check_number(files, service)
    added, left = service.upload(session, [(name_of(file), file.file) for file in files])
    return schemas.Uploaded(added=added, left_out=[schemas.LeftOut(name=i.id, reason=i.reason) for i in left])


@router.get("/api/sessions/{session_id}/pictures", tags=["sessions"], responses=_FOUND)
def names(
    session: Mine,
    first: Annotated[int, Query(ge=0, le=10**9, description="Place of the first.")] = 0,
    count: Annotated[int, Query(ge=1, le=100_000, description="How many at most.")] = 100_000,
) -> schemas.PictureNames:
    """Names of the pictures, as their user calls them."""
    return schemas.PictureNames(first=first, names=session.names()[first : first + count])


@router.get(
    f"{HERE}/pictures/{{place}}/thumbnail",
    **as_file("image/jpeg", "The picture, at most 160 pixels long.", tag="sessions"),
)
def thumbnail(session: Mine, place: Place, instance: Instance = None) -> Response:
    """One picture, small; of a unit of several its key instance, or the one asked for; of a finished run in WebP."""
    with session.at_work():
        data, kind = session.small(place, instance)
    return Response(data, media_type=kind)


@router.get(f"{HERE}/pictures/{{place}}/picture", **as_file("image/png", "The picture.", tag="sessions"))
def picture(session: Mine, place: Place, instance: Instance = None) -> Response:
    """One picture as the encoder gets it: decoded, upright, no larger than it can use; of a run the small one."""
    with session.at_work():
        data, kind = session.large(place, instance)
    return Response(data, media_type=kind)


@router.get(
    f"{HERE}/pictures/{{place}}/slide", **as_file("image/png", "The slide, at most 512 pixels long.", tag="sessions")
)
def slide(session: Mine, place: Place) -> Response:
    """A whole slide, small, for what its tiles say to lie over it; of a finished run in WebP."""
    with session.at_work():
        data, kind = gathering.whole_slide(session, place)
    return Response(data, media_type=kind)


@router.post("/api/sessions/{session_id}/jobs", tags=["jobs"], status_code=202, responses=problems(404, 409) | _SENT)
def start(service: Served, session: Mine, body: bodies.Start) -> schemas.JobInfo:
    """Start to classify the pictures of a session."""
    return views.about_job(service.classify(session, body.k))


@router.get("/api/jobs/{job_id}", tags=["jobs"], responses=_FOUND)
def job(service: Served, job_id: JobId) -> schemas.JobInfo:
    """How far a job is."""
    return views.about_job(service.jobs.get(job_id))


@router.delete("/api/jobs/{job_id}", tags=["jobs"], responses=_FOUND)
def cancel(service: Served, job_id: JobId) -> schemas.JobInfo:
    """Tell a job to stop; it does so at its next step."""
    return views.about_job(service.jobs.cancel(job_id))


@router.get("/api/jobs/{job_id}/events", tags=["jobs"], response_class=StreamingResponse, responses=EVENTS | _FOUND)
async def events(service: Served, job_id: JobId) -> StreamingResponse:
    """Progress as server-sent events, each a job in JSON; the last one says how it ended."""
    return StreamingResponse(_events(service.jobs.get(job_id)), media_type="text/event-stream")


async def _events(job: Job) -> AsyncIterator[str]:
    last, quiet = "", 0.0
    while True:
        over = job.over  # before it is described: the last event is that of the end
        now = json.dumps(views.about_job(job).model_dump())
        if now != last:
            yield f"data: {now}\n\n"
            last, quiet = now, 0.0
        elif quiet >= 10:
            yield ": still at it\n\n"
            quiet = 0.0
        if over:
            return
        await anyio.sleep(_SECONDS_A_LOOK)
        quiet += _SECONDS_A_LOOK


@router.get("/api/sessions/{session_id}/predictions", tags=["predictions"], responses=_FOUND)
def predictions(session: Mine) -> schemas.Predictions:
    """What KPL and the text proxies say, with the settings in use."""
    return views.about_outcome(session.finished())


@router.post("/api/sessions/{session_id}/predictions", tags=["predictions"], responses=problems(404) | _SENT)
def move(session: Mine, body: bodies.Move) -> schemas.Predictions:
    """Use another class prior, k or least confidence, or call none of these what is; nothing is read again."""
    asked = dict(body)
    return views.about_outcome(session.move(lambda shown: shown.moved(**asked)))


@router.get("/api/sessions/{session_id}/pictures/{place}/evidence", tags=["predictions"], responses=_FOUND)
def evidence(
    service: Served,
    session: Mine,
    place: Place,
    refit: Annotated[bool, Query(description="Learn again without each of the loudest sentences.")] = False,
) -> schemas.EvidenceInfo:
    """The sentences for and against a prediction; with `refit` what leaving each of the loudest out would do."""
    outcome = session.finished()
    return views.about_evidence(place, outcome, service.evidence(session, place, refit=refit))


@router.get("/api/sessions/{session_id}/pictures/{place}/map", tags=["predictions"], responses=problems(404, 413, 422))
def map_cost(
    service: Served,
    session: Mine,
    place: Place,
    how: Annotated[How | None, Query(description="By what; left out, what suits the encoder.")] = None,
    window: Annotated[bodies.Share, Query(description=bodies.SIDE)] = 0.5,
) -> schemas.MapCost:
    """What a map of where a picture shows a class would take."""
    plan, seconds = service.cost_of_map(session, place, how, window)
    choices = known_ways(session.learnt().encoder)
    return schemas.MapCost(how=plan.how, choices=choices, views=plan.views, seconds=round(seconds, 2))


@router.post(
    "/api/sessions/{session_id}/pictures/{place}/map",
    tags=["predictions"],
    status_code=202,
    responses=problems(404, 409) | _SENT,
)
def draw(service: Served, session: Mine, place: Place, body: bodies.Draw) -> schemas.JobInfo:
    """Start to map where a picture shows a class: what its text responds to, not what KPL learnt."""
    return views.about_job(service.draw_map(session, place, body.class_index, body.how, body.window))


@router.get(
    "/api/sessions/{session_id}/pictures/{place}/map.jpg",
    tags=["predictions"],
    response_class=Response,
    responses=file_of("image/jpeg", "The map, over its picture.") | _FOUND,
)
def drawn(session: Mine, place: Place) -> Response:
    """The map of the last such job of the session, drawn over its picture."""
    found = session.drawn
    if found is None or found.place != place:
        raise Gone("no map of this picture: start a job for it")
    return Response(found.jpeg, media_type="image/jpeg")


@router.get(f"{HERE}/predictions.csv", **as_file("text/csv", "One line a picture, as kpl classify writes it."))
def download_csv(session: Mine) -> Response:
    """The predictions as a table."""
    return answer_with_file(session, downloads.write_csv, "predictions.csv", "text/csv; charset=utf-8")


@router.get(f"{HERE}/knowledge.yaml", **as_file("application/yaml", "A knowledge file, as kpl classify reads it."))
def download_knowledge(session: Mine) -> Response:
    """The knowledge of the session as a knowledge file, for `kpl classify --knowledge`."""
    return answer_with_file(session, downloads.write_knowledge_file, "knowledge.yaml", "application/yaml")


@router.get(f"{HERE}/report.html", **as_file("text/html", "One file that needs no network.", refused=(404, 409, 422)))
def download_report(service: Served, session: Mine) -> Response:
    """The report, one file to keep."""
    with service.downloads.hold(session.client):
        return answer_with_file(session, downloads.write_report, "report.html", "text/html; charset=utf-8")


@router.get(f"{HERE}/model.kpl", **as_file("application/octet-stream", "A model file."))
def download_model(service: Served, session: Mine) -> Response:
    """What was learnt, for `kpl classify --model` and `kpl serve --model`."""
    with service.downloads.hold(session.client):
        return answer_with_file(session, downloads.write_model, "model.kpl", "application/octet-stream")


def answer_with_file(session: Session, write: Callable[[Session, FilePath], None], name: str, kind: str) -> Response:
    """Let a file of the session be written, and answer with it as a download."""
    path = session.folder / f"{secrets.token_hex(8)}.{name}"
    with session.at_work():
        try:
            write(session, path)
            data = path.read_bytes()
        finally:
            path.unlink(missing_ok=True)
    return Response(data, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})


def name_of(file: UploadFile) -> str:
    """The name of a file as its user knows it: in a form's header, browsers and programs write a quote as %22."""
    return (file.filename or "picture").replace("%22", '"')


def _check_number(files: list[UploadFile], service: Service) -> None:
    if len(files) > service.limits.files:
        raise TooLarge(f"{len(files)} files in one request: at most {service.limits.files} are taken at once")
