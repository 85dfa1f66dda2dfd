"""The route that scores what came out against labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, File, Query, Security, UploadFile

from kpl.server import bodies, scoring, views
from kpl.server.api import Mine, Served, name_of
from kpl.server.document import BEARER, problems
from kpl.server.requests import Route
from kpl.server.score_schemas import ScoresInfo

__all__ = ["router"]

router = APIRouter(route_class=Route, responses=problems(401, 403, 421, 429, 503), dependencies=[Security(BEARER)])
_HERE = "/api/sessions/{session_id}"
_Tables = Annotated[
    Sequence[UploadFile],
    File(description="A table of labels, of any kind that `kpl evaluate` reads; of a folder its metadata files."),
]
_Listing = Annotated[
    UploadFile | None, File(description="Of a folder of class folders: the path of each file below it, a line each.")
]


@router.post(f"{_HERE}/scores", tags=["predictions"], responses=problems(400, 404, 408, 413, 422))
def scores(
    service: Served,
    session: Mine,
    how: Annotated[bodies.HowRead, Query()],
    file: _Tables = (),
    folder: _Listing = None,
) -> ScoresInfo:
    """Score the result against labels, a table or a folder; they reach nothing that is learnt and are not kept."""
    with service.downloads.hold(session.client):
        most = service.limits.file_bytes
        given, listing = [(name_of(each), each.file) for each in file], folder.file if folder else None
        found = scoring.score(
            session, given, listing, how.reading(), ignore_unknown=how.ignore_unknown, most_bytes=most
        )
    return views.about_scores(found)
