"""How often a model calls pictures of its own place foreign, and what of another stain or scanner it notices.

    python benchmarks/new_site.py --json benchmarks/results/new_site.json        (four minutes)

A model of `kpl` learns from half of a ground. Lots of 10 to 300 pictures are then drawn from what it did not see: at
the same place (in the ground's own mix of classes, and in mixes that are anything but), and of the same pictures with
another stain or camera. A lot is called foreign by `kpl.proxies.site`; labels serve to draw mixes and for nothing else.
Grounds: real blood cells and drawn ones read by `mini`, aerial scenes by six published encoders (false alarms only).
Shares are over lots, with their 95 % interval by Wilson's score.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from common import SHARED, parser, print_table, save
from kpl.embeddings import embed_texts
from kpl.encoders import Encoder, load_encoder
from kpl.knowledge import load_knowledge
from kpl.methods import make_method
from kpl.proxies.arrays import Floats
from kpl.proxies.site import Arrivals, sums_by_class
from rendered import DEMO_WORLD, TRAINING_WORLD, WorldSettings, cell_of_class, draw_cell

SEED = 20261129
SIZES = (10, 30, 100, 300)
LOTS = 200
DRAWN = (1200, 480)  # cells learnt from and not
SIDE = 72
KINDS = ("basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil", "platelet")
SAME, MIXED = "the same place", "the same place, classes in other shares"

Picture = NDArray[np.uint8]
Change = Callable[[Picture], Picture]


def dyed(*density: float) -> Change:
    """Another stain: optical densities in red, green and blue light, relative to the picture's own."""
    return lambda a: np.clip(255 * (np.maximum(a, 1) / 255.0) ** np.array(density), 0, 255).astype(np.uint8)


def lit(*gain: float) -> Change:
    """Another lamp, or its white balance."""
    return lambda a: np.clip(a * np.array(gain), 0, 255).astype(np.uint8)


def filtered(by: ImageFilter.Filter) -> Change:
    """Another lens, or a sharpening camera."""
    return lambda a: np.asarray(Image.fromarray(a).filter(by))


def resized(share: float, *, cut: bool) -> Change:
    """A middle part enlarged, or all of it with fewer pixels."""

    def change(a: Picture) -> Picture:
        picture, side = Image.fromarray(a), len(a)
        small = round(side * share)
        edge = (side - small) // 2
        part = picture.crop((edge, edge, edge + small, edge + small)) if cut else picture.resize((small, small))
        return np.asarray(part.resize((side, side)))

    return change


def packed(a: Picture) -> Picture:
    """Saved as a poor JPEG."""
    file = io.BytesIO()
    Image.fromarray(a).save(file, "JPEG", quality=30)
    return np.asarray(Image.open(file))


CHANGES: dict[str, Change] = {
    "stain, 15 % weaker": dyed(0.85, 0.85, 0.85),
    "stain, 25 % stronger": dyed(1.25, 1.25, 1.25),
    "stain, redder": dyed(0.8, 1.15, 1.1),
    "stain, bluer": dyed(1.2, 0.95, 0.85),
    "lamp, warmer": lit(1.0, 0.95, 0.85),
    "lamp, 15 % dimmer": lit(0.85, 0.85, 0.85),
    "camera, softer": filtered(ImageFilter.GaussianBlur(1.5)),
    "camera, sharpened": filtered(ImageFilter.UnsharpMask(2, 150, 0)),
    "camera, half the pixels": resized(0.5, cut=False),
    "camera, 25 % larger": resized(0.8, cut=True),
    "camera, JPEG of quality 30": packed,
}


@dataclass
class Ground:
    """Features and classes learnt from, and of each place those that lots are drawn from."""

    learnt: Floats
    places: dict[str, tuple[Floats, NDArray[np.intp]]]
    texts: list[Floats]
    temperature: float


def unit(stored: NDArray[np.floating[Any]]) -> Floats:
    """Rows of length one in float64."""
    rows = np.asarray(stored, np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def read(folder: Path) -> tuple[list[Picture], NDArray[np.intp]]:
    """Pictures of class folders, and the class of each."""
    found = [(path, c) for c, kind in enumerate(sorted(folder.iterdir())) for path in sorted(kind.iterdir())]
    return [np.asarray(Image.open(path).convert("RGB")) for path, _ in found], np.array([c for _, c in found])


def halves(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows in two halves, by chance."""
    order = np.random.default_rng(SEED).permutation(n)
    return order[: n // 2], order[n // 2 :]


def real_cells(encoder: Encoder, texts: list[Floats]) -> Ground:
    """Half of the training pictures, against the other half and the test pictures as they are and changed."""
    pictures, kinds = read(SHARED / "images" / "pbc_blood_cells" / "train")
    others, other_kinds = read(SHARED / "images" / "pbc_blood_cells" / "test")
    rows = unit(encoder.encode_images(pictures))
    own, rest = halves(len(rows))
    fresh = unit(encoder.encode_images(others))
    places = {SAME: (np.concatenate([rows[rest], fresh]), np.concatenate([kinds[rest], other_kinds]))}
    for name, change in CHANGES.items():
        places[name] = unit(encoder.encode_images([change(each) for each in others])), other_kinds
    return Ground(rows[own], places, texts, 1 / encoder.logit_scale)


def drawn_cells(encoder: Encoder, texts: list[Floats]) -> Ground:
    """Drawn cells, against others of the same world and of another stain, background, magnification and camera."""

    def drawn(count: int, stream: int, world: WorldSettings) -> tuple[Floats, NDArray[np.intp]]:
        pictures = []
        for number in range(count):
            rng = np.random.default_rng([SEED, stream, number])
            pictures.append(draw_cell(cell_of_class(KINDS[number % len(KINDS)], rng), rng, SIDE, world))
        return unit(encoder.encode_images(pictures)), np.arange(count) % len(KINDS)

    places = {
        SAME: drawn(DRAWN[1], 1, TRAINING_WORLD),
        "stain, background, size and camera": drawn(DRAWN[1], 2, DEMO_WORLD),
    }
    return Ground(drawn(DRAWN[0], 0, TRAINING_WORLD)[0], places, texts, 1 / encoder.logit_scale)


def aerial(folder: Path) -> Ground:
    """Half of the scenes against the other half."""
    rows, kinds = unit(np.load(folder / "images.npy")), np.load(folder / "labels.npy")
    own, rest = halves(len(rows))
    return Ground(rows[own], {SAME: (rows[rest], kinds[rest])}, list(unit(np.load(folder / "descriptions.npy"))), 0.01)


def lots(rows: Floats, kinds: NDArray[np.intp], size: int, *, mixed: bool) -> Iterator[Floats]:
    """Draw lots of pictures, in the own mix of classes or in one that is drawn anew for each."""
    rng = np.random.default_rng([SEED, size, mixed])
    for _ in range(LOTS):
        weights = None
        if mixed:
            weights = rng.dirichlet(np.full(kinds.max() + 1, 0.7))[kinds] + 1e-9
            weights /= weights.sum()
        yield rows[rng.choice(len(rows), min(size, len(rows) // 2), replace=False, p=weights)]


def share(alarms: int) -> dict[str, Any]:
    """The share of lots that were called foreign, with its interval."""
    p, z = alarms / LOTS, 1.96
    middle, half = p + z * z / (2 * LOTS), z * np.sqrt(p * (1 - p) / LOTS + (z / (2 * LOTS)) ** 2)
    low, high = ((middle + side * half) / (1 + z * z / LOTS) for side in (-1, 1))
    return {"share": p, "interval": [max(float(low), 0.0), min(float(high), 1.0)]}


def measured(ground: Ground) -> list[dict[str, Any]]:
    """Of each place and size of lot, how many are called foreign and how far they seem."""
    method = make_method("kpl", temperature=ground.temperature).fit(ground.learnt, ground.texts)
    sums = sums_by_class(ground.learnt, method.predict, len(ground.texts))
    known, found = Arrivals(method.moments_, sums), []
    for name, (rows, kinds) in [*ground.places.items(), (MIXED, ground.places[SAME])]:
        for size in SIZES:
            if size > len(rows) // 2:
                continue
            said = []
            for lot in lots(rows, kinds, size, mixed=name == MIXED):
                arrivals = copy(known)
                arrivals.add(lot, method.predict(lot))
                if (moved := arrivals.moved()) is not None:
                    said.append(moved)
            told = share(sum(each.far for each in said))
            median = {key: float(np.median([getattr(each, key) for each in said])) for key in ("shift", "spread")}
            found.append({"place": name, "pictures": size, **told, **median})
    return found


def main() -> None:
    """Measure, print and write."""
    asked = parser(__doc__ or "").parse_args()
    encoder, base = load_encoder("mini"), load_knowledge("blood-cells")
    texts = [np.asarray(rows, np.float64) for rows in embed_texts(base.prompts(), encoder)]
    grounds = {"real cells": real_cells(encoder, texts), "drawn cells": drawn_cells(encoder, texts)}
    for folder in sorted(path for path in (SHARED / "features").iterdir() if path.is_dir()):
        grounds[folder.name] = aerial(folder)
    figures = {name: measured(ground) for name, ground in grounds.items()}
    for name, rows in figures.items():
        lines = [
            [each["place"], str(each["pictures"]), f"{each['share']:.3f}", f"{each['shift']:.2f}"] for each in rows
        ]
        print_table(name, ["place", "pictures", "called foreign", "shift"], lines)
    own = [each for rows in figures.values() for each in rows if each["place"] in (SAME, MIXED)]
    worst = max(own, key=lambda each: float(each["share"]))
    print(f"\nfalse alarms: {np.mean([each['share'] for each in own]):.4f} on average, {worst['share']:.3f} at worst")
    save(asked.json, {"lots": LOTS, "grounds": figures, "worst_false_alarms": worst["share"]})


if __name__ == "__main__":
    main()
