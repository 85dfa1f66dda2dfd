"""`kpl correct`: what people say of a run's pictures, kept beside its predictions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kpl.cli import label_options as scoring
from kpl.cli.options import own_name
from kpl.cli.terminal import Console, percent, plain, print_notes, say, table_of
from kpl.errors import InputError

if TYPE_CHECKING:
    from kpl.curation import Queued
    from kpl.evaluation import Reading
    from kpl.runs import SingleLabelRun

_KEYS = "a right · number another class · n none of these · u unsure · s skip · z undo · q quit"
_LISTED = 20


@scoring.reads_table("group_column", "blank", "uncertain", "none", "readers", "reader_column")
def correct(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `kpl classify`.")],
    *,
    image: Annotated[str | None, typer.Argument(metavar="[IMAGE", help="A picture, by its name.")] = None,
    label: Annotated[
        str | None, typer.Argument(metavar="LABEL]", help="Its class, 'none of these', or 'unsure'.")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="Take the corrections from a table with image and label.")] = None,
    by: Annotated[str | None, typer.Option(help="Who corrects. Default: the name that git knows.")] = None,
    n: Annotated[int | None, typer.Option("--n", min=1, help="Pictures to go through. Default: 20.")] = None,
    queue: Annotated[
        str | None, typer.Option(help="Why: coverage, doubt, disagreement, in turn. Default: coverage.")
    ] = None,
    final: Annotated[bool, typer.Option("--final", help="Settle what readers disagree on.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back your last correction.")] = False,
    list_them: Annotated[
        bool, typer.Option("--list", help="Say who corrected how much, how far they agree, and what is to settle.")
    ] = False,
    reading: Reading,
) -> None:
    """Correct what a run says, picture by picture, at the keyboard, or from a table.

    Corrections lie in RUN/corrections.jsonl with who and when; predictions stay as they are. `kpl learn` learns on
    from them, and `kpl export` writes them in the place of predictions. Several readers do not see each other's.

    Examples:

      kpl correct run/ --by "Dr. A. Example"

      kpl correct run/ cell-0029.png monocyte

      kpl correct run/ --table read-by-b.csv --by B

      kpl correct run/ --list
    """
    from kpl.runs import open_single_label
    from kpl.runs.corrections import add_corrections, read_verdicts
    from kpl.runs.corrections import undo as take_back

    asked = {"IMAGE": image is not None, "--table": table is not None, "--undo": undo, "--list": list_them}
    _check(asked, walks=bool(n or queue), final=final, by=by, columns=reading != type(reading)())
    if (image is None) != (label is None):
        raise InputError(f"say what {image!r} is: a class, 'none of these' or 'unsure'")
    opened = open_single_label(run)
    if list_them:
        _list(opened)
        return
    reader = by or own_name()
    if undo:
        last = take_back(opened, by=reader)
        say(f"Taken back: {last.image} is {last.label} ({last.by})")
        return
    if image is not None and label is not None:
        found = opened.ids[opened.row_of(image)]
        kept = add_corrections(opened, {found: label}, by=reader, final=final)
        say(f"{found}: {next(each.label for each in reversed(kept) if each.image == found)}, says {reader}")
    elif table is not None:
        verdicts, notices = read_verdicts(opened, table, reading=reading)
        add_corrections(opened, verdicts, by=reader, final=final)
        say(f"{len(verdicts)} corrections by {reader} kept in {run}")
        print_notes(Console(), list(notices))
    else:
        _walk(opened, reader, n or 20, scoring.listed(queue) or ["coverage"], final=final)


def _check(asked: dict[str, bool], *, walks: bool, final: bool, by: str | None, columns: bool) -> None:
    """Refuse options that would do nothing together."""
    given = [name for name, there in asked.items() if there]
    if len(given) > 1:
        raise InputError(f"{given[0]} and {given[1]} are two different things: give one of them")
    if given and walks:
        raise InputError(f"--n and --queue are for going through pictures: leave them out with {given[0]}")
    if columns and not asked["--table"]:
        raise InputError("--image-column, --label-column and the like say how a table is read: give --table too")
    if (final or by) and asked["--list"]:
        raise InputError("--list shows all corrections: leave --by and --final out")
    if final and asked["--undo"]:
        raise InputError("--undo takes back whatever was last: leave --final out")


def _walk(run: SingleLabelRun, reader: str, n: int, by: list[str], *, final: bool) -> None:
    from kpl.curation import queue
    from kpl.evaluation import NONE_OF_THESE
    from kpl.runs.corrections import UNSURE, add_corrections, read_corrections
    from kpl.runs.corrections import undo as take_back

    done = {each.image for each in read_corrections(run) if each.by == reader}
    waiting = queue(run, n, by=by, done=done)
    if waiting and not sys.stdin.isatty():
        raise InputError("going through pictures needs a terminal; or give IMAGE and LABEL, or --table")
    say(f"Corrections by {reader}")
    place, made = 0, 0
    while place < len(waiting):
        each = waiting[place]
        _show(run, each, place, len(waiting))
        try:
            key = typer.prompt("", prompt_suffix="  > ", default="", show_default=False).strip().lower()
        except typer.Abort:
            break
        if key == "q":
            break
        if key == "z":
            if made:
                say(f"  taken back: {take_back(run, by=reader).image}")
                place, made = place - 1, made - 1
            else:
                say("  nothing to take back")
            continue
        words = {"a": each.label, "n": NONE_OF_THESE, "u": UNSURE}
        words |= {str(number): key for number, key in enumerate(run.keys, 1)}
        if key == "s":
            waiting.pop(place)
        elif (word := words.get(key)) is None:
            say(f"  {_KEYS}")
        else:
            add_corrections(run, {each.image: word}, by=reader, final=final)
            place, made = place + 1, made + 1
    say(f"{made} corrections kept. Learn on from them: kpl learn {run.path} --out corrected/")


def _show(run: SingleLabelRun, each: Queued, place: int, total: int) -> None:
    said = run.called(each.label) if each.label else "(no label)"
    classes = " · ".join(f"{number} {name}" for number, name in enumerate(run.class_names, 1))
    Console().print(
        plain(f"\n[{place + 1} of {total}] {each.image} ({each.reason})", style="bold"),
        plain(f"  the run says {said} ({percent(each.confidence)}), then {run.called(each.runner_up)}"),
        plain(f"  {classes}"),
        plain(f"  {_KEYS}", style="dim"),
        sep="\n",
    )


def _list(run: SingleLabelRun) -> None:
    from kpl.runs.corrections import agreement, read_corrections, settled

    corrections = read_corrections(run)
    console = Console()
    title = f"{len(corrections)} corrections of {run.n} {run.noun}"
    readers = table_of("reader", title=title, figures=[run.noun, "run was right"])
    for reader in dict.fromkeys(each.by for each in corrections):
        own = [each for each in corrections if each.by == reader]
        right = sum(each.label == each.said for each in own)
        readers.add_row(plain(reader), str(len(own)), f"{right} of {len(own)}")
    console.print(readers)
    found = agreement(corrections)
    for (one, other), (both, kappa) in found.pairs.items():
        told = "-" if kappa is None else f"{kappa:.2f}"
        console.print(plain(f"{one} and {other}: {both} {run.noun} judged by both, Cohen's kappa {told}"))
    agreed, disputed = settled(corrections)
    console.print(f"Settled: {len(agreed)} {run.noun}. To settle: {len(disputed)}", highlight=False)
    for image, words in list(disputed.items())[:_LISTED]:
        console.print(plain(f"  {image}: " + "; ".join(f"{who} says {word}" for who, word in words.items())))
    if disputed:
        say("Settle one: kpl correct RUN IMAGE LABEL --final")
