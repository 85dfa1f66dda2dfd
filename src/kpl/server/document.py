"""What the OpenAPI document says beside the types of the routes: the way through them, refusals, files and events."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Security
from fastapi.responses import FileResponse
from fastapi.security import HTTPBearer

from kpl.server.requests import Route
from kpl.server.schemas import Problem

Responses = dict[int | str, dict[str, Any]]
HERE = "/api/sessions/{session_id}"
"""Of a session."""

ABOUT = """\
Classify pictures without labels. **Not a medical device.**

1. `POST /api/sessions` begins a session; its `id` stands in the address of everything that follows.
2. `PUT /api/sessions/{session_id}/knowledge` says which classes there are and how they look.
3. `POST /api/sessions/{session_id}/pictures` adds pictures, as often as needed.
4. `POST /api/sessions/{session_id}/jobs` starts to classify them; `GET /api/jobs/{job_id}/events`, or
   `GET /api/jobs/{job_id}` now and then, says when the job is done.
5. `GET /api/sessions/{session_id}/predictions` gives the result; `POST` to the same address gives it under another
   class prior or number of descriptions, at once; `POST /api/sessions/{session_id}/scores` scores it against labels.
6. `POST /api/sessions/{session_id}/corrections` keeps what a reader says of a picture, as `kpl correct` does.
7. `DELETE /api/sessions/{session_id}` removes it all; an hour without use does the same.

A session that is begun with the name of a run (`GET /api/runs`) looks at that run: 5 and 6 are for it, 2 to 4 are not.
A run of several labels a picture has `GET /api/sessions/{session_id}/findings` in the place of predictions, and scores.

`POST /classify` needs none of this: it uses a fitted model that the server was started with.

Classes and pictures are named by their place, from 0. Whatever is refused is answered with a status and a sentence,
see `Problem`; 429 and 503 say in `Retry-After` when to send the same again. HEAD is answered wherever GET is.
"""
TAGS = [
    {"name": "service", "description": "How the server is."},
    {"name": "models", "description": "What can be chosen from."},
    {"name": "one-shot", "description": "Pictures classified at once by a fitted model, without a session."},
    {"name": "sessions", "description": "One user's pictures and knowledge."},
    {"name": "jobs", "description": "Work that takes longer than a request should. A session has one at a time."},
    {"name": "predictions", "description": "What came out, and why."},
    {"name": "corrections", "description": "What readers say of the pictures, blind to each other."},
    {"name": "downloads", "description": "What came out, as files."},
]
BEARER = HTTPBearer(
    auto_error=False,  # the guard has checked it
    scheme_name="token",
    description="The token that the server was started with (KPL_SERVE_TOKEN); one without a token asks for none.",
)
_REASONS = {
    400: "the request cannot be read",
    401: "a token is needed",
    403: "from another site",
    404: "there is none",
    408: "the request came too slowly",
    409: "something else must end first",
    413: "more than is allowed",
    421: "another host name",
    422: "cannot be done as it stands",
    429: "too many requests",
    503: "too much to do",
}
_WAIT = {"Retry-After": {"description": "Seconds after which to send it again.", "schema": {"type": "integer"}}}
_HEADERS = {
    401: {"WWW-Authenticate": {"description": "The scheme: Bearer.", "schema": {"type": "string"}}},
    429: _WAIT,
    503: _WAIT,
}
EVENTS: Responses = {
    200: {
        "description": "An event at each step. Lines that begin with a colon only keep the connection alive.",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "description": "One event; the last one has an end in `state`.",
                    "properties": {
                        "data": {
                            "type": "string",
                            "description": "The job.",
                            "contentMediaType": "application/json",
                            "contentSchema": {"$ref": "#/components/schemas/JobInfo"},
                        }
                    },
                    "required": ["data"],
                },
                "example": 'data: {"id": "0123456789abcdef0123456789abcdef", "state": "done", "stage": "learning", '
                '"done": 1, "total": 1, "error": ""}\n\n',
            }
        },
    }
}


def problems(*statuses: int) -> Responses:
    """Say with which statuses a route refuses."""
    return {
        status: {"model": Problem, "description": _REASONS[status], "headers": _HEADERS.get(status, {})}
        for status in statuses
    }


def file_of(kind: str, what: str) -> Responses:
    """Say that a route answers with a file of a media type; one of YAML is read as what it says."""
    schema = {"type": "object"} if kind == "application/yaml" else {"type": "string", "format": "binary"}
    return {200: {"description": what, "content": {kind: {"schema": schema}}}}


def as_file(kind: str, what: str, *, tag: str = "downloads", refused: tuple[int, ...] = (404, 422)) -> dict[str, Any]:
    """Return what a route is told that answers with a file, see `file_of`."""
    return {"tags": [tag], "response_class": FileResponse, "responses": file_of(kind, what) | problems(*refused)}


def guarded() -> APIRouter:
    """Return a router of routes that answer with a token only."""
    return APIRouter(route_class=Route, responses=problems(401, 403, 421, 429, 503), dependencies=[Security(BEARER)])
