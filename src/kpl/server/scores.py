"""The routes that take labels: they score what came out, and bring confidences to how often they are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, File, Query, Security, UploadFile
from fastapi.responses import FileResponse, Response

from kpl.server import bodies, downloads, scoring, views
from kpl.server.api import Mine, Served, answer_with_file, name_of
from kpl.server.document import BEARER, file_of, problems
from kpl.server.requests import Route
from kpl.server.score_schemas import CalibrationInfo, ScoresInfo

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


@router.post(f"{_HERE}/calibration", tags=["predictions"], responses=problems(400, 404, 408, 409, 413, 422))
def calibrate(
    service: Served,
    session: Mine,
    how: Annotated[bodies.HowRead, Query()],
    file: _Tables = (),
    folder: _Listing = None,
) -> CalibrationInfo:
    """Calibrate the result on ten labelled pictures or more; it is shown so until a setting changes."""
    with service.downloads.hold(session.client):
        most = service.limits.file_bytes
        given, listing = [(name_of(each), each.file) for each in file], folder.file if folder else None
        found = scoring.calibrated(
            session, given, listing, how.reading(), ignore_unknown=how.ignore_unknown, most_bytes=most
        )
    return views.about_calibration(found)


@router.get(
    f"{_HERE}/calibration.json",
    tags=["downloads"],
    response_class=FileResponse,
    responses=file_of("application/json", "A calibration, as kpl calibrate writes it.") | problems(404, 409, 422),
)
def download_calibration(session: Mine) -> Response:
    """The calibration in use, for `kpl classify --model model.kpl --calibration calibration.json`."""
    return answer_with_file(session, downloads.write_calibration, "calibration.json", "application/json")
