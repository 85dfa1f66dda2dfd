"""What came out of a session against a table of labels; no label reaches what is learnt."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO

from kpl.evaluation import Reading
from kpl.runs import Evaluation, SingleLabelRun, classify, evaluate, open_single_label
from kpl.server.refusals import TooLarge
from kpl.server.sessions import Session, shown_name

__all__ = ["Scored", "score"]

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


def score(
    session: Session, name: str, table: BinaryIO, reading: Reading, *, ignore_unknown: bool, most_bytes: int
) -> Scored:
    """Score what a session shows, with the class prior in use, as `kpl evaluate` scores a run.

    Args:
        session: with an outcome, or of a finished run.
        name: the user's, of the table; its suffix says of what kind it is.
        table: its bytes.
        reading: which columns are which, and what cells mean.
        ignore_unknown: leave pictures out whose label is no class.
        most_bytes: that a table may have.

    Raises:
        Gone: nothing was classified yet.
        TooLarge: the table.
        LabelsError, TableError: it cannot be used.
    """
    with session.at_work(), TemporaryDirectory(dir=session.folder, prefix="scores-") as work:
        path = Path(work) / "given" / _file_name(name)
        path.parent.mkdir()
        data = table.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise TooLarge(f"a table of more than {most_bytes >> 20} MB: use `kpl evaluate`")
        path.write_bytes(data)
        run = session.opened.run if session.opened else _written(session, Path(work) / "of-run")
        methods = list(dict.fromkeys([run.method_name, _BESIDE]))
        found = evaluate(run, labels=path, methods=methods, reading=reading, ignore_unknown=ignore_unknown)
        truth = run.labels(path, reading=reading, ignore_unknown=ignore_unknown).labels
        return Scored(found, tuple(truth.tolist()))


def _file_name(name: str) -> str:
    """Return what a table is called here: by its last part, of which a file system takes 255 bytes."""
    return PurePosixPath(shown_name(name)).name.encode()[-200:].decode(errors="ignore")


def _written(session: Session, folder: Path) -> SingleLabelRun:
    """Write the run that `kpl classify` would, without its report."""
    with session.lock:  # a job that ends replaces the outcome and removes its features
        outcome = session.learnt()
        features = shutil.copytree(outcome.features.path, folder / "features")
    classify(features, model=outcome.model(), encoder=outcome.encoder, out=folder / "run")
    return open_single_label(folder / "run")
