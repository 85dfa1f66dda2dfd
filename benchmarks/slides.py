"""What slides cost: tiles against the same tiles as JPEG files, planning a real slide, and a very large drawn one.

python benchmarks/slides.py --json benchmarks/results/slides.json        (three minutes)

Each part has a process of its own. Processor seconds, so that what else the machine does counts little; the two ways of
reading tiles are taken in turn.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common import SHARED, parser, print_table, save
from kpl.embeddings import embed_pictures
from kpl.encoders import load_encoder
from kpl.errors import PictureError
from kpl.images import Asked, decode_many, find_pictures, load_instance

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for the slides that the tests draw
from tests.images.made_slides import GLASS, PINK, TILE, write_slide

REAL = SHARED / "medical" / "slides" / "CMU-1-Small-Region.svs"
TURNS = 5
CELL, CELLS, LEVELS = 4 * TILE, 98, 8  # a slide of 100 352 pixels a side, in cells of tissue or glass


def _seconds(work: Any, *given: Any, **named: Any) -> float:  # noqa: ANN401 - whatever is measured
    began = time.process_time()
    work(*given, **named)
    return time.process_time() - began


def tiles() -> dict[str, Any]:
    """Processor seconds of reading and encoding the tiles of the real slide, and the same tiles as JPEG files."""
    encoder = load_encoder("mini")
    (unit,) = find_pictures(REAL, Asked(tile=encoder.card.image_size, mpp=0.5)).units
    with tempfile.TemporaryDirectory() as work:
        files = Path(work) / "files"
        files.mkdir()
        for number, instance in enumerate(unit.instances):
            Image.fromarray(np.asarray(load_instance(instance).pixels)).save(files / f"{number:04d}.jpg", quality=90)
        pictures = find_pictures(files).pictures
        taken: dict[str, list[float]] = {"slide": [], "files": []}
        for turn in range(TURNS + 1):
            for name, own in (("slide", unit.instances), ("files", pictures)):
                cost = _seconds(embed_pictures, own, encoder, Path(work) / f"{name}{turn}")
                taken[name] += [cost] if turn else []  # the first warms up
    best = {name: min(each) for name, each in taken.items()}
    return {
        "tiles": len(unit.instances),
        "side": encoder.card.image_size,
        **best,
        "ratio": best["files"] / best["slide"],
    }


def planned() -> dict[str, float]:
    """Processor seconds of `kpl plan` on the real slide, with the start of the command, the best of three."""
    found = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", "from kpl.cli import main; main()", "plan", str(REAL)], check=True, stdout=-3
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"seconds": min(found)}


def large() -> dict[str, Any]:
    """Plan a slide of 100 352 pixels a side and read every tile of its tissue; memory is of planning and reading."""
    there = np.random.default_rng(4).random((CELLS, CELLS)) < 0.02
    plain = {value: np.full((TILE, TILE, 3), PINK if value else GLASS, np.uint8) for value in (False, True)}

    def draw(level: int, column: int, row: int) -> Any:  # noqa: ANN401 - an array
        if TILE << level <= CELL:
            return plain[bool(there[(row * TILE << level) // CELL, (column * TILE << level) // CELL])]
        across, down = (((at * TILE + np.arange(TILE)) << level) // CELL for at in (column, row))
        inside = (down < CELLS)[:, None] & (across < CELLS)[None, :]
        seen = there[np.ix_(np.minimum(down, CELLS - 1), np.minimum(across, CELLS - 1))] & inside
        return np.where(seen[..., None], np.array(PINK, np.uint8), np.array(GLASS, np.uint8))

    with tempfile.TemporaryDirectory() as work:
        side = CELL * CELLS
        path = write_slide(Path(work) / "large.tif", (side, side), draw, levels=LEVELS, jpeg=True)
        told = subprocess.run(
            [sys.executable, __file__, "--read", str(path)], check=True, capture_output=True, text=True
        )
    found = json.loads(told.stdout)
    wanted = {
        (CELL * x + TILE * i, CELL * y + TILE * j) for y, x in np.argwhere(there) for i in range(4) for j in range(4)
    }
    places = Counter((x, y) for x, y, _ in found.pop("places"))
    missing, twice = len(wanted - set(places)), sum(count > 1 for count in places.values())
    return {"side": side, **found, "missing": missing, "twice": twice, "glass": len(set(places) - wanted)}


def read(path: Path) -> dict[str, Any]:
    """Plan a slide and read all its tiles, in this process."""
    planning = time.process_time()
    (unit,) = find_pictures(path, Asked(tile=TILE, mpp=0.5)).units
    planning = time.process_time() - planning
    places, reading = [], time.process_time()
    for instance, pixels in decode_many(unit.instances):
        if not isinstance(pixels, PictureError):
            places.append(instance.place)
    reading = time.process_time() - reading
    status = Path("/proc/self/status").read_text(encoding="ascii")  # of this process alone, on Linux
    most = int(status.partition("VmHWM:")[2].split()[0]) / 2**20
    return {"tiles": len(places), "plan": planning, "read": reading, "peak_gb": most, "places": places}


def main() -> None:
    """Measure, print and write."""
    options = parser(__doc__ or "")
    options.add_argument("--read", type=Path, help="read this slide, and say what it took as JSON")
    asked = options.parse_args()
    if asked.read:
        print(json.dumps(read(asked.read)))
        return
    figures = {"tiles": tiles(), "plan": planned(), "large": large()}
    for name, own in figures.items():
        print_table(name, ["what", "figure"], [[key, f"{value:.4g}"] for key, value in own.items()])
    save(asked.json, figures)


if __name__ == "__main__":
    main()
