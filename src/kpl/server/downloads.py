"""What a session leaves for its user: a table, a report, a model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from kpl.report import write_report as report
from kpl.runs import classify
from kpl.runs.folder import RUN_FILE
from kpl.runs.predictions import read_predictions
from kpl.runs.thumbnails import keep_thumbnails, kept_rows
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
    """Write the run folder that `kpl classify` would, predictions with the class prior in use, thumbnails included.

    Raises:
        Conflict: pictures are being added or classified.
    """
    outcome = session.finished()
    if session.features is None or session.features.index.pictures_sha256 != outcome.pictures_sha256:
        raise Conflict("pictures are being classified: wait for the end of the job")
    classify(session.folder / FEATURES, model=outcome.model(), encoder=outcome.encoder, out=folder)
    said, text = read_predictions(folder / "predictions.csv", outcome.keys), outcome.text_probabilities()
    rows = kept_rows(said.winners, text.argmax(axis=1), said.sureness, len(outcome.keys))
    keep_thumbnails(folder, session.pictures, outcome.ids, rows)
    if outcome.prior is not None:
        _say_by_hand(folder / RUN_FILE)


def _say_by_hand(summary: Path) -> None:
    """Let the run say that its class prior is not the estimated one."""
    told = json.loads(summary.read_text(encoding="utf-8"))
    told["warnings"].insert(0, "the class prior was set by hand, on the page or through the service")
    summary.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_report(session: Session, path: Path) -> None:
    """Write the report of what is shown, one HTML file."""
    run = path.with_name(f"{path.name}-run")
    try:
        write_run(session, run)
        report(run).replace(path)
    finally:
        for left in (run, run.with_name(f".{run.name}.partial")):
            shutil.rmtree(left, ignore_errors=True)
