"""The medical files of a session, as they came, become units whose pictures the service keeps."""

from __future__ import annotations

from contextlib import suppress

from kpl.encoders import EncoderCard
from kpl.errors import PictureError
from kpl.images import Unit
from kpl.knowledge import Task
from kpl.runs.thumbnails import SLIDE
from kpl.server.decoding import Decoders
from kpl.server.jobs import Job
from kpl.server.limits import Limits
from kpl.server.refusals import Gone, TooLarge
from kpl.server.sessions import Session, check_place
from kpl.server.studies import how_of, units_of

_IN_TWO_LOTS = "its series came in two lots: remove the pictures, and add all of its files before you classify"


def put_together(job: Job, session: Session, decoders: Decoders, limits: Limits, task: Task, card: EncoderCard) -> None:
    """Make units of the medical files that came since the last job, and read their pictures.

    Args:
        job: told how far it is; when it is stopped, the files wait for the next.
        session: gets the units.
        decoders: read what the files say, and their pixels.
        limits: of the session.
        task, card: of the knowledge and the encoder, which say how files are read.

    Raises:
        PictureError: the files stop the processes that read them.
        Busy: these are all at work for too long.
    """
    if not (held := list(session.held)):
        return
    files = sorted(held)
    job.tell("putting studies together", 0, len(files))
    how, shrink_to = how_of(task, card), 3 * card.image_size
    told = decoders.plan(files, how)
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
            job.tell("reading slices, frames and tiles", done + place, total)
            try:
                made = decoders.instance(files, how, at, place, shrink_to)
                kept.append((place, session.keep_instance(made, limits)))
            except PictureError as error:
                left.append((f"unit-{number + 1:04d}#{place:03d}", str(error)))
            except TooLarge as error:  # and so would be all that follow
                left.append((f"unit-{number + 1:04d}#{place:03d}", str(error)))
                break
        done += len(unit["frames"])
        if not kept:
            continue
        number += 1
        if unit["kind"] == "slide":
            with suppress(PictureError, TooLarge):  # without it there is no map
                whole = decoders.instance(files, how, at, None, shrink_to)
                session.overviews[f"unit-{number:04d}"] = session.keep_instance(whole, limits)
        notes = [*unit["notes"], *([_IN_TWO_LOTS] if unit["series"] in known else [])]
        units.append(units_of({**unit, "notes": notes}, number, kept))
    session.put_together(len(held), units)
    for name, reason in left:
        session.leave_out(name, reason)


def whole_slide(session: Session, place: int) -> tuple[bytes, str]:
    """Return a small picture of a whole slide, and its kind.

    Raises:
        Gone: there is no such unit, it is no slide, or its picture was not kept.
    """
    check_place(place, len(session.names()))
    if session.opened is None:
        if (path := session.overviews.get(session.units[place].id)) is not None:
            return path.read_bytes(), "image/png"
    elif (kept := session.opened.run.beside.get((place, SLIDE))) is not None:
        return kept, "image/webp"
    raise Gone("no picture of a whole slide was kept of this")
