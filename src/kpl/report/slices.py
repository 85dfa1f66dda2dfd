"""A unit of several pictures in the report: a class over its slices or frames, and its key instance with neighbours.

A slide is shown whole, as a small picture, with what its tiles say of a class drawn over it, and the loudest tiles.
"""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from kpl.embeddings.layout import StoredUnit
from kpl.errors import FeaturesError
from kpl.report.layout import Sprite
from kpl.runs import Run
from kpl.runs.tables import read_columns
from kpl.runs.thumbnails import SLIDE
from kpl.runs.units import INSTANCES_FILE

_WIDTH, _HEIGHT = 300.0, 60.0
_NAMES = {"series": "slice", "volume": "slice", "clip": "frame", "slide": "tile"}
_SIDE = 112.0  # of a picture in the page
_CELLS = 96  # of the map's longer side, at most
_HEAT = (213, 94, 0)


class Slices:
    """Tells of the units of a run, from its `instances.csv`.

    Args:
        run: any run; of one in which every picture stands for itself there is nothing to tell.

    Raises:
        FeaturesError: the table is missing or damaged.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._chances: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        self._others: tuple[str, ...] = ()
        self._places: dict[str, list[tuple[int, int]]] = defaultdict(list)
        if run.key_rows is None:
            return
        path = run.path / INSTANCES_FILE
        try:
            units, *chances = read_columns(path, ("unit", *(f"p_{key}" for key in run.keys)))
            if any(unit.kind == "slide" for unit in run.features.of_units.listed):
                for unit, x, y in zip(*read_columns(path, ("unit", "x", "y")), strict=True):
                    if x and y:
                        self._places[unit].append((int(x), int(y)))
            if not run.summary.get("multi_label"):
                (self._others,) = read_columns(run.predictions_file, (f"by_{run.pooling.other}",))
        except (OSError, ValueError) as error:
            raise FeaturesError(f"{str(path)!r} is not the table of this run: classify again") from error
        for unit, *own in zip(units, *chances, strict=True):
            self._chances[unit].append(tuple(own))

    def __call__(self, row: int, class_index: int, sprite: Sprite) -> dict[str, Any] | None:
        """Tell of one unit; None for one of a single picture.

        Args:
            row: of the unit.
            class_index: whose probability is drawn over the instances.
            sprite: takes the pictures of the neighbours.
        """
        units, keys = self.run.features.of_units, self.run.key_rows
        size = units.sizes[row]
        slide = units.listed[row].kind == "slide"
        if (size < 2 and not slide) or keys is None:
            return None
        chances = [float(own[class_index]) for own in self._chances[units.ids[row]]]
        if len(chances) != size:
            raise FeaturesError(f"{str(self.run.path)!r}: instances and features differ: classify again")
        names = dict(zip(self.run.keys, self.run.class_names, strict=True))
        first = sum(units.sizes[:row])
        key = keys[row] - first
        kind = units.listed[row].kind
        shown = self.run.pooling.shown(row, key, np.array(chances))
        points = [(_WIDTH * at / max(size - 1, 1), _HEIGHT * (1 - chance)) for at, chance in enumerate(chances)]
        return {
            "kind": kind,
            "each": _NAMES.get(kind, "picture"),
            "size": size,
            "key": key + 1,
            "own": chances[key] == max(chances),
            "instance": self.run.features.ids[keys[row]],
            "points": " ".join(f"{x:.1f},{y:.1f}" for x, y in points),
            "at": tuple(f"{each:.1f}" for each in points[key]),
            "lowest": min(chances),
            "highest": max(chances),
            "picture": sprite(row),
            "read": how_read(units.listed[row]),
            "shown": [sprite(row, None if at == key else str(at)) for at in shown],
            "map": self._map(row, chances, shown, sprite) if slide else None,
            "pool": self.run.pooling.pool,
            "other": self.run.pooling.other,
            "by_other": names.get(self._others[row]) if self._others else None,
        }

    def _map(self, row: int, chances: list[float], shown: Sequence[int], sprite: Sprite) -> dict[str, Any] | None:
        """Lay what the tiles of a slide say over its picture; None where that was not kept, or their places not."""
        unit = self.run.features.of_units.listed[row]
        picture, over = sprite(row, SLIDE), over_slide(unit.reading, self._places[unit.id], chances, shown)
        return None if picture is None or over is None else {"picture": picture, **over}


def over_slide(
    reading: Mapping[str, Any], places: Sequence[tuple[int, int]], chances: Sequence[float], shown: Sequence[int]
) -> dict[str, Any] | None:
    """Draw what the tiles of a slide say, to lie over its picture in a square of 112 units.

    Args:
        reading: how the slide is read, as its unit tells.
        places: (x, y) of the tiles, in pixels of the finest level.
        chances: what each says of a class.
        shown: numbers of the tiles that get a frame.

    Returns:
        The `heat` as a data URI with its `box` (left, top, width, height), and the frames, `tiles` (left, top, side);
        None where the places of the tiles are not known.
    """
    if len(places) != len(chances) or "tile" not in reading:
        return None
    (width, height), span = reading["size"], reading["tile"] * reading["read_mpp"] / reading["mpp"]
    cells = np.array([(round(y / span), round(x / span)) for x, y in places])
    rows, columns = -(-height // span), -(-width // span)
    factor = max(1, -(-int(max(rows, columns)) // _CELLS))
    heat = np.zeros((int(-(-rows // factor)), int(-(-columns // factor))))
    there = np.zeros(heat.shape, np.bool_)
    at = tuple(cells.T // factor)
    np.maximum.at(heat, at, chances)
    there[at] = True
    alpha = np.where(there, 30 + 190 * heat, 0)
    drawn = np.concatenate([np.broadcast_to(np.array(_HEAT), (*heat.shape, 3)), alpha[..., None]], axis=2)
    buffer = io.BytesIO()
    Image.fromarray(drawn.astype(np.uint8)).save(buffer, format="PNG", optimize=True)
    scale = _SIDE / max(width, height)
    left, top, step = (_SIDE - width * scale) / 2, (_SIDE - height * scale) / 2, span * scale
    return {
        "heat": "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"),
        "box": _rounded(left, top, heat.shape[1] * factor * step, heat.shape[0] * factor * step),
        "tiles": [_rounded(left + places[i][0] * scale, top + places[i][1] * scale, step) for i in shown],
    }


def how_read(unit: StoredUnit) -> str:
    """Say with what window a unit was read, or at what scale, and whose it is by pseudonym; empty where nothing is."""
    window, mpp = unit.reading.get("window"), unit.reading.get("read_mpp")
    told = ["in colour" if window == "colour" else f"window {window}"] if window else []
    told += [f"{mpp:g} microns a pixel"] if mpp else []
    return ", ".join(told + ([f"patient {unit.patient[:8]}"] if unit.patient else []))


def _rounded(*numbers: float) -> tuple[float, ...]:
    return tuple(round(number, 2) for number in numbers)
