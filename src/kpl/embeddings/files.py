"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from kpl.errors import OutputError

__all__ = ["sha256_of_file", "write_atomically"]

PARTIAL = ".partial"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a hidden temporary name and rename it; whatever interrupts this leaves the old state.

    Raises:
        OutputError: the disk is full, permission is missing; the temporary file is gone by then.
    """
    partial = path.with_name(f".{path.name}{PARTIAL}")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)  # noqa: PTH105 - the atomic one of the two, by its documented name
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(
                f"cannot write {path.name} in {str(path.parent)!r}: {error.strerror or error}. "
                "Mend that and run the same command again: what was finished is kept"
            ) from error
        raise


def sha256_of_file(path: Path) -> str:
    """Hash a file's content without holding it in memory; hexadecimal SHA-256.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
