"""Two hundred real pictures of blood cells, to try KPL without data of one's own.

Source: A. Acevedo, A. Merino, S. Alférez, Á. Molina, L. Boldú, J. Rodellar, "A dataset of microscopic peripheral blood
cell images for development of automatic recognition systems", Data in Brief 30, 105474, 2020 (CC BY 4.0). `CREDITS.md`
beside this module says how they were chosen, and `cells.csv` which picture of the data set each of them is. The encoder
`mini` was trained on other pictures of the same data set, and never on these.
"""

from __future__ import annotations

import contextlib
import csv
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from kpl.errors import OutputError

__all__ = ["demo_cells", "draw_demo"]

_HERE = Path(__file__).parent


def demo_cells() -> list[tuple[Path, str]]:
    """Return the shipped pictures, JPEG files of about 144 x 144 pixels, each with its kind of cell.

    Example:
        >>> cells = demo_cells()
        >>> len(cells), cells[0][0].name
        (200, 'cell-0001.jpg')
    """
    with (_HERE / "cells.csv").open(encoding="utf-8", newline="") as file:
        return [(_HERE / "pictures" / f"{row['cell']}.jpg", row["label"]) for row in csv.DictReader(file)]


def draw_demo(folder: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """Copy the shipped pictures, as PNG of the same pixels: `folder/pictures`, and their kinds to `folder/truth.csv`.

    Args:
        folder: made if need be; must not hold a demo already.
        progress: called with (pictures copied, all) after each picture.

    Returns:
        The folder of the pictures, which alone tells nothing of the truth.

    Raises:
        OutputError: the demo exists already or cannot be written.
    """
    pictures, truth, cells = folder / "pictures", folder / "truth.csv", demo_cells()
    if pictures.exists() or truth.exists():
        raise OutputError(f"cannot copy the demo into {folder}: it holds one already; name another folder or remove it")
    rows = [("image", "label"), *((f"{path.stem}.png", label) for path, label in cells)]
    try:
        pictures.mkdir(parents=True)
        for done, (path, _) in enumerate(cells, start=1):
            with Image.open(path) as picture:
                picture.save(pictures / f"{path.stem}.png", compress_level=1)
            if progress:
                progress(done, len(cells))
        shutil.copyfile(_HERE / "CREDITS.md", folder / "CREDITS.md")
        with truth.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    except BaseException as error:
        shutil.rmtree(pictures, ignore_errors=True)  # half a demo would stand in the way of the next attempt
        for path in (truth, folder / "CREDITS.md"):
            with contextlib.suppress(OSError):
                path.unlink()
        if not isinstance(error, OSError):
            raise
        raise OutputError(f"cannot write the demo into {folder}: {error.strerror}; choose another folder") from error
    return pictures
