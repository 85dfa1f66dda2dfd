"""Why the service says no, each with the status that says so over HTTP."""

from __future__ import annotations

import logging
import re

from kpl.errors import InputError, UnknownNameError

_PATH = re.compile(r"(?<![\w.:/\\])(?:/[^\s/'\"]+){2,}|(?<!\w)[A-Za-z]:\\|\\\\\w")
_log = logging.getLogger("kpl.server")


class Refused(InputError):  # noqa: N818 - what its names say is a status, not a failure
    """A request that cannot be done as it stands."""

    status = 422


class Gone(Refused):
    """What is asked for is not there, or not there yet."""

    status = 404


class Conflict(Refused):
    """Something else must end or be done first."""

    status = 409


class TooLarge(Refused):
    """More than a limit allows."""

    status = 413


class Busy(Refused):
    """Nothing is wrong with the request; there is too much to do. It may be sent again after `RETRY_SECONDS`."""

    status = 503
    RETRY_SECONDS = 2


def said_to_strangers(error: Exception) -> str:
    """Return what failed in one line, for whoever asked; where it names a path of this machine, only the log has it.

    Example:
        >>> said_to_strangers(InputError("k must be at least 1"))
        'k must be at least 1'
    """
    said = " ".join(str(error).split())
    if isinstance(error, Refused | UnknownNameError) or not _PATH.search(said):  # which repeat what was asked
        return said
    _log.error("%s", said)
    return f"the server failed at files of its own ({type(error).__name__}): its log says more"
