"""`kpl knowledge review`: accept, edit or reject every sentence, one keypress each."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from kpl.cli.options import own_name
from kpl.cli.terminal import Console, plain, say
from kpl.errors import InputError, KnowledgeError
from kpl.knowledge.reviewing import Review, Turn
from kpl.visible import visible

try:
    import readline
except ImportError:  # Windows has none: the sentence is typed anew there
    readline = None  # type: ignore[assignment]

_KEYS = "a accept · e edit · r reject · u undo · q quit"


def review(
    knowledge: Annotated[Path, typer.Argument(metavar="FILE", help="A knowledge file in KPL's own format.")],
    reviewer: Annotated[
        str | None, typer.Option(help="Your name for the record; left out, that of git, or of the user.")
    ] = None,
) -> None:
    """Go through the sentences that nobody has reviewed: accept, edit or reject, one keypress each.

    The file is written after every decision, so you may stop at any time and go on later. What is accepted or edited
    gets your name and the date; what you edit is yours from then on. What is rejected or replaced is kept under
    "rejected", which nothing reads. The sentence for when it is absent is shown too, and goes the same way.

    Example:

      kpl knowledge review my-classes.yaml --reviewer "Dr. A. Example"
    """
    session = Review(knowledge, reviewer or own_name(), datetime.datetime.now().astimezone().date().isoformat())
    if session.total and not sys.stdin.isatty():
        raise InputError("a review needs a terminal: run 'kpl knowledge review' in one")
    if session.total:
        say(f"Reviewed by {session.reviewer}{'' if reviewer else ' (--reviewer gives another name)'}")
    while (turn := session.turn) is not None:
        _show(session, turn)
        try:
            if not _answer(session, turn):
                break
        except KnowledgeError as error:
            say(f"  {error}")
    counts = ", ".join(f"{count} {kind}" for kind, count in session.counts().items())
    say(f"{knowledge}: {counts}, {session.total - session.done} left; reviewed by {session.reviewer}")
    if session.unshown:
        say(f"not shown: {session.unshown} absent sentences of what was reviewed before; if they are newer, read them")


def _show(session: Review, turn: Turn) -> None:
    head = Text.assemble((f"\n[{session.done + 1} of {session.total}] ", "dim"), (visible(turn.class_name), "bold"))
    against = f"  (against {turn.description.against})" if turn.description.against else ""
    lines = [head, plain(f"  {turn.description.text}{against}")]
    if turn.absent:
        lines.append(plain(f"  when it is absent: {turn.absent}"))
    if (known := turn.description.provenance) and (stated := [known.author, known.written, known.source]):
        lines.append(plain("  " + " · ".join(str(each) for each in stated if each), style="dim"))
    Console().print(*lines, plain(f"  {_KEYS}", style="dim"), sep="\n")


def _answer(session: Review, turn: Turn) -> bool:
    """Take one keypress; tell whether to go on."""
    try:
        key = typer.getchar().lower()
    except EOFError:
        return False
    match key:
        case "a":
            session.accept()
            say("  accepted")
        case "e":
            if (text := _edited(turn.description.text)) is None:
                say("  as it was")
            else:
                session.edit(text)
                say("  edited")
        case "r":
            session.reject()
            say("  rejected")
        case "u":
            say("  taken back" if session.undo() else "  nothing to take back")
        case "q" | "\x1b" | "\x04":
            return False
        case _:
            say(f"  {_KEYS}")
    return True


def _edited(text: str) -> str | None:
    """Let the reviewer change a sentence in its line; None where nothing was changed, or Ctrl-C or Ctrl-D pressed."""
    if readline is not None:
        readline.set_startup_hook(lambda: readline.insert_text(visible(text)))
    try:
        new = " ".join(input("  new text: ").split())
    except (EOFError, KeyboardInterrupt):
        say("")
        return None
    finally:
        if readline is not None:
            readline.set_startup_hook(None)
    return new if new not in ("", text) else None
