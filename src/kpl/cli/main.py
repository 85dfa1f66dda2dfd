"""`kpl`: the commands put together, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import importlib
import io
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from kpl.cli.terminal import complain, say
from kpl.errors import AlreadyThereError, KplError
from kpl.visible import visible

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


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(version("knowledge-proxy-learning"))
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version


_COMMANDS: Final = (
    "plan",
    "classify",
    "report",
    "explain",
    "embed",
    "fit",
    "update",
    "evaluate",
    "calibrate",
    "queue",
    "correct",
    "learn",
    "compare",
    "audit",
    "search",
    "export",
    "demo",
    "serve",
)
_GROUPS: Final = ("knowledge", "encoders", "methods")


def _app(names: Sequence[str] = (*_COMMANDS, *_GROUPS)) -> typer.Typer:
    """Put these commands together; the modules of others are not imported."""
    made = typer.Typer(
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
    made.callback()(_options)
    for name in names:
        module = importlib.import_module(f"kpl.cli.{name}")
        if name in _GROUPS:
            made.add_typer(module.app, name=name)
        else:
            made.command(name)(getattr(module, name))
    return made


def __getattr__(name: str) -> typer.Typer:
    if name == "app":  # all commands, for those who read about them
        globals()["app"] = _app()
        return globals()["app"]  # type: ignore[no-any-return] # put there in the line above
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Run the command line; every `KplError` is one line on stderr and exit code 1, never a traceback."""
    others = frozenset(threading.enumerate())
    try:
        _run()
    except SystemExit as leaving:
        _leave(leaving.code, others)
        raise
    _leave(0, others)


def _run() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar or an emoji that the terminal's encoding lacks stops nothing
    try:
        asked = sys.argv[1:2]
        (_app(asked) if asked and asked[0] in (*_COMMANDS, *_GROUPS) else _app())(prog_name="kpl")
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
    sys.exit(code)


def _leave(code: object, others: frozenset[threading.Thread]) -> None:
    """End the process here if a thread of the command is left that the interpreter must not meet as it ends.

    It would wait for ever for one that Ctrl-C left with a lock taken. And while it takes itself apart it ends threads
    in the background by force, which native code does not survive.
    """
    left = [t for t in threading.enumerate() if t not in others and t is not threading.current_thread()]
    stuck = [thread for thread in left if not thread.daemon and code == _INTERRUPTED]
    for thread in stuck:
        thread.join(timeout=_PATIENCE)
    background = [thread for thread in left if thread.daemon and thread.name.startswith("kpl-")]
    if any(thread.is_alive() for thread in (*stuck, *background)):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(bool(code)))
