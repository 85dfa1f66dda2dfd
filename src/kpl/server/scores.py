"""The routes that take labels: they score what came out, and bring confidences to how often they are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, File, Query, UploadFile
from fastapi.responses import Response

from kpl.server import bodies, downloads, scoring, views
from kpl.server.api import Mine, Served, answer_with_file, name_of
from kpl.server.document import HERE, as_file, guarded, problems
from kpl.server.score_schemas import CalibrationInfo, ScoresInfo

router = guarded()
_Tables = Annotated[
    Sequence[UploadFile],
    File(description="A table of labels, of any kind that `kpl evaluate` reads; of a folder its metadata files."),
]
_Listing = Annotated[
    UploadFile | None, File(description="Of a folder of class folders: the path of each file below it, a line each.")
]


async def _given(
    service: Served, how: Annotated[bodies.HowRead, Query()], file: _Tables = (), folder: _Listing = None
) -> scoring.Labels:
    tables = [(name_of(each), each.file) for each in file]
    listing = folder.file if folder else None
    return scoring.Labels(tables, listing, how.reading(), how.ignore_unknown, service.limits.file_bytes)


_Labels = Annotated[scoring.Labels, Depends(_given)]


@router.post(f"{HERE}/scores", tags=["predictions"], responses=problems(400, 404, 408, 413, 422))
def scores(service: Served, session: Mine, labels: _Labels) -> ScoresInfo:
    """Score the result against labels, a table or a folder; they reach nothing that is learnt and are not kept."""
    with service.downloads.hold(session.client):
        return views.about_scores(scoring.score(session, labels))


@router.post(f"{HERE}/calibration", tags=["predictions"], responses=problems(400, 404, 408, 409, 413, 422))
def calibrate(service: Served, session: Mine, labels: _Labels) -> CalibrationInfo:
    """Calibrate the result on ten labelled pictures or more; it is shown so until a setting changes."""
    with service.downloads.hold(session.client):
        return views.about_calibration(scoring.calibrated(session, labels))


@router.get(
    f"{HERE}/calibration.json",
    **as_file("application/json", "A calibration, as kpl calibrate writes it.", refused=(404, 409, 422)),
)
def download_calibration(session: Mine) -> Response:
    """The calibration in use, for `kpl classify --model model.kpl --calibration calibration.json`."""
    return answer_with_file(session, downloads.write_calibration, "calibration.json", "application/json")
