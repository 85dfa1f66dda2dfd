"""What came out of a session against a table of labels; no label reaches what is learnt."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from kpl.evaluation import Reading
from kpl.runs import Evaluation, SingleLabelRun, calibrate, evaluate, open_single_label
from kpl.runs.calibrating import CalibrationResult
from kpl.server.downloads import classify_outcome
from kpl.server.refusals import Conflict, Refused, TooLarge
from kpl.server.sessions import Session, shown_name

_MOST_FILES = 100_000
_BESIDE = "text"  # what the page shows beside the result


@dataclass(frozen=True)
class Scored:
    """What a table of labels says.

    Attributes:
        evaluation: how good the result is.
        truth: (n,) the class that the label of each picture or unit names, its place; -1 for none.
    """

    evaluation: Evaluation
    truth: tuple[int, ...]


@dataclass(frozen=True)
class Labels:
    """Labels as a request brings them.

    Attributes:
        tables: name and bytes of one, whose suffix says of what kind it is; or of those that lie in a folder.
        listing: of a folder, whose sub-folders are the classes or hold the tables, the path of each file, a line each.
        reading: which columns are which, and what cells mean.
        ignore_unknown: leave pictures out whose label is no class.
        most_bytes: that a table may have.
    """

    tables: Sequence[tuple[str, BinaryIO]]
    listing: BinaryIO | None
    reading: Reading
    ignore_unknown: bool
    most_bytes: int


def score(session: Session, given: Labels) -> Scored:
    """Score what a session shows, with the class prior in use, as `kpl evaluate` scores a run.

    Args:
        session: with an outcome, or of a finished run.
        given: the labels.

    Raises:
        Gone: nothing was classified yet.
        Refused: neither one table nor a folder.
        TooLarge: what was given.
        LabelsError, TableError: it cannot be used.
    """
    how: Any = {"reading": given.reading, "ignore_unknown": given.ignore_unknown}
    with _kept(session, given) as (work, path):
        run = session.opened.run if session.opened else _written(session, work, calibrated=True)
        methods = list(dict.fromkeys([run.method_name, _BESIDE])) if isinstance(run, SingleLabelRun) else None
        found = evaluate(run, labels=path, methods=methods, **how)
        if not isinstance(run, SingleLabelRun):
            return Scored(found, ())
        truth = run.labels(path, groups=True, **how).labels
        return Scored(found, tuple(truth.tolist()))


def calibrated(session: Session, given: Labels) -> CalibrationResult:
    """Calibrate what a session shows, with the settings in use, as `kpl calibrate` does; from then on it is shown so.

    Arguments and errors as in `score`; a finished run stays as it is.
    """
    outcome = session.learnt()
    with _kept(session, given) as (work, path):
        run = _written(session, work, calibrated=False)
        out = work / "calibration.json"
        found = calibrate(run, labels=path, out=out, reading=given.reading, ignore_unknown=given.ignore_unknown)
    with session.lock:
        if session.learnt() is not outcome:
            raise Conflict("what came out changed meanwhile: calibrate again")
        session.outcome = replace(outcome, calibrated=found.file)
    return found


@contextmanager
def _kept(session: Session, given: Labels) -> Iterator[tuple[Path, Path]]:
    """Keep labels for as long as they are read: yield a folder to work in, and where they are."""
    with session.at_work(), TemporaryDirectory(dir=session.folder, prefix="scores-") as work:
        yield Path(work), _written_down(Path(work) / "given", given)


def _written_down(folder: Path, given: Labels) -> Path:
    """Write what was given into a new folder, and return where the labels are.

    Of the pictures of a folder nobody needs more than their paths, so these are what stands for them.
    """
    folder.mkdir()
    if given.listing is None:
        if len(given.tables) != 1:
            raise Refused("give one table of labels, or of a folder of class folders the list of its files")
        name, file = given.tables[0]
        path = folder / _file_name(name)
        path.write_bytes(_read(file, given.most_bytes))
        return path
    lines = _read(given.listing, given.most_bytes).decode("utf-8", "replace").splitlines()
    if len(lines) > _MOST_FILES:
        raise TooLarge(f"a folder of more than {_MOST_FILES} files: use `kpl evaluate`")
    root = folder / "folder"
    root.mkdir()
    written = {shown_name(line): line.encode() for line in lines if line.strip()}
    written |= {shown_name(name): _read(file, given.most_bytes) for name, file in given.tables}
    for name, data in written.items():
        try:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        except OSError as error:  # one name is a file and a folder, or longer than a name can be
            raise Refused(f"{name[:100]!r} cannot be a file of a folder: {error.strerror}") from error
    return root


def _read(file: BinaryIO, most_bytes: int) -> bytes:
    data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise TooLarge(f"more than {most_bytes >> 20} MB of labels: use `kpl evaluate`")
    return data


def _file_name(name: str) -> str:
    """Return what a table is called here: by its last part, of which a file system takes 255 bytes."""
    return PurePosixPath(shown_name(name)).name.encode()[-200:].decode(errors="ignore")


def _written(session: Session, work: Path, *, calibrated: bool) -> SingleLabelRun:
    """Write the run that `kpl classify` would, without its report."""
    folder = work / "of-run"
    with session.lock:  # a job that ends replaces the outcome and removes its features
        outcome = session.learnt()
        features = shutil.copytree(outcome.features.path, folder / "features")
    classify_outcome(outcome, features, folder / "run", calibrated=calibrated, finish=lambda _: None)
    return open_single_label(folder / "run")
