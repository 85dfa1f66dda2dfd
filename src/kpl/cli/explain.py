"""`kpl explain`: why one picture of a run went to its class, and where in it."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from kpl.cli.multi_label import explain_multi_label
from kpl.cli.outputs import spare_inputs
from kpl.cli.progress import stages
from kpl.cli.terminal import Console, percent, plain, say
from kpl.errors import InputError

if TYPE_CHECKING:
    from kpl.report import Explained, SentenceSaid
    from kpl.runs import SingleLabelRun

_SHOWN = 3  # sentences on each side
_LEGEND = (
    "text share: the sentence's exact part of the text margin. beyond average: the same less that of the average "
    "picture, which tells what this picture in particular shows; the sentences stand in its order. lost without: how "
    "much of the method's own margin, in its own unit, goes when it learns again without the sentence (below zero: the "
    "margin grows). The two often disagree."
)


How = Literal["patches", "hiding", "windows"]


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `kpl classify`.")],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A picture, by its name in predictions.csv.")],
    top: Annotated[
        int, typer.Option(min=0, help="Learn again without each of the loudest sentences on each side; 0 for none.")
    ] = 3,
    where: Annotated[
        Path | None, typer.Option("--map", help="Also draw where in the picture the class is seen: a .png to write.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="With --map: the file of that picture.")] = None,
    how: Annotated[
        How | None,
        typer.Option(
            help="With --map: by what. Patches are the default of an encoder that has them, hiding of others."
        ),
    ] = None,
    window: Annotated[int | None, typer.Option(min=8, help="With --map: slide a window of this many pixels.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="With --map: where the run's encoder is. Default: by its name.")
    ] = None,
) -> None:
    """Explain what a run says of one picture: the sentences, what learning without them does, its neighbours.

    Examples:

      kpl explain run/ cell-0029.png

      kpl explain run/ cell-0029.png --map where.png --picture SCANS/cell-0029.png

      kpl explain run/ field-3.png --map where.png --picture SCANS/field-3.png --window 144
    """
    from kpl.report import explain_picture
    from kpl.runs import SingleLabelRun, open_run

    _check(where, picture, window, how, encoder)
    spare_inputs([where], [run, picture])
    seen = open_run(run)
    if not isinstance(seen, SingleLabelRun):
        explain_multi_label(seen, image, mapped=where is not None)
        return
    with stages() as progress:
        found = explain_picture(seen, image, top=top, progress=progress)
    _print(found)
    if where is None or picture is None:
        return
    _map(seen, found, picture, where, how, window, encoder)


def _map(
    seen: SingleLabelRun,
    found: Explained,
    picture: Path,
    target: Path,
    how: How | None,
    window: int | None,
    encoder: str | None,
) -> None:
    """Write the map, and say what it shows."""
    from kpl.files import write_file
    from kpl.report import map_picture

    with stages() as progress:
        drawn, where = map_picture(
            seen,
            found,
            picture,
            how=how,
            window=window,
            encoder=encoder,
            announce=announce,
            progress=partial(progress, "views"),
        )
    buffer = io.BytesIO()
    drawn.save(buffer, format="PNG")
    write_file(target, buffer.getvalue())
    x, y = where.peak
    say(f"Map of {found.label} by {where.how}: {target}; loudest around pixel {x:.0f}, {y:.0f} from the top left.")
    say("It shows what the text of the class responds to, not what KPL learnt from the pictures.")
    if where.how == "hiding":
        say(
            "Hiding is for pictures of one thing, as the encoder was made for. Of a picture of many, it pointed at the "
            "wrong one more often than not in our tests: give --window, the size of one in pixels."
        )


def _check(where: Path | None, picture: Path | None, window: int | None, how: How | None, encoder: str | None) -> None:
    """Refuse parts of a map without the others, and a name that it cannot have."""
    if (where is None) != (picture is None):
        raise InputError("a map needs both: --map, the file to write, and --picture, the file of that picture")
    if where is None and (window is not None or how is not None or encoder is not None):
        raise InputError("--window, --how and --encoder go with --map: give --map and --picture too")
    if where is not None and where.suffix.lower() != ".png":
        raise InputError(f"--map writes a .png, not {where.suffix!r}: choose another name")


def announce(views: int, seconds: float) -> None:
    """Tell what maps will cost."""
    say(f"The encoder reads {views} views for what is mapped: about {seconds:.0f} s", err=True)


def _print(found: Explained) -> None:
    console = Console()
    told = (
        f"{found.image}: {found.label} {percent(found.confidence)}, then {found.runner_up} "
        f"{percent(found.runner_confidence)}; "
        f"the text alone says {found.text_label}"
    )
    told += f"; {found.unlabelled}" if found.unlabelled else ""
    console.print(plain(told, style="bold"), soft_wrap=True)
    if found.sentences:
        console.print(_table(found))
    if found.not_fitted:
        console.print(plain(f"Nothing was learnt again: {found.not_fitted}"), soft_wrap=True)
    elif found.sentences:
        console.print(_LEGEND, soft_wrap=True)
    for name, near in found.nearest:
        listed = ", ".join(f"{image} ({cosine:.3f})" for image, cosine in near)
        console.print(plain(f"Nearest called {name}: {listed or 'none'}"), soft_wrap=True)


def _table(found: Explained) -> Table:
    margin = "" if found.method_margin is None else f"{found.method_margin:+.4f}"
    table = Table(
        "sentence", "of", title=f"{found.label} against {found.runner_up}", title_justify="left", show_footer=True
    )
    table.columns[0].footer = "the whole margin"
    shares, excess = (sum(getattr(s, part) for s in found.sentences) for part in ("share", "excess"))
    table.add_column("text share", justify="right", footer=f"{shares:+.4f}")
    table.add_column("beyond average", justify="right", footer=f"{excess:+.4f}")
    if found.method_margin is not None:
        table.add_column("lost without", justify="right", footer=margin)
        table.add_column("then called")
    cut = _SHOWN if len(found.sentences) > 2 * _SHOWN + 1 else len(found.sentences)
    for sentence in found.sentences[:cut]:
        table.add_row(*_cells(sentence))
    if between := found.sentences[cut:-_SHOWN]:
        shares, excess = (sum(getattr(s, part) for s in between) for part in ("share", "excess"))
        table.add_row(f"{len(between)} more between", "", f"{shares:+.4f}", f"{excess:+.4f}", style="dim")
        for sentence in found.sentences[-_SHOWN:]:
            table.add_row(*_cells(sentence))
    for name, count, without in found.together:
        words = f"the {count} loudest of {name} at once"
        table.add_row(plain(words), plain(name), "", "", f"{without.effect:+.4f}", plain(without.label), style="dim")
    return table


def _cells(sentence: SentenceSaid) -> tuple[Text, ...]:
    without = sentence.without
    said = (
        plain(sentence.text),
        plain(sentence.class_name),
        plain(f"{sentence.share:+.4f}"),
        plain(f"{sentence.excess:+.4f}"),
    )
    return said if without is None else (*said, plain(f"{without.effect:+.4f}"), plain(without.label))
