"""Where the tissue of a slide lies: by its colour, and as outlines that give the same again."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.images.made_slides import GLASS, PINK, blocks, of_picture, write_slide

from kpl.errors import PictureError
from kpl.images.slide_files import looks_like_slide, tiff_pages
from kpl.images.tissue import Mask, as_geojson, drawn, find_tissue, otsu, outlines, read_geojson


@given(arrays(np.uint8, st.integers(2, 60)))
def test_otsu_divides_where_the_two_parts_differ_most(values: np.ndarray) -> None:
    def between(threshold: int) -> float:
        low, high = values[values <= threshold], values[values > threshold]
        return len(low) * len(high) * (high.mean() - low.mean()) ** 2 if len(low) and len(high) else 0.0

    assert between(otsu(values)) == pytest.approx(max(map(between, range(256))))


@given(arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))), st.sampled_from([1.0, 3.7, 16.0]))
def test_outlines_give_the_same_mask_again(there: np.ndarray, scale: float) -> None:
    polygons = outlines(Mask(there, scale))
    assert (drawn(polygons, there.shape, scale).there == there).all()
    assert json.loads(as_geojson(polygons))["type"] == "FeatureCollection"


def test_specks_are_no_tissue_and_holes_of_their_size_are() -> None:
    picture = np.full((60, 60, 3), GLASS, np.uint8)
    picture[20:40, 20:40] = PINK
    picture[28:31, 28:31] = GLASS
    picture[5:8, 5:8] = PINK
    picture[50:56, 2:58] = (2, 6, 3)  # the edge of the glass: black, and its colour is noise
    mask = find_tissue(picture, 1.0, 12.0)
    assert mask.there[20:40, 20:40].sum() >= 20 * 20 - 8  # but for its corners
    assert mask.there.sum() == mask.there[20:40, 20:40].sum()


def test_a_picture_that_is_all_tissue_is_all_tissue() -> None:
    shades = np.random.default_rng(1).uniform(0.75, 1.0, (50, 50, 1))
    assert find_tissue((np.array(PINK) * shades).astype(np.uint8), 1.0, 5.0).there.all()
    assert not find_tissue((np.array(GLASS) * shades).astype(np.uint8), 1.0, 5.0).there.any()


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        ("no JSON", "is none: export polygons"),
        ('{"type": "Feature"}', "is none: export polygons"),
        ('{"type": "FeatureCollection", "features": []}', "has no polygon"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [NaN, 0], [9, 9]]]}', "reaches beyond"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [130, 0], [9, 9]]]}', "reaches beyond its 100 x 50 pixels"),
        ("[" * 100_000, "is none: export polygons"),
    ],
)
def test_what_is_no_outline_of_this_slide_is_one_line(tmp_path: Path, held: str, reason: str) -> None:
    (tmp_path / "a.geojson").write_text(held)
    with pytest.raises(PictureError, match=reason):
        read_geojson(tmp_path / "a.geojson", (100, 50))


def test_all_forms_of_polygons_are_read(tmp_path: Path) -> None:
    ring = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
    hole = [[2, 2], [4, 2], [4, 4], [2, 4], [2, 2]]
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}
    geometry = {"type": "MultiPolygon", "coordinates": [[ring, hole], [[[x + 20, y] for x, y in ring]]]}
    (tmp_path / "a.json").write_text(json.dumps([{"type": "Feature", "geometry": geometry}, point]))
    mask = drawn(read_geojson(tmp_path / "a.json", (40, 20)), (20, 40), 1.0).there
    assert (mask.sum(), mask[:, :20].sum(), mask[3, 3], mask[5, 5]) == (196, 96, False, True)


def test_a_picture_in_tiles_without_levels_is_no_slide(tmp_path: Path) -> None:
    draw = of_picture(blocks(np.eye(2, dtype=np.bool_), 256))
    kinds = {"one": {"levels": 1}, "levels": {"levels": 2}, "marked": {"levels": 1, "text": b"Aperio Image Library"}}
    seen = {}
    for name, how in kinds.items():
        with write_slide(tmp_path / name, (512, 512), draw, **how).open("rb") as file:
            seen[name] = looks_like_slide(tiff_pages(file))
    assert seen == {"one": False, "levels": True, "marked": True}


def test_damaged_directories_end_the_list_of_pages(tmp_path: Path) -> None:
    plain = of_picture(blocks(np.eye(2, dtype=np.bool_), 256))
    data = bytearray(write_slide(tmp_path / "a", (512, 512), plain, levels=2).read_bytes())
    first = int.from_bytes(data[8:16], "little")
    size = 8 + 20 * int.from_bytes(data[first : first + 8], "little") + 8
    second = int.from_bytes(data[first + size - 8 : first + size], "little")
    places = [*range(16), *range(first, first + size), *range(second, len(data))]
    rng, seen = np.random.default_rng(5), set()
    for _ in range(2000):
        hurt = rng.choice(places, 4)
        before = [data[at] for at in hurt]
        for at in hurt:
            data[at] = rng.choice([0, 1, 127, 255, rng.integers(256)])
        pages = tiff_pages(io.BytesIO(data))
        seen.add((len(pages), looks_like_slide(pages)))
        for at, byte in zip(hurt, before, strict=True):
            data[at] = byte
    assert {(0, False), (1, False), (2, True)} <= seen
