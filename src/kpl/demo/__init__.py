"""Two hundred real pictures of blood cells, to try KPL without data of one's own.

Source: A. Acevedo, A. Merino, S. Alférez, Á. Molina, L. Boldú, J. Rodellar, "A dataset of microscopic peripheral blood
cell images for development of automatic recognition systems", Data in Brief 30, 105474, 2020 (CC BY 4.0). `CREDITS.md`
beside this module says how they were chosen, and `cells.csv` which picture of the data set each of them is. The encoder
`mini` was trained on other pictures of the same data set, and never on these.
"""

from __future__ import annotations

import csv
from pathlib import Path

from PIL import Image

from kpl.errors import OutputError
from kpl.files import new_folder, write_file
from kpl.progress import Counted

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


def draw_demo(folder: str | Path, progress: Counted | None = None) -> Path:
    """Copy the shipped pictures, as PNG of the same pixels: `folder/pictures`, and their kinds to `folder/truth.csv`.

    Args:
        folder: made if need be; must not hold a demo already.
        progress: called with (pictures copied, all) after each picture.

    Returns:
        The folder of the pictures, which alone tells nothing of the truth.

    Raises:
        OutputError: the demo exists already or cannot be written.
    """
    folder = Path(folder)
    pictures, truth, cells = folder / "pictures", folder / "truth.csv", demo_cells()
    if pictures.exists() or truth.exists():
        raise OutputError(f"cannot copy the demo into {folder}: it holds one already; name another folder or remove it")
    told = "".join(f"{path.stem}.png,{label}\n" for path, label in cells)
    with new_folder(pictures) as work:
        for done, (path, _) in enumerate(cells, start=1):
            with Image.open(path) as picture:
                picture.save(work / f"{path.stem}.png", compress_level=1)
            if progress:
                progress(done, len(cells))
        write_file(folder / "CREDITS.md", (_HERE / "CREDITS.md").read_bytes())
        write_file(truth, f"image,label\n{told}")
    return pictures
