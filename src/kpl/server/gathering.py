"""The medical files of a session, as they came, become units whose pictures the service keeps."""

from __future__ import annotations

from kpl.errors import PictureError
from kpl.images import Unit
from kpl.server.decoding import Decoders
from kpl.server.jobs import Job
from kpl.server.limits import Limits
from kpl.server.refusals import TooLarge
from kpl.server.sessions import Session
from kpl.server.studies import units_of

_IN_TWO_LOTS = "its series came in two lots: remove the pictures, and add all of its files before you classify"


def put_together(
    job: Job, session: Session, decoders: Decoders, limits: Limits, shrink_to: int, window: str | None
) -> None:
    """Make units of the medical files that came since the last job, and read their pictures.

    Args:
        job: told how far it is; when it is stopped, the files wait for the next.
        session: gets the units.
        decoders: read what the files say, and their pixels.
        limits: of the session.
        shrink_to: see `kpl.images.decode`.
        window: that the knowledge states for CT.

    Raises:
        PictureError: the files stop the processes that read them.
        Busy: these are all at work for too long.
    """
    if not (held := list(session.held)):
        return
    files = sorted(held)
    job.tell("putting studies together", 0, len(files))
    told = decoders.plan(files, window)
    total, done = sum(len(unit["frames"]) for unit in told["units"]), 0
    number = sum(bool(unit.sources) for unit in session.units)
    known = {unit.series for unit in session.units if unit.series}
    units: list[Unit] = []
    left: list[tuple[str, str]] = [
        (f"file-{n:04d}", item["reason"]) for n, item in enumerate(told["set_aside"], start=1)
    ]
    for at, unit in enumerate(told["units"]):
        kept = []
        for place in range(len(unit["frames"])):
            job.tell("reading slices and frames", done, total)
            done += 1
            try:
                made = decoders.instance(files, window, at, place, shrink_to)
                kept.append((place, session.keep_instance(made, limits)))
            except (PictureError, TooLarge) as error:
                left.append((f"unit-{number + 1:04d}#{place:03d}", str(error)))
        if not kept:
            continue
        number += 1
        notes = [*unit["notes"], *([_IN_TWO_LOTS] if unit["series"] in known else [])]
        units.append(units_of({**unit, "notes": notes}, number, kept))
    session.put_together(len(held), units)
    for name, reason in left:
        session.leave_out(name, reason)
