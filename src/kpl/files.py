"""The one way to write a file or a folder: beside its place, synced to the disk, and put there in one step.

Whatever ends a process, a name holds the whole old or the whole new content, never a part or a mixture of them. For an
output NAME these may lie beside it while it is written, all hidden:

    .NAME.lock      who writes it now. Held by `flock`, which ends with the process, however it ends; where the file
                    system has no `flock`, the file itself is the lock, and one of a dead process of this host is void
    .NAME.writing   a file on its way
    .NAME.partial   a working folder: what a stopped command goes on from, or the old content on its way out
    .NAME.replaced  the old content for one step, where two names cannot be exchanged; the next lock puts it back

What a dead process left goes when that output is written next; a living one's is not touched. Reading needs no lock.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from kpl.errors import AlreadyThereError, OutputError

if sys.platform != "win32":
    import fcntl

_UNSUPPORTED: Final = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
_PAUSE: Final = 0.05  # seconds between two looks at a lock that is waited for
_LOOKS: Final = 20  # for what the holder says of itself
_HERE: Final = -100  # AT_FDCWD of Linux
_EXCHANGE: Final = 2  # RENAME_EXCHANGE of Linux


class _Held(threading.local):
    """Places that this thread may write: what it locked, and all below."""

    def __init__(self) -> None:
        self.places: set[Path] = set()

    def covers(self, place: Path) -> bool:
        return not self.places.isdisjoint((place, *place.parents))


_held = _Held()


def write_file(path: str | Path, data: bytes | str, *, private: bool = False, shared: bool = False) -> None:
    """Write a file, whole or not at all; text as UTF-8.

    A link is followed, and the permissions of a file that was there are kept. A device or a pipe is written to.
    Nobody but the user may read a new file that is `private`. Several hosts may write a `shared` one at once, each the
    same: no lock, as that of a dead host would be waited for.

    Raises:
        OutputError: the disk is full, permission is missing.
    """
    path, content = Path(path), data.encode() if isinstance(data, str) else data
    with _telling(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(content)
            return
        with nullcontext(path.resolve()) if shared else locked(path, wait=True) as place:
            fresh = _beside(place, f"{token_hex(4)}.writing" if shared else "writing")
            try:
                remove(fresh)
                fresh.touch(0o600 if private else 0o666, exist_ok=False)
                with fresh.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                if place.exists():
                    shutil.copymode(place, fresh)
                os.replace(fresh, place)  # noqa: PTH105 - the atomic one of the two, by its documented name
            except BaseException:
                remove(fresh)
                raise
            _sync(place.parent)


@contextmanager
def locked(path: str | Path, *, wait: bool = False) -> Iterator[Path]:
    """Be the only one that writes an output; decide under this lock what may be replaced. Yields the resolved path.

    What lies below, and what this thread has locked already, is not locked again.

    Args:
        path: the output, a file or a folder, there or not.
        wait: until whoever writes it now is done; else that is an error.

    Raises:
        OutputError: another process or thread writes it, and who; or its folder cannot be written.
    """
    place = Path(path).resolve()
    if _held.covers(place):
        yield place
        return
    lock = _Lock(_beside(place, "lock"))
    with _telling(Path(path)):
        while not lock.take():
            if not wait and (holder := lock.holder()):
                raise OutputError(f"{str(path)!r} is being written by {holder}")
            time.sleep(_PAUSE)
    try:
        _held.places.add(place)
        _restore(place)
        yield place
    finally:
        _held.places.discard(place)
        lock.release()


@contextmanager
def working_folder(path: str | Path, *, keep: Sequence[str] = (), wait: bool = False) -> Iterator[Path]:
    """Lock an output and give a hidden folder beside it to work in; it goes when the block ends.

    Args:
        path: the output. Folders on the way to it are made.
        keep: names in it that the next attempt can go on from: they stay if this one fails; all else that is left goes.
        wait: as for `locked`.

    Raises:
        OutputError: another process writes the output, or something cannot be written.
    """
    path = Path(path)
    with _telling(path):
        _make_way(path.resolve().parent)
        with locked(path, wait=wait) as place:
            work, done = _beside(place, "partial"), False
            _clear(work, keep)
            work.mkdir(exist_ok=True)
            _held.places.add(work)
            try:
                yield work
                done = True
            except AlreadyThereError:  # nothing is gone on with
                done = True
                raise
            finally:
                _held.places.discard(work)
                if done or not any(os.path.lexists(work / name) for name in keep):
                    remove(work)


@contextmanager
def new_folder(path: str | Path, *, keep: Sequence[str] = (), wait: bool = False) -> Iterator[Path]:
    """Give a working folder that takes the place of `path` when the block ends well; arguments as `working_folder`.

    Whether what is there may be replaced is asked before, under `locked(path)`.
    """
    with working_folder(path, keep=keep, wait=wait) as work:
        yield work
        put(work, path)


def make_way(path: str | Path) -> None:
    """Make a folder and those on the way to it, all on the disk."""
    with _telling(Path(path)):
        _make_way(Path(path).resolve())


def put(source: Path, path: str | Path) -> None:
    """Bring a whole file or folder from beside its place into it, synced, in one step.

    Where a folder was, or comes to, it lies at `source` afterwards, for the caller to remove.
    """
    place = Path(path).resolve()
    _sync_tree(source)
    if not os.path.lexists(place) or not (source.is_dir() or place.is_dir()):
        os.replace(source, place)  # noqa: PTH105 - as above
    elif not _exchange(source, place):
        old = _beside(place, "replaced")
        remove(old)
        try:
            os.replace(place, old)  # noqa: PTH105 - as above
            os.replace(source, place)  # noqa: PTH105 - as above
        except BaseException:
            _restore(place)
            raise
        _sync(place.parent)
        remove(old)
    _sync(place.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that it holds, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _beside(place: Path, what: str) -> Path:
    return place.with_name(f".{place.name}.{what}")


def _make_way(folder: Path) -> None:
    if not folder.is_dir():
        _make_way(folder.parent)
        try:
            folder.mkdir(exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
        _sync(folder.parent)


def _clear(work: Path, keep: Sequence[str]) -> None:
    if work.is_dir() and not work.is_symlink():
        for path in work.iterdir():
            if path.name not in keep:
                remove(path)
    else:
        remove(work)


def _restore(place: Path) -> None:
    old = _beside(place, "replaced")
    if os.path.lexists(old) and not os.path.lexists(place):
        os.replace(old, place)  # noqa: PTH105 - as above
    else:
        remove(old)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # another system, or a C library of before 2018
        return False
    if call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk; some file systems take no folders."""
    if path.is_dir() and sys.platform == "win32":
        return
    opened = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(opened)


def _sync_tree(path: Path) -> None:
    if path.is_symlink():
        return
    if path.is_dir():
        for inner in path.iterdir():
            _sync_tree(inner)
    _sync(path)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Say in one line what the system refused."""
    try:
        yield
    except OSError as error:
        told = f"cannot write {str(path)!r}: {error.strerror or error}"
        raise OutputError(f"{told}. Mend that and run the same command again") from error


class _Lock:
    """A lock file; its holder removes it while holding it, and who takes a removed one sees that, and tries again."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._opened: int | None = None
        self._flocks = True

    def take(self) -> bool:
        """Take it if nobody holds it."""
        flags, made = os.O_RDWR | getattr(os, "O_CLOEXEC", 0), True
        try:
            opened = os.open(self.file, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            made = False
            try:
                opened = os.open(self.file, flags)
            except FileNotFoundError:  # let go in this moment
                return self.take()
        try:
            free = self._flock(opened)
            self._flocks = free is not None
            taken = made if free is None else free and self._is_still(opened)
        except BaseException:
            os.close(opened)
            raise
        if not taken:
            os.close(opened)
            return self.take() if free or (free is None and self._void()) else False
        self._opened = opened
        with suppress(OSError):  # on a full disk it is a lock all the same
            os.ftruncate(opened, 0)
            os.write(opened, json.dumps(_oneself()).encode())
        return True

    def release(self) -> None:
        """Let it go."""
        if self._opened is not None:
            if sys.platform == "win32":  # it removes no open file
                os.close(self._opened)
                remove(self.file)
            else:
                remove(self.file)
                os.close(self._opened)
            self._opened = None

    def holder(self) -> str:
        """Say who holds it, and what to do; empty if it was let go meanwhile."""
        who = self._told()
        if not who and not os.path.lexists(self.file):
            return ""
        mend = "wait for it, or give another place"
        if not who:
            return f"another process: {mend}" + ("" if self._flocks else f"; if none does, remove {str(self.file)!r}")
        if not self._flocks:
            mend += f"; if that process is gone, remove {str(self.file)!r}"
        return f"{who['command']} (process {who['process']} on {who['host']}, since {who['since']}): {mend}"

    def _told(self) -> dict[str, Any]:
        for _ in range(_LOOKS):  # one who has just taken it writes that in a moment
            try:
                told = json.loads(self.file.read_bytes())
                if isinstance(told, dict) and told.keys() >= _oneself().keys():
                    return told
            except FileNotFoundError:
                break
            except (OSError, ValueError):
                pass
            time.sleep(_PAUSE)
        return {}

    def _flock(self, opened: int) -> bool | None:
        """Lock an open file; None where that cannot be done."""
        if sys.platform == "win32":
            return None
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return None
            raise
        return True

    def _is_still(self, opened: int) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(opened), self.file.stat())
        return False

    def _void(self) -> bool:
        """Remove it if its process was one of this host and is dead; say whether it is worth another try."""
        told = self._told()
        if not told or told["host"] != socket.gethostname() or _lives(told["process"]):
            return not os.path.lexists(self.file)
        aside = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        with suppress(OSError):
            os.rename(self.file, aside)  # noqa: PTH104 - of two who find it void, one gets it
            if json.loads(aside.read_bytes()) != told:
                os.link(aside, self.file)  # it was another's already, and lives
            aside.unlink()
        return True


def _oneself() -> dict[str, Any]:
    program = Path(sys.argv[0] or "python")
    name = program.parent.name if program.stem == "__main__" else program.stem
    command, since = " ".join([name, *filter(str.isalpha, sys.argv[1:2])]), time.strftime("%Y-%m-%d %H:%M:%S")
    return {"command": command, "process": os.getpid(), "host": socket.gethostname(), "since": since}


def _lives(process: int) -> bool:
    try:
        if sys.platform != "win32":  # there, asking ends it
            os.kill(process, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True
