"""The private temporary folder of a server, and the folders that killed servers left behind."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_PREFIX = "kpl-serve-"
_LOCK = "lock"


class PrivateFolder:
    """A folder that only its user can read, with a lock that the system lets go when the process ends, however it ends.

    Attributes:
        path: of the folder, in the temporary folder of the system.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))  # made for the user alone, 0700
        self._lock: int | None = None
        if sys.platform != "win32":
            fresh = self.path / f"{_LOCK}.new"
            held = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fresh.rename(self.path / _LOCK)  # only now: nobody ever sees the lock while it is not held
                self._lock = held
            except OSError:  # a file system without locks: such a folder is never cleared by another server
                os.close(held)

    def remove(self) -> None:
        """Remove the folder with all that it holds, and let the lock go."""
        _remove(self.path)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def clear_left_behind() -> None:
    """Remove the folders of this user's servers that were killed: those with a lock that nobody holds.

    Links, folders of other users and folders without a lock are left alone. On Windows nothing is done.
    """
    if sys.platform == "win32":
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # gone in this moment, held, or not ours to touch
            about = folder.lstat()
            if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    with suppress(OSError):
        for inner in list(folder.iterdir()):
            if inner.is_dir() and not inner.is_symlink():
                shutil.rmtree(inner, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # the lock last: what is removed half can be found again
