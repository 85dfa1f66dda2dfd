"""What a report costs, and whether the map of a picture points at what it should.

A run of 1000 drawn cells: seconds and megabytes of its report. Scenes of nine drawn cells: how often the map's peak is
on the cell that was asked for, beside wrong classes, guessing and the middle of the picture.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common import parser, print_table, save
from kpl.embeddings import embed_texts
from kpl.encoders import load_encoder
from kpl.knowledge import load_knowledge
from kpl.proxies.arrays import unit_rows
from kpl.report import Where, occlusion_map, window_map, write_report
from kpl.runs import classify
from rendered import cell_of_class, draw_cell

TILE = 144
CELLS = ("basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil", "platelet")
PLACES = (0, 1, 2, 3, 5, 6, 7, 8)


def main() -> None:
    """Measure and print."""
    made = parser(__doc__ or "")
    made.add_argument("--pictures", type=int, default=1000)
    made.add_argument("--scenes", type=int, default=400)
    args = made.parse_args()
    figures: dict[str, Any] = {"report": report(args.pictures), "map": pointing(args.scenes)}
    for name, own in figures.items():
        print_table(name, list(own), [[str(value) for value in own.values()]])
    save(args.json, figures)


def report(count: int) -> dict[str, float]:
    """Time a report with and without labels."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (pictures := place / "pictures").mkdir()
        rows = ["image,label"]
        for number in range(count):
            rng, key = np.random.default_rng([21, number]), CELLS[number % len(CELLS)]
            Image.fromarray(draw_cell(cell_of_class(key, rng), rng)).save(pictures / f"{number:04d}.png")
            rows.append(f"{number:04d}.png,{key}")
        (place / "truth.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        classify(pictures, knowledge="blood-cells", out=place / "run")
        figures: dict[str, float] = {"pictures": count}
        for name, labels in (("plain", None), ("labels", place / "truth.csv")):
            began = time.perf_counter()
            written = write_report(place / "run", labels=labels)
            figures[f"{name}_seconds"] = round(time.perf_counter() - began, 2)
            figures[f"{name}_megabytes"] = round(written.stat().st_size / 1e6, 2)
        figures["thumbnails_megabytes"] = round((place / "run" / "thumbnails.safetensors").stat().st_size / 1e6, 2)
    return figures


def scene(seed: int) -> tuple[NDArray[np.uint8], str, int]:
    """Draw nine cells in a square of tiles: the one asked for is not in the middle, the others are of other classes."""
    rng = np.random.default_rng([20, seed])
    target = CELLS[seed % len(CELLS)]
    place = PLACES[int(rng.integers(len(PLACES)))]
    others = [key for key in CELLS if key != target]
    picture = np.zeros((3 * TILE, 3 * TILE, 3), np.uint8)
    for number in range(9):
        key = target if number == place else others[int(rng.integers(len(others)))]
        y, x = divmod(number, 3)
        picture[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE] = draw_cell(cell_of_class(key, rng), rng)
    return picture, target, place


def points_at(where: Where, place: int) -> bool:
    """Say whether a map's peak is on a tile of a scene."""
    return (int(where.peak[1] // TILE), int(where.peak[0] // TILE)) == divmod(place, 3)


def pointing(scenes: int) -> dict[str, float]:
    """Play the pointing game with windows and with occlusion."""
    encoder, base = load_encoder("mini"), load_knowledge("blood-cells")
    means = [rows.mean(axis=0, dtype=np.float64) for rows in embed_texts(base.prompts(), encoder)]
    proxies = unit_rows(np.stack(means))
    keys = [entry.key for entry in base.classes]
    hits: dict[str, list[bool]] = {"windows": [], "windows_wrong_class": [], "occlusion": []}
    for seed in range(scenes):
        picture, target, place = scene(seed)
        own = keys.index(target)
        wrong = (own + 1 + seed % (len(keys) - 1)) % len(keys)
        maps = {
            "windows": window_map(picture, encoder, proxies, own, window=TILE),
            "windows_wrong_class": window_map(picture, encoder, proxies, wrong, window=TILE),
            "occlusion": occlusion_map(picture, encoder, proxies, own, grid=9),
        }
        for name, where in maps.items():
            hits[name].append(points_at(where, place))
    shares = {name: round(float(np.mean(found)), 3) for name, found in hits.items()}
    return {"scenes": scenes, **shares, "chance": round(1 / 9, 3), "middle": 0.0}


if __name__ == "__main__":
    main()
