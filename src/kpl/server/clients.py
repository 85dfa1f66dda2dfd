"""Whom a request comes from, and how much of what there is one of them may take."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from kpl.errors import InputError
from kpl.server.refusals import Busy

Networks = tuple[IPv4Network | IPv6Network, ...]
_OF_ONE = 64  # bits that all addresses of one IPv6 client have in common: it may choose the others


def read_networks(said: Sequence[str]) -> Networks:
    """Read addresses and networks of proxies.

    Raises:
        InputError: it is neither.

    Example:
        >>> read_networks(["127.0.0.1", "10.1.0.0/16"])
        (IPv4Network('127.0.0.1/32'), IPv4Network('10.1.0.0/16'))
    """
    found = []
    for text in said:
        try:
            found.append(ip_network(text))
        except ValueError as error:
            raise InputError(
                f"the trusted proxy {text!r} is no address and no network: give one such as 127.0.0.1 or 10.1.0.0/16"
            ) from error
    return tuple(found)


def is_proxy(address: str, proxies: Networks) -> bool:
    """Say whether an address is that of a trusted proxy."""
    read = _read(address)
    return read is not None and any(read in network for network in proxies)


def client_of(peer: str, forwarded: Sequence[str] = (), proxies: Networks = ()) -> str:
    """Return whom a request counts for: the nearest address that is no trusted proxy.

    Args:
        peer: address of the other side of the connection.
        forwarded: each `X-Forwarded-For` of the request; only what trusted proxies said in it is believed.
        proxies: trusted.

    Example:
        >>> client_of("127.0.0.1", ["6.6.6.6, 192.0.2.7"], read_networks(["127.0.0.1"]))
        '192.0.2.7'
        >>> client_of("192.0.2.9", ["6.6.6.6"], read_networks(["127.0.0.1"]))
        '192.0.2.9'
    """
    nearest = peer
    for said in reversed([part.strip() for line in forwarded for part in line.split(",")]):
        if not is_proxy(nearest, proxies) or _read(said) is None:
            break
        nearest = said
    read = _read(nearest)
    if isinstance(read, IPv6Address):
        return str(IPv6Network((read, _OF_ONE), strict=False))
    return nearest if read is None else str(read)


def _read(said: str) -> IPv4Address | IPv6Address | None:
    """Read an address, with or without a port; an IPv4 address in IPv6's clothes is one."""
    try:
        try:
            read = ip_address(said)
        except ValueError:
            read = ip_address(urlsplit(f"//{said}").hostname or "")
    except ValueError:
        return None
    return (read.ipv4_mapped or read) if isinstance(read, IPv6Address) else read


class Places:
    """A few places, of which one client may hold only a part.

    Args:
        total: of all.
        each: of one client.
        reason: what is said when there is none.
    """

    def __init__(self, total: int, each: int, reason: str) -> None:
        self._total, self._each, self._reason = total, each, reason
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, client: str) -> Iterator[None]:
        """Hold one place for as long as something takes.

        Raises:
            Busy: all are taken, or all that the client may have.
        """
        with self._lock:
            if self._held.total() >= self._total or self._held[client] >= self._each:
                raise Busy(f"{self._reason}: try again in a moment")
            self._held[client] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[client] -= 1
                self._held += Counter()  # forgets whoever holds none
