"""What people say of the pictures of a session, kept as `kpl correct` keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.curation import Queued, queue
from kpl.curation.queue import Asked
from kpl.errors import UnknownNameError
from kpl.evaluation import NONE_OF_THESE
from kpl.knowledge import KnowledgeBase
from kpl.runs import Predictions
from kpl.runs.corrections import (
    UNSURE,
    Agreement,
    Correction,
    add_corrections,
    agreement,
    keep_corrections,
    read_corrections,
    undo,
)
from kpl.runs.tables import write_csv
from kpl.server.outcomes import Outcome
from kpl.server.refusals import Gone
from kpl.server.sessions import Session, check_place


@dataclass(frozen=True)
class _Shown:
    """What came out of a session as something to correct."""

    path: Path
    ids: tuple[str, ...]
    keys: Sequence[str]
    knowledge: KnowledgeBase
    predictions: Predictions
    text: Predictions
    images: NDArray[np.float32]

    @classmethod
    def of(cls, path: Path, outcome: Outcome) -> _Shown:
        """Return what an outcome shows."""
        text, images = outcome.text, outcome.standing
        return cls(path, outcome.ids, outcome.keys, outcome.knowledge, outcome.predictions, text, images)

    def row_of(self, image: str) -> int:
        try:
            return self.ids.index(image)
        except ValueError:
            raise UnknownNameError("picture of the session", image, self.ids[:5]) from None


def _target(session: Session) -> Asked:
    """Return what is corrected: a finished run, or what came out of the session."""
    if session.opened is not None:
        return session.opened.alone().run
    return _Shown.of(session.store or session.folder, session.learnt())


def own_corrections(session: Session, by: str) -> list[Correction]:
    """Return what a reader said, the oldest first; what others said is not shown to them."""
    with session.at_work():
        return [each for each in read_corrections(_target(session)) if each.by == by.strip()]


def say(session: Session, by: str, place: int, label: str, *, final: bool) -> list[Correction]:
    """Keep what a reader says of a picture, and return all that they said.

    Raises:
        Gone: no such picture, or nothing classified.
        UnknownNameError, InputError: no such class; nobody says it.
    """
    with session.at_work():
        target = _target(session)
        check_place(place, len(target.ids))
        kept = add_corrections(target, {target.ids[place]: label}, by=by, final=final)
        return [each for each in kept if each.by == by.strip()]


def take_back(session: Session, by: str) -> Correction:
    """Take back the last that a reader said.

    Raises:
        InputError: there is nothing.
    """
    with session.at_work():
        return undo(_target(session), by=by.strip())


def to_read(session: Session, by: str, n: int, reasons: Sequence[str]) -> list[Queued]:
    """Return the pictures that this reader should look at next, without those that they did."""
    with session.at_work():
        done = {each.image for each in own_corrections(session, by)}
        return queue(_target(session), n, by=reasons, done=done)


def disagreements(session: Session) -> tuple[dict[str, int], Agreement]:
    """Return how many pictures each reader judged, and how far readers agree."""
    with session.at_work():
        said = read_corrections(_target(session))
    counts: dict[str, int] = {}
    for each in said:
        if not each.final:
            counts[each.by] = counts.get(each.by, 0) + 1
    return counts, agreement(said)


def write_corrections(session: Session, path: Path, by: str) -> None:
    """Write what a reader said as a table that `kpl correct --table` takes.

    Raises:
        Gone: they said nothing.
    """
    own = own_corrections(session, by)
    if not own:
        raise Gone(f"{by[:100]!r} has corrected nothing yet")
    write_csv(path, ["image", "label", "said", "when"], ([e.image, e.label, e.said or "", e.when] for e in own))


def carry_corrections(session: Session, outcome: Outcome, store: Path) -> None:
    """Let what was said of a session's pictures lie where its next outcome has it; of classes that are gone it goes."""
    with session.lock:
        if session.outcome is not None:
            before = read_corrections(_target(session))
            allowed = {*outcome.keys, NONE_OF_THESE, UNSURE}
            if before:
                keep_corrections(_Shown.of(store, outcome), [each for each in before if each.label in allowed])
        session.store = store
