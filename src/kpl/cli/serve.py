"""`kpl serve`: the page in the browser, and the service."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from kpl.cli.terminal import LogFormatter, say
from kpl.errors import InputError


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; another than this machine's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8321,
    model: Annotated[
        list[Path] | None, typer.Option(help="A model of `kpl fit` for one-shot /classify; again for others.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Keep every finished run in this folder.")] = None,
    run: Annotated[
        list[Path] | None, typer.Option(help="A run to look at and correct on the page; again for others.")
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="An encoder that people may choose too: a folder or a .kplenc file; again for others."),
    ] = None,
    knowledge: Annotated[
        list[Path] | None, typer.Option(help="A knowledge file that people may choose too; again for others.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="A file with the token; or set KPL_SERVE_TOKEN. At least 16 characters.")
    ] = None,
    host_name: Annotated[
        list[str] | None, typer.Option(help="A further name by which the server is called; again for others.")
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(help="Path under which a proxy serves the page, such as /kpl; the proxy may leave it out."),
    ] = "",
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(help="Address or network of a proxy whose X-Forwarded-For is believed; again for others."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every request on stderr, without names.")] = False,
) -> None:
    """Open a page in the browser that does what `kpl classify` does, and a service for programs.

    Examples:

      kpl serve

      kpl serve --run run/

      kpl serve --encoder our-clip.kplenc --knowledge our-findings.yaml

      kpl serve --port 9000 --model cells.kpl

      KPL_SERVE_TOKEN=... kpl serve --host 0.0.0.0 --host-name pathology.example.org

      KPL_SERVE_TOKEN=... kpl serve --host-name example.org --root-path /kpl --trusted-proxy 127.0.0.1
    """
    from kpl.server import Options
    from kpl.server import serve as run_server

    options = Options(
        host=host,
        port=port,
        token=_token(token_file),
        host_names=host_name or (),
        models=model or (),
        results=results,
        runs=run or (),
        encoders=encoder or (),
        knowledge=knowledge or (),
        root_path=root_path,
        trusted_proxies=trusted_proxy or (),
    )
    _log_requests(verbose)
    try:
        run_server(options, told=lambda address: say(f"KPL is at {address} (Ctrl-C stops it). Not a medical device."))
    except KeyboardInterrupt:  # the way to stop it, once what was begun is finished
        kept = (
            f"finished runs are in {results}" if results else "nothing of them is kept (--results keeps finished runs)"
        )
        say(f"KPL has stopped, and its sessions with it: {kept}.")


def _log_requests(verbose: bool) -> None:
    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(LogFormatter("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[log])
    if not verbose:
        logging.getLogger("kpl.server").addFilter(lambda record: record.levelno > logging.INFO)


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get("KPL_SERVE_TOKEN") or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the token from {str(file)!r}: write it there as plain text") from error
