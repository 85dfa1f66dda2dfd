"""Starting the server: where it may listen, and what it needs for that."""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kpl.errors import InputError, OutputError, from_extra
from kpl.files import locked, make_way, remove
from kpl.server.clients import read_networks
from kpl.server.jobs import JOB
from kpl.server.limits import Limits

_SHORTEST_TOKEN = 16
_ROOT = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
_OWN = ("api", "classify", "health", "metrics", "openapi.json", "static")  # paths of the service itself


@dataclass(frozen=True)
class Options:
    """How a server is started.

    Attributes:
        host, port: where to listen; port 0 takes a free one.
        token: asked for on every request that touches data.
        host_names: further names by which the server may be called, such as that of a proxy before it.
        models: files of `kpl fit` for `/classify`.
        results: a folder where every finished run is kept.
        runs: finished runs that may be looked at and corrected.
        encoders: by their place, that people may choose besides those that are known by name.
        knowledge: files that people may choose besides the packs.
        root_path: path under which a proxy serves the page, such as "/kpl".
        trusted_proxies: addresses and networks of proxies that may say for whom they ask.
        limits: of what comes in.

    Raises:
        InputError: another address than the loopback without a token, a token that could be guessed, or a path or proxy
            that is none.
    """

    host: str = "127.0.0.1"
    port: int = 8321
    token: str | None = field(default=None, repr=False)
    host_names: Sequence[str] = ()
    models: Sequence[Path] = ()
    results: Path | None = None
    runs: Sequence[Path] = ()
    encoders: Sequence[str] = ()
    knowledge: Sequence[Path] = ()
    root_path: str = ""
    trusted_proxies: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse what would open the server to strangers."""
        if self.token is not None and (len(self.token) < _SHORTEST_TOKEN or not self.token.isascii()):
            raise InputError(
                f"the token has {len(self.token)} characters: use at least {_SHORTEST_TOKEN} random ASCII ones, such "
                "as python -c 'import secrets; print(secrets.token_urlsafe())' makes"
            )
        if self.token is None and not is_loopback(self.host):
            raise InputError(
                f"refusing to listen on {self.host!r} without a token, because others could reach the server: set "
                "KPL_SERVE_TOKEN or give --token-file, or leave --host out"
            )
        if not 0 <= self.port <= 65535:
            raise InputError(f"the port must be from 0 to 65535, got {self.port}")
        if self.root_path and (not _ROOT.fullmatch(self.root_path) or self.root_path.split("/")[1] in _OWN):
            raise InputError(
                f"the root path {self.root_path!r} cannot be served under: give one such as /kpl, of letters, digits, "
                f"'-', '_' and '.', with no slash at its end, that begins with none of {', '.join(_OWN)}"
            )
        read_networks(self.trusted_proxies)

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Every name by which the server may be called."""
        own = {"127.0.0.1", "localhost", "::1", self.host.lower()}
        return frozenset(own | {name.lower() for name in self.host_names})


def is_loopback(host: str) -> bool:
    """Say whether an address can only be reached from this machine.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def serve(options: Options, *, told: Callable[[str], None]) -> None:
    """Serve the page and the service until the process is told to stop (Ctrl-C or SIGTERM).

    Args:
        options: where and how.
        told: called with what to type into a browser once the server listens, and what others may need to reach it.

    Raises:
        MissingExtraError: the extra `serve` is not installed.
        OutputError: the address cannot be listened on.
        KplError: a model cannot be loaded.
    """
    with from_extra("serve", "kpl serve"):
        import fastapi  # noqa: F401 - what the application needs
        import python_multipart  # noqa: F401 - what uploads need
        import uvicorn
    from kpl.server.app import create_app
    from kpl.server.brought import Brought
    from kpl.server.connections import connection_of
    from kpl.server.service import Service

    if options.results is not None:
        make_way(options.results)
        sweep(options.results)
    listening = _listen(options.host, options.port)
    with listening:
        brought = Brought(options.encoders, options.knowledge)
        service = Service(options.limits, options.models, options.results, options.runs, brought)
        proxies = read_networks(options.trusted_proxies)
        app = create_app(
            service, hosts=options.allowed_hosts, token=options.token, root=options.root_path, proxies=proxies
        )
        logging.getLogger("kpl.server").setLevel(logging.INFO)
        config = uvicorn.Config(
            app,
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=False,
            proxy_headers=False,
            http=connection_of(options.limits, proxies, app.state.metrics),
            timeout_keep_alive=5,
            timeout_graceful_shutdown=options.limits.shutdown_seconds,
        )
        host, port = listening.getsockname()[:2]
        told(where_to_look(host, port, options.host_names))
        uvicorn.Server(config).run(sockets=[listening])


def sweep(results: Path) -> None:
    """Remove what a server that was killed left of jobs on their way: no later one gets their names."""
    for path in list(results.glob(".*")):
        job, _, what = path.name[1:].rpartition(".")
        if JOB.fullmatch(job) and what in ("partial", "writing"):
            with suppress(OutputError), locked(results / job):
                remove(path)


def where_to_look(host: str, port: int, names: Sequence[str]) -> str:
    """Say what to type; an address that stands for all of this machine's is none that a browser could be given."""
    literal = f"[{host}]" if ":" in host else host
    if not ipaddress.ip_address(host).is_unspecified:
        return f"http://{literal}:{port}/"
    if names:
        return f"http://{names[0]}:{port}/"
    here = "[::1]" if ":" in host else "127.0.0.1"
    return (
        f"http://{here}:{port}/ on this machine; others are refused until --host-name gives the name or address by "
        "which they call it"
    )


def _listen(host: str, port: int) -> socket.socket:
    made = None
    try:
        kind = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # The protocol is named, because asyncio sets TCP_NODELAY only then, and an answer waits 40 ms without it.
        made = socket.socket(kind[0], socket.SOCK_STREAM, socket.IPPROTO_TCP)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(kind[4])
        made.listen(128)
    except OSError as error:
        if made is not None:
            made.close()
        raise OutputError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; choose another with --port"
        ) from error
    return made
