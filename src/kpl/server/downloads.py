"""What a session leaves for its user: a table, a report, a model."""

from __future__ import annotations

from pathlib import Path

from kpl.runs import classify
from kpl.server.refusals import Conflict
from kpl.server.sessions import FEATURES, Session

__all__ = ["write_csv", "write_model", "write_report", "write_run"]


def write_csv(session: Session, path: Path) -> None:
    """Write `predictions.csv` as it is shown, with the class prior in use."""
    session.finished().write_csv(path)


def write_model(session: Session, path: Path) -> None:
    """Write what was learnt, for `kpl classify --model`."""
    session.finished().model().save(path)


def write_run(session: Session, folder: Path) -> None:
    """Write the run folder that `kpl classify` would, predictions with the class prior in use.

    Raises:
        Conflict: pictures are being added or classified.
    """
    outcome = session.finished()
    if session.features is None or session.features.index.pictures_sha256 != outcome.pictures_sha256:
        raise Conflict("pictures are being classified: wait for the end of the job")
    classify(session.folder / FEATURES, model=outcome.model(), encoder=outcome.encoder, out=folder)


def write_report(session: Session, path: Path) -> None:
    """Write the report of what is shown, one HTML file."""
    session.finished()
    del path
    raise Conflict("there is no report in this version: download the table and the model")
