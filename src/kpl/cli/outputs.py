"""Files that a command writes because it was asked to: never in the place of what it reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from kpl.cli.terminal import say
from kpl.errors import OutputError


def spare_inputs(outputs: Iterable[Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Refuse to write a file over an input, or over a file that lies in an input folder; before any work is done.

    An earlier output elsewhere is replaced, and so is one in a run folder beside the run's own files.

    Args:
        outputs: what will be written; None for what will not.
        inputs: files and folders that are read; None, or a name that is no path, reads none.

    Raises:
        OutputError: an output is, or is in, an input.
    """
    from kpl.runs.folder import RUN_FILES

    read = [place.resolve() for place in (Path(place) for place in inputs if place is not None) if place.exists()]
    for output in outputs:
        if output is None or not output.exists():
            continue
        whole = output.resolve()
        for place in read:
            beside = whole.parent == place and (place / "run.json").is_file() and whole.name not in RUN_FILES
            if whole == place or (place in whole.parents and not beside):
                raise OutputError(f"{str(output)!r} is what the command reads: choose another file to write")


def write_figures(path: Path | None, told: object, *, indent: int | None = 2, in_ascii: bool = True) -> None:
    """Write as JSON what a command found, if that was asked for, and say so."""
    from kpl.files import write_file

    if path is not None:
        text = json.dumps(told, indent=indent, ensure_ascii=in_ascii) + "\n"
        write_file(path, text.encode("utf-8", errors="replace"))
        say(f"Figures written to {path}")
