"""Do something with the network forbidden, and know whether it was asked for."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from kpl.errors import EncoderError

_LOCAL: Final = getattr(socket, "AF_UNIX", None)  # between processes of this machine: no network
_ASKED_NICELY: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


@contextmanager
def network_forbidden() -> Iterator[None]:
    """Refuse every connection and every look-up of a host name of this process while the block runs.

    A library that asks and swallows the refusal is found out too: the block fails when it ends.

    Raises:
        EncoderError: a connection was tried.
    """
    tried: list[str] = []

    def refuse(address: object, *_: object, **__: object) -> Any:  # noqa: ANN401 - stands for several functions
        tried.append(" ".join(map(str, address)) if isinstance(address, tuple) else str(address))
        raise OSError(f"the network is forbidden here, and {tried[-1]} was asked for")

    def refusing(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, address: object) -> Any:  # noqa: ANN401 - as the original
            return original(self, address) if self.family == _LOCAL else refuse(address)

        return connect

    names = ("connect", "connect_ex")
    before = {name: getattr(socket.socket, name) for name in names}
    look_up = socket.getaddrinfo
    environment = {name: os.environ.get(name) for name in _ASKED_NICELY}
    os.environ.update(_ASKED_NICELY)
    for name in names:
        setattr(socket.socket, name, refusing(before[name]))
    setattr(socket, "getaddrinfo", refuse)  # noqa: B010 - a type checker knows its signature
    try:
        yield
    except (OSError, EncoderError) as error:
        if not tried:
            raise
        raise EncoderError(_told(tried)) from error
    finally:
        for name in names:
            setattr(socket.socket, name, before[name])
        socket.getaddrinfo = look_up
        for name, value in environment.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    if tried:
        raise EncoderError(_told(tried))


def _told(tried: list[str]) -> str:
    return (
        f"the encoder asked for the network ({', '.join(dict.fromkeys(tried))}), which a machine without internet does "
        "not have: its files are not complete; pull it again"
    )
