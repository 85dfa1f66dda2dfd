"""`kpl plan`: what would be read, and what left out and why, from headers alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from kpl.cli.options import ENCODER_HELP, KnowledgeOption, chosen_reading, gathers
from kpl.cli.outputs import spare_inputs
from kpl.cli.progress import stages
from kpl.cli.terminal import Console, plain

if TYPE_CHECKING:
    from kpl.images import Asked, Found, Unit

_OF_ONE = re.compile(r"^(a mask) of .+(?=: )")  # masks of many pictures are one line
_COLUMNS = ("unit", "kind", "patient", "read", "window", "plane")
_SLIDE_COLUMNS = ("slide", "pixels", "levels", "µm/px", "read at", "tissue", "tiles")
_SHOWN = 40  # units in the terminal, and reasons: --json has all


@gathers("asked", chosen_reading)
def plan(
    inputs: Annotated[list[str], typer.Argument(metavar="STUDIES...", help="Folders (any depth) or files.")],
    knowledge: KnowledgeOption = None,
    encoder: Annotated[
        str | None, typer.Option(help=f"{ENCODER_HELP} Its picture size is that of a slide's tiles. Default: 'mini'.")
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write the whole plan to this file.")] = None,
    *,
    asked: Asked | None,
) -> None:
    """Say what would be read: units, their pictures, windows, and what is left out and why. Nothing is embedded.

    Examples:

      kpl plan STUDIES/

      kpl plan STUDIES/ --window lung --slices 32 --json plan.json

      kpl plan slides/ --encoder quiltnet --mpp 0.5
    """
    from kpl.files import write_file
    from kpl.images import find_inputs
    from kpl.knowledge import load_knowledge
    from kpl.runs.source import asked_of, card_of

    spare_inputs([json_out], inputs)
    task = None if knowledge is None else load_knowledge(knowledge).task
    with stages() as progress:
        found = find_inputs(inputs, asked_of(task, asked, partial(card_of, encoder), progress))
    _print(found)
    if json_out is not None:
        told = {
            "units": [_told(unit) for unit in found.units],
            "set_aside": [{"id": item.id, "reason": item.reason} for item in found.set_aside],
            "other_files": found.other_files,
        }
        write_file(json_out, json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _told(unit: Unit) -> dict[str, Any]:
    return {
        "unit": unit.id,
        "kind": unit.kind,
        "patient": unit.patient,
        "study": unit.study,
        "series": unit.series,
        "instances": [instance.id for instance in unit.instances],
        "reading": unit.reading,
        "notes": list(unit.notes),
    }


def _print(found: Found) -> None:
    console = Console()
    slides = [unit for unit in found.units if unit.kind == "slide"]
    others = [unit for unit in found.units if unit.kind != "slide" and (unit.reading or unit.notes)]
    for units, columns, row in ((others, _COLUMNS, _row), (slides, _SLIDE_COLUMNS, _slide_row)):
        if units:
            table = Table(*columns)
            for unit in units[:_SHOWN]:
                table.add_row(*(plain(cell) for cell in row(unit)))
            console.print(table)
        if len(units) > _SHOWN:
            console.print(f"... and {len(units) - _SHOWN} more units: --json FILE writes them all", highlight=False)
    kinds = Counter(unit.kind for unit in found.units)
    patients = len({unit.patient for unit in found.units if unit.patient})
    said = ", ".join(
        f"{count} {kind if count == 1 or kind == 'series' else kind + 's'}" for kind, count in kinds.items()
    )
    people = f" of {patients} patient{'s' * (patients != 1)}" if patients else ""
    pictures = f"{len(found.pictures)} picture{'s' * (len(found.pictures) != 1)}"
    console.print(f"{said}{people}: {pictures} to read", highlight=False)
    notes = Counter(note for unit in found.units for note in unit.notes)
    for note, count in notes.most_common(_SHOWN):
        console.print(plain(f"  {count} x {note}", style="yellow"), soft_wrap=True)
    if found.set_aside:
        console.print(f"{len(found.set_aside)} set aside:", style="yellow", highlight=False)
        for reason, count in Counter(_OF_ONE.sub(r"\1", item.reason) for item in found.set_aside).most_common(_SHOWN):
            console.print(plain(f"  {count} x {reason}"), soft_wrap=True)
    if passed := found.other_files:
        console.print(f"{passed} other file{'s' * (passed != 1)} passed over", highlight=False)


def _row(unit: Unit) -> list[str]:
    counted = unit.reading.get("slices") or unit.reading.get("frames") or [len(unit.instances)] * 2
    share = str(counted[0]) if counted[0] == counted[1] else f"{counted[0]} of {counted[1]}"
    window, plane = (str(unit.reading.get(name, "")) for name in ("window", "plane"))
    return [unit.id, unit.kind, (unit.patient or "")[:8], share, window, plane]


def _slide_row(unit: Unit) -> list[str]:
    said = unit.reading
    tiles, grid = said["tiles"]
    return [
        unit.id,
        "{}x{}".format(*said["size"]),
        str(said["levels"]),
        f"{said['mpp']:g}",
        f"{said['read_mpp']:g}",
        f"{said['tissue_share']:.0%}",
        f"{tiles} of {grid}",
    ]
