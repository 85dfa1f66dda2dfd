"""`kpl`: the commands put together, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import importlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kpl.cli.shown import complain, say
from kpl.errors import AlreadyThereError, KplError
from kpl.visible import visible

__all__ = ["app", "main"]

_INTERRUPTED = 130
_PATIENCE = 5.0  # seconds that a thread gets to end after Ctrl-C
_STOPPED = "stopped. What was finished is kept: the same command goes on from there"


class _Group(TyperGroup):
    """Commands whose refusal of an option quotes it so that it does not steer the terminal."""

    def make_context(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - of a library that typer keeps to itself
        """Read the options before the command."""
        with _quoted():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - the same
        """Read the command's own options and run it."""
        with _quoted():
            return super().invoke(ctx)


@contextmanager
def _quoted() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message"):  # a refusal of the command line, which typer prints by itself
            vars(error)["message"] = visible(vars(error)["message"])
        raise


app = typer.Typer(
    name="kpl",
    cls=_Group,
    help="Classify images without labels: a frozen vision-language model, a knowledge base of descriptions, and "
    "Knowledge Proxy Learning.\n\nNot a medical device.",
    epilog="Start with: kpl demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(version("knowledge-proxy-learning"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version


for _name in (
    "classify",
    "report",
    "explain",
    "embed",
    "fit",
    "update",
    "evaluate",
    "calibrate",
    "demo",
    "serve",
):
    app.command(_name)(getattr(importlib.import_module(f"kpl.cli.{_name}"), _name))
for _name in ("knowledge", "encoders", "methods"):
    app.add_typer(importlib.import_module(f"kpl.cli.{_name}").app, name=_name)


def main() -> None:
    """Run the command line; every `KplError` is one line on stderr and exit code 1, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar or an emoji that the terminal's encoding lacks stops nothing
    try:
        app(prog_name="kpl")
    except AlreadyThereError as there:
        say(str(there))
    except KplError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail(_STOPPED, _INTERRUPTED)
    except SystemExit as leaving:
        if leaving.code == _INTERRUPTED:  # typer turns Ctrl-C into this code without a word
            _fail(_STOPPED, _INTERRUPTED)
        raise
    except OSError as error:
        _fail(f"{error.filename or 'the output'}: {error.strerror or error}", 1)


def _fail(message: str, code: int) -> None:
    complain(message)
    if code == _INTERRUPTED and _threads_are_stuck():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # the interpreter would wait for them
    sys.exit(code)


def _threads_are_stuck() -> bool:
    """Say whether a thread is left that does not end: Ctrl-C can leave a lock taken that it waits for."""
    others = [t for t in threading.enumerate() if t is not threading.current_thread() and not t.daemon]
    for thread in others:
        thread.join(timeout=_PATIENCE)
    return any(thread.is_alive() for thread in others)
