"""What one user works on: pictures, knowledge and what came out, in a private folder that is removed."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kpl.images import Instance, SetAside, Unit
from kpl.knowledge import KnowledgeBase
from kpl.server.decoding import Kept
from kpl.server.folders import PrivateFolder, clear_left_behind
from kpl.server.limits import Limits
from kpl.server.maps import DrawnMap
from kpl.server.opened import Opened, OpenedRun
from kpl.server.outcomes import Outcome
from kpl.server.refusals import Busy, Conflict, Gone, TooLarge
from kpl.server.studies import hold_medical

_NAME_LENGTH = 200


def shown_name(raw: str) -> str:
    """Return the name of a picture as it is shown and written in tables; it is never used as a path.

    Example:
        >>> shown_name("..\\\\scans//a\\x00.png")
        'scans/a.png'
    """
    clean = "".join(c if c.isprintable() else "" for c in raw.replace("\\", "/"))
    clean = clean.encode("utf-8", "replace").decode("utf-8")
    parts = [part for part in PurePosixPath(clean).parts if part not in ("/", ".", "..")]
    return "/".join(parts)[-_NAME_LENGTH:] or "picture"


def check_place(place: int, count: int) -> None:
    """Refuse the place of a picture that is not there."""
    if not 0 <= place < count:
        raise Gone(f"no such picture: there are {count}, counted from 0")


@dataclass
class Session:
    """One user's work.

    Attributes:
        id: secret; who knows it may use the session.
        client: that began it.
        encoder: name.
        folder: private; every name in it is the server's.
        units: what is decided on, in order: pictures by the user's names for them, and medical files put together.
        held: medical files that are not put together yet: the user's name, and the server's path.
        overviews: small pictures of whole slides, by their units.
        set_aside: files that are no pictures, with reasons.
        knowledge: None until it is chosen.
        outcome: of the last job that classified.
        opened: the finished run that is looked at in the place of pictures of one's own; such a session takes none.
        store: where what people say of the pictures is kept; the folder of a run that stays, or the session's own.
        drawn: the last map of a picture.
        working: how many use its files now; an ended session keeps them until there is none.
        ended: nothing more is done for it.
        lock: held by whoever changes it.
    """

    id: str
    encoder: str
    folder: Path
    client: str = ""
    units: list[Unit] = field(default_factory=list)
    held: list[tuple[str, str]] = field(default_factory=list)
    overviews: dict[str, Path] = field(default_factory=dict)
    set_aside: list[SetAside] = field(default_factory=list)
    knowledge: KnowledgeBase | None = None
    outcome: Outcome | None = None
    opened: Opened | None = None
    store: Path | None = None
    drawn: DrawnMap | None = None
    used: float = field(default_factory=time.monotonic)
    working: int = 0
    ended: bool = False
    bytes_kept: int = 0
    _written: int = 0
    _lots: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _names: dict[str, int] = field(default_factory=dict, repr=False)
    _stems: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def pictures(self) -> list[Instance]:
        """All pictures, those of a unit one behind the other."""
        return [instance for unit in self.units for instance in unit.instances]

    def shown(self, place: int, instance: int | None = None) -> Instance:
        """Return the picture that stands for a unit: its key instance once that is known, else the middle one.

        Raises:
            Gone: the unit has no such instance.
        """
        of_unit = self.units[place].instances
        if instance is None:
            known = self.outcome if self.outcome and place < len(self.outcome.ids) else None
            instance = known.key(place) if known else len(of_unit) // 2
        if instance >= len(of_unit):
            raise Gone(f"no such instance: there are {len(of_unit)}, counted from 0")
        return of_unit[instance]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Use the files of the session: until the end of this they stay.

        Raises:
            Gone: the session is ended.
        """
        with self.lock:
            self._be_there()
            self.working += 1
        try:
            yield
        finally:
            with self.lock:
                self.working -= 1
                self._remove()

    def end(self) -> None:
        """Take nothing more, and remove the files as soon as nobody uses them."""
        with self.lock:
            self.ended = True
            self._remove()

    def _be_there(self) -> None:
        if self.ended:
            raise Gone("no such session: it was ended; begin another")

    def _remove(self) -> None:
        if self.ended and not self.working:
            shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, name: str, kept: Kept, limits: Limits) -> int:
        """Keep a picture and return its place.

        Raises:
            Gone: the session is ended.
            TooLarge: the session is full.
        """
        with self.lock:
            self._be_there()
            self.changeable()
            self._have_room(len(kept.png) + len(kept.thumbnail), limits)
            self.units.append(Unit.of(Instance(self._unique(shown_name(name)), self._write(kept))))
            return len(self.units) - 1

    def _have_room(self, size: int, limits: Limits) -> None:
        count = self._written + len(self.held)
        if count >= limits.pictures or self.bytes_kept + size > limits.session_bytes:
            raise TooLarge(f"this session is full with {count} pictures: use `kpl classify` for a larger folder")

    def _write(self, kept: Kept) -> Path:
        path = self.folder / f"{self._written:06d}.png"
        path.write_bytes(kept.png)
        path.with_suffix(".jpg").write_bytes(kept.thumbnail)
        self._written += 1
        self.bytes_kept += len(kept.png) + len(kept.thumbnail)
        return path

    def hold(self, name: str, data: bytes, limits: Limits) -> bool:
        """Keep a medical file until the next job puts it together with others; say whether it is one.

        Raises:
            Gone: the session is ended.
            TooLarge: the session is full, or the file is too large.
        """
        with self.lock:
            self._be_there()
            if len(data) > limits.file_bytes:
                return False
            self._have_room(len(data), limits)
            path = hold_medical(shown_name(name), data, f"{self.folder}/held-{self._lots}-", self._stems)
            if path is not None:
                self.held.append((shown_name(name), str(path)))
                self.bytes_kept += len(data)
            return path is not None

    def keep_instance(self, kept: Kept, limits: Limits) -> Path:
        """Keep a picture of a unit that is being put together; errors as of `add`."""
        with self.lock:
            self._be_there()
            self._have_room(len(kept.png) + len(kept.thumbnail), limits)
            return self._write(kept)

    def put_together(self, files: int, units: list[Unit]) -> None:
        """Take units in the place of the first so many of the held files."""
        with self.lock:
            for _, path in self.held[:files]:
                Path(path).unlink(missing_ok=True)
            del self.held[:files]
            self.units += units
            self._stems.clear()
            self._lots += 1  # no path of a held file is used again

    def leave_out(self, name: str, reason: str) -> SetAside:
        """Remember a file that is no picture."""
        left = SetAside(shown_name(name), reason)
        with self.lock:
            if len(self.set_aside) < 10_000:
                self.set_aside.append(left)
        return left

    def names(self) -> list[str]:
        """Return the names of the pictures, as their user calls them, and of the units that medical files became."""
        return list(self.opened.ids) if self.opened else [unit.id for unit in self.units]

    def small(self, place: int, instance: int | None = None) -> tuple[bytes, str]:
        """Return a small picture and its kind; `instance` as in `shown`, of a run only those beside the key.

        Raises:
            Gone: there is no such picture, or the run did not keep it.
        """
        if self.opened is None:
            check_place(place, len(self.units))
            return self.shown(place, instance).path.with_suffix(".jpg").read_bytes(), "image/jpeg"
        check_place(place, len(self.opened.ids))
        kept = self.opened.small(place, instance)
        if kept is None:
            raise Gone("the run did not keep this picture small, as it has many")
        return kept, "image/webp"

    def large(self, place: int, instance: int | None = None) -> tuple[bytes, str]:
        """Return a picture as the encoder gets it, of a finished run the small one, and of which kind it is.

        Raises:
            Gone: there is no such picture, or the run did not keep it.
        """
        if self.opened is not None:
            return self.small(place, instance)
        check_place(place, len(self.units))
        return self.shown(place, instance).path.read_bytes(), "image/png"

    def fresh_features(self) -> Path:
        """Where pictures are embedded: never the folder that what came out was learnt from."""
        first, second = (self.folder / f"features-{name}" for name in "ab")
        return second if self.outcome and self.outcome.features.path == first else first

    def replace(self, outcome: Outcome) -> None:
        """Let this be what came out, and remove the features that only the former needed."""
        with self.lock:
            former, self.outcome = self.outcome, outcome
            if former and former.features.path != outcome.features.path:
                shutil.rmtree(former.features.path, ignore_errors=True)

    def move(self, moved: Callable[[Outcome], Outcome]) -> Outcome:
        """Look at what came out with other settings, as `moved` makes it of what is shown; errors are its own.

        Raises:
            Conflict, Gone: a finished run is looked at, or nothing was classified yet.
        """
        with self.lock:
            self.outcome = moved(self.learnt())
            return self.outcome

    def learnt(self) -> Outcome:
        """Return what came out of the session's own pictures.

        Raises:
            Gone: nothing was classified yet.
            Conflict: a finished run is looked at.
        """
        self.changeable()
        if self.outcome is None:
            raise Gone("nothing is classified yet: add pictures, choose knowledge and start a job")
        return self.outcome

    def finished(self) -> Outcome | OpenedRun:
        """Return what came out, or the run that is looked at.

        Raises:
            Gone: nothing was classified yet.
            Conflict: it gives a picture several labels.
        """
        return self.opened.alone() if self.opened else self.learnt()

    def changeable(self) -> None:
        """Refuse to change a finished run.

        Raises:
            Conflict: one is looked at.
        """
        if self.opened is not None:
            raise Conflict("a finished run stays as it is: begin a session of your own to classify with other settings")

    def _unique(self, name: str) -> str:
        count = self._names.get(name, 0) + 1
        self._names[name] = count
        if count == 1:
            return name
        path = PurePosixPath(name)
        return self._unique(str(path.with_name(f"{path.stem}-{count}{path.suffix}")))


class Sessions:
    """The sessions of a server, in one temporary folder that only its user can read."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        clear_left_behind()
        self._folder = PrivateFolder()
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def folder(self) -> Path:
        """The private folder of all."""
        return self._folder.path

    def create(self, encoder: str, client: str = "") -> Session:
        """Begin a session; where there are as many as are allowed, in the place of an empty one, see `_make_room`.

        Raises:
            Busy: there are as many as are allowed, of all clients or of this one.
        """
        self.sweep()
        self._make_room(client)
        with self._lock:
            mine = sum(held.client == client for held in self._sessions.values())
            if mine >= self._limits.each(self._limits.sessions):
                raise Busy(f"this address has {mine} sessions already, all that one may have: end one, or try later")
            if len(self._sessions) >= self._limits.sessions:
                raise Busy(f"there are {len(self._sessions)} sessions already: end one, or try again later")
            name = secrets.token_hex(16)
            folder = self.folder / name
            folder.mkdir(mode=0o700)
            made = self._sessions[name] = Session(name, encoder, folder, client)
            return made

    def _make_room(self, client: str) -> None:
        """Where there are too many sessions, end the oldest that holds no picture: the client's own.

        Another's is ended only where it holds at least two more than the client does: who has begun many pushes out
        none of those who have begun few, and keeps none of them out.
        """
        held = list(self._sessions.values())
        counts = Counter(session.client for session in held)
        whose = client
        if counts[client] < self._limits.each(self._limits.sessions):
            if len(held) < self._limits.sessions:
                return
            most, count = counts.most_common(1)[0]
            whose = most if count > counts[client] + 1 else client
        empty = [s for s in held if s.client == whose and not s.units and not s.held and not s.working]
        for oldest in sorted(empty, key=lambda session: session.used)[:1]:
            with suppress(Gone):  # somebody ended it in this moment
                self.drop(oldest.id)

    def get(self, name: str) -> Session:
        """Return a session.

        Raises:
            Gone: there is none of this id.
        """
        found = self._sessions.get(name)
        if found is None:
            raise Gone("no such session: it was ended, or not used for long; begin another")
        found.used = time.monotonic()
        return found

    def drop(self, name: str) -> None:
        """End a session and remove its files, once nobody uses them.

        Raises:
            Gone: there is none of this id.
        """
        with self._lock:
            found = self._sessions.pop(name, None)
        if found is None:
            raise Gone("no such session: it was ended already")
        found.end()

    def sweep(self) -> None:
        """End the sessions that nobody used for long and that nothing works on."""
        oldest = time.monotonic() - self._limits.idle_seconds
        for session in list(self._sessions.values()):
            if session.used < oldest and not session.working:
                with suppress(Gone):
                    self.drop(session.id)

    def close(self) -> None:
        """Remove everything."""
        self._sessions.clear()
        self._folder.remove()
