"""What a session leaves for its user: a table, a report, a model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from kpl.files import put, working_folder, write_file
from kpl.images import Instance
from kpl.knowledge import write_knowledge
from kpl.report import REPORT_FILE
from kpl.report import write_report as report
from kpl.runs import classify
from kpl.runs.folder import RUN_FILE
from kpl.runs.opening import open_single_label
from kpl.runs.thumbnails import keep_thumbnails
from kpl.runs.units import Told
from kpl.server.outcomes import Outcome
from kpl.server.refusals import Gone
from kpl.server.sessions import Session


def write_csv(session: Session, path: Path) -> None:
    """Write `predictions.csv` as it is shown, with the class prior in use."""
    (session.opened or session.learnt()).write_csv(path)


def write_knowledge_file(session: Session, path: Path) -> None:
    """Write the knowledge of a session as a knowledge file.

    Raises:
        Gone: none was chosen.
    """
    if session.knowledge is None:
        raise Gone("there is no knowledge yet: choose a pack, or write classes and descriptions")
    write_knowledge(session.knowledge, path)


def write_model(session: Session, path: Path) -> None:
    """Write what was learnt, for `kpl classify --model`."""
    session.learnt().model().save(path)


def write_calibration(session: Session, path: Path) -> None:
    """Write the calibration in use, for `kpl classify --model --calibration`.

    Raises:
        Gone: there is none.
    """
    if (told := session.learnt().calibrated) is None:
        raise Gone("nothing is calibrated: send a table of labels first")
    write_file(path, told.model_dump_json(indent=1) + "\n")


def write_run(outcome: Outcome, session: Session, folder: Path, features: Path | None = None) -> None:
    """Write the run folder that `kpl classify` would: predictions with the class prior in use, thumbnails, the report.

    Args:
        outcome: what came out.
        session: whose outcome it is.
        folder: to make.
        features: a copy of the outcome's, where its own may go meanwhile.
    """

    def finish(work: Path) -> None:
        run = open_single_label(work)
        told = None if run.key_rows is None else Told(run.features, tuple(run.key_rows), outcome.shown)
        names, beside = (told.key_ids, told.beside) if told else (run.ids, {})
        whole = session.overviews
        slides = {row: Instance(name, whole[name]) for row, name in enumerate(run.ids) if name in whole}
        keep_thumbnails(work, session.pictures, names, run.shown, beside, slides)
        if outcome.prior is not None:
            _say_by_hand(work / RUN_FILE)
        report(work)

    given = features or outcome.features.path
    classify_outcome(outcome, given, folder, finish=finish)


def classify_outcome(
    outcome: Outcome, features: Path, folder: Path, *, calibrated: bool = True, finish: Callable[[Path], object]
) -> None:
    """Make the run of what came out, with the settings in use; `calibrated` as they are, else as they were before."""
    with TemporaryDirectory() as work:
        trusted = Path(work) / "calibration.json" if calibrated and outcome.calibrated else None
        if trusted and outcome.calibrated:
            trusted.write_text(outcome.calibrated.model_dump_json(), encoding="utf-8")
        classify(
            features,
            model=outcome.model(),
            encoder=outcome.encoder,
            calibration=trusted,
            abstain_below=outcome.deciding.abstain_below,
            thresholds=dict((outcome.deciding.thresholds or {}).items()),
            other=outcome.other,
            out=folder,
            finish=finish,
        )


def _say_by_hand(summary: Path) -> None:
    """Let the run say that its class prior is not the estimated one."""
    told = json.loads(summary.read_text(encoding="utf-8"))
    told["warnings"].insert(0, "the class prior was set by hand, on the page or through the service")
    summary.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_report(session: Session, path: Path) -> None:
    """Write the report of what is shown, one HTML file."""
    if session.opened is not None:
        own = session.opened.run.path / REPORT_FILE
        shutil.copyfile(own if own.exists() else report(own.parent), path)
        return
    with working_folder(path) as work:
        with session.lock:  # a job that ends replaces the outcome and removes its features
            outcome = session.learnt()
            features = shutil.copytree(outcome.features.path, work / "features")
        write_run(outcome, session, work / "run", features)
        put(work / "run" / REPORT_FILE, path)
