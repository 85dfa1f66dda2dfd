"""The reader of slides by openslide: tiles of the tissue, from the level of the microns per pixel that were asked for.

A slide is known by what it holds, not by its suffix. Tissue is found on a small picture of it (`kpl.images.tissue`) or
given as GeoJSON. Tiles lie on a grid from the upper left corner of the slide; those at its right and lower edge are
filled up with white. Labels and macro pictures are never read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError, PictureError
from kpl.images.pseudonyms import pseudonym
from kpl.images.records import Asked, Instance, Planned, SetAside, Unit
from kpl.images.shaping import finished
from kpl.images.slide_access import SMALL, Slide, opened, region, small_picture
from kpl.images.slide_files import is_slide_file, looks_like_slide, part_of_slide, pixel_size_of, series_of, tiff_pages
from kpl.images.tissue import Mask, Polygon, drawn, find_tissue, outlines, read_geojson

_MPP: Final = 0.5  # of a lens of 20
_SIDE: Final = 224
_AS_ASKED: Final = 0.05  # a level whose pixels are larger or smaller by less is read as it is
_COARSEST: Final = 2.0  # times the microns per pixel asked for: tiles are not blown up further than this
_PLAUSIBLE: Final = (0.01, 40.0)  # microns per pixel: beyond lie the dots per inch of a printer
_LEAST: Final = 0.02  # of a tile: with less tissue it is not read, and smaller pieces are specks
_FINE: Final = 16  # pixels of the small picture along a tile
_WHOLE: Final = 512  # the same, of the picture that is shown


@dataclass(frozen=True, slots=True)
class SlideReading:
    """How tiles are read: pixels along a side, and what openslide knows the slide by."""

    side: int
    known_by: str
    reader: ClassVar[str] = "slide"


class SlideReader:
    """Slides of pathology: pyramids of tiles."""

    name = "slide"
    title = "slides"
    extra: str | None = "slides"
    module: str | None = "openslide"
    suffixes = frozenset({".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide", ".qptiff", ".btf", ".tif", ".tiff"})

    def probe(self, head: bytes, path: Path) -> bool:
        """Say by what it holds whether a file is a slide; its suffix says nothing of a TIFF."""
        return is_slide_file(head, path)

    def plan(self, files: Sequence[tuple[str, Path]], asked: Asked) -> Planned:
        """Make a unit of every slide that has tissue; of files that are one slide together, one."""
        asked = asked.settled()
        units: list[Unit] = []
        set_aside: list[SetAside] = []
        drawings = _Drawings(asked.tissue)
        slides = _slides_of(files)
        for done, parts in enumerate(slides):
            if asked.progress:
                asked.progress(done, len(slides))
            reason = None
            for name, path in parts:
                try:
                    units.append(_unit(name, path, asked, drawings.of(path)))
                    break
                except PictureError as error:
                    reason = reason or SetAside(name, str(error))
            else:
                set_aside += [reason] if reason else []
        drawings.check()
        return Planned(units, set_aside)

    def pixels(self, instance: Instance, *, shrink_to: int | None, max_pixels: int) -> NDArray[np.uint8]:
        """Read a tile, or of an instance without a place a small picture of the whole slide.

        Raises:
            PictureError: it is damaged, or too large.
        """
        reading, place = instance.reading, instance.place
        if not isinstance(reading, SlideReading):
            raise PictureError("a slide that this reader did not plan")
        if place is None:
            slide = opened(instance.path)
            return small_picture(instance.path, slide, max(1.0, max(slide.sizes[0]) / _WHOLE))[0]
        if reading.side**2 > max_pixels:
            raise PictureError(f"tiles of {reading.side} pixels a side: more than {max_pixels / 10**6:g} megapixels")
        tile = region(instance.path, place, (reading.side, reading.side))
        return finished(tile, lambda _width, _height: None, shrink_to)


class _Drawings:
    """A folder of outlines, one GeoJSON a slide, called by its stem."""

    def __init__(self, folder: Path | None) -> None:
        self.folder, self.used, self.asked = folder, 0, 0
        self.there: dict[str, Path] = {}
        if folder is None:
            return
        if not folder.is_dir():
            raise InputError(f"--tissue: no such folder: {str(folder)!r}. It holds one GeoJSON a slide, by its stem")
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".json", ".geojson"))
        self.there = {path.stem: path for path in found}

    def of(self, slide: Path) -> Path | None:
        """Return the outlines of a slide; None where there are none."""
        found = self.there.get(slide.stem) or self.there.get(slide.name)
        self.asked, self.used = self.asked + 1, self.used + (found is not None)
        return found

    def check(self) -> None:
        """Refuse a folder that is of other slides.

        Raises:
            InputError: none of its files is called as a slide is.
        """
        if self.folder is not None and self.asked and not self.used:
            seen = f"such as {next(iter(self.there.values())).name!r}" if self.there else "none at all"
            raise InputError(
                f"--tissue: no GeoJSON in {str(self.folder)!r} is called by the stem of a slide (it holds {seen}): "
                "the outlines of a.svs are a.geojson"
            )


def _slides_of(files: Sequence[tuple[str, Path]]) -> list[list[tuple[str, Path]]]:
    """Put the files of a DICOM slide together, and leave out the parts of a MIRAX slide."""
    slides: dict[object, list[tuple[str, Path]]] = {}
    for name, path in files:
        if not part_of_slide(path):
            slides.setdefault(series_of(path) or path, []).append((name, path))
    return list(slides.values())


@dataclass(frozen=True)
class _Level:
    """A level as it is read: its number, (width, height), microns per pixel, and pixels of the finest to one of it."""

    number: int
    size: tuple[int, int]
    mpp: float
    downsample: float


def _unit(name: str, path: Path, asked: Asked, drawing: Path | None) -> Unit:
    if path in asked.only:
        raise PictureError("a slide has tiles and no frames: give no frame of it")
    slide, described = opened(path), _described(path)
    finest = _mpp_of(slide, described, asked.slide_mpp)
    level, side, notes = _chosen(slide, finest, asked.mpp or _MPP, asked.tile or _SIDE)
    span = side * level.downsample
    mask, polygons = _whole(slide, span) if asked.everywhere else _tissue(path, slide, span, drawing)
    places = _tiles(mask, level, side)
    if not places:
        raise PictureError("a slide without tissue (glass only, or too pale to be found: outline it with --tissue)")
    if drawing is None and asked.tissue is not None:
        notes.append("no GeoJSON of its name among those of --tissue: its tissue was found")
    _refuse_damaged(path, places, side)
    said = slide.said
    patient = (
        pseudonym("patient", said["dicom.PatientID"], said.get("dicom.IssuerOfPatientID", ""))
        if said.get("dicom.PatientID")
        else None
    )
    how = SlideReading(side, said.get("openslide.quickhash-1", ""))
    instances = tuple(
        Instance(f"{name}#{number:03d}", path, name, patient, reading=how, place=place)
        for number, place in enumerate(places)
    )
    columns, rows = _grid(level, side)
    reading = {
        "size": list(slide.sizes[0]),
        "levels": len(slide.sizes),
        "mpp": round(finest, 4),
        "level": level.number,
        "read_mpp": round(level.mpp, 4),
        "tile": side,
        "tissue": "found by its colour" if drawing is None else "GeoJSON",
        "tissue_share": round(float(mask.there.mean()), 4),
        "tiles": [len(places), columns * rows],
    }
    source = (pseudonym("path", name), None)
    study, series = (said.get(f"dicom.{what}InstanceUID") for what in ("Study", "Series"))
    return Unit(
        name,
        "slide",
        instances,
        patient,
        pseudonym("study", study) if study else None,
        pseudonym("series", series) if series else None,
        (source,) * len(instances),
        tuple(notes),
        reading,
        polygons,
    )


def _refuse_damaged(path: Path, places: list[tuple[int, int, int]], side: int) -> None:
    """Refuse a slide whose level cannot be read, once and not by every tile: its first, middle and last are looked at.

    Raises:
        PictureError: none of them can be read.
    """
    seen = [places[0], places[len(places) // 2], places[-1]]
    for place in seen:
        try:
            region(path, place, (side, side))
        except PictureError:
            if place == seen[-1]:
                raise
        else:
            return


def _described(path: Path) -> float | None:
    """Return the microns per pixel that the directories of a TIFF state beside what openslide reads; None without.

    What has no colours to look at is refused.

    Raises:
        PictureError: it has channels of fluorescence.
    """
    with path.open("rb") as file:
        pages = tiff_pages(file)
    tiled = [page for page in pages if page.tiled]
    if not tiled or not looks_like_slide(pages):
        return None
    largest = max(tiled, key=lambda page: page.width * page.height)
    alike = sum((page.width, page.height) == (largest.width, largest.height) for page in tiled)
    if largest.grey or largest.samples < 3:
        channels = f"{alike} channels" if alike > 1 else "a channel"
        raise PictureError(f"a slide of {channels} of grey (fluorescence), not of colours: export it as RGB to read it")
    return pixel_size_of(largest.text) or pixel_size_of(pages[0].text)


def _mpp_of(slide: Slide, described: float | None, stated: float | None) -> float:
    found = []
    for axis in "xy":
        try:
            found.append(float(slide.said[f"openslide.mpp-{axis}"]))
        except (KeyError, ValueError):
            found.append(0.0)
    mpp = described or sum(found) / 2 * (min(found) > 0)
    if not _PLAUSIBLE[0] <= mpp <= _PLAUSIBLE[1]:
        if stated is not None:
            return stated
        said = f", or says {mpp:.4g}, which no scanner has" if mpp else ""
        raise PictureError(
            f"a slide that does not say its microns per pixel{said} (state them with --slide-mpp 0.25 for a lens of "
            "40, 0.5 for one of 20)"
        )
    return mpp


def _chosen(slide: Slide, finest: float, wanted: float, tile: int) -> tuple[_Level, int, list[str]]:
    """Choose the coarsest level that is not coarser than what was asked for, and how many pixels a tile has there."""
    levels = [
        _Level(number, size, finest * down, down)
        for number, (size, down) in enumerate(zip(slide.sizes, slide.downsamples, strict=True))
    ]
    if finest > wanted * _COARSEST:
        raise PictureError(
            f"a slide whose finest level has {finest:.4g} microns a pixel, too coarse for the {wanted:g} asked for "
            f"(--mpp {finest:.3g} reads it as it is)"
        )
    level = [each for each in levels if each.mpp <= wanted * (1 + _AS_ASKED)][-1:] or levels[:1]
    side = tile * wanted / level[0].mpp
    side = tile if abs(side / tile - 1) <= _AS_ASKED else max(1, round(side))
    coarser = level[0].mpp > wanted * (1 + _AS_ASKED)
    said = f"its finest level has {finest:.4g} microns a pixel: tiles for {wanted:g} are blown up"
    return level[0], side, [said] if coarser else []


def _tissue(path: Path, slide: Slide, span: float, drawing: Path | None) -> tuple[Mask, tuple[Polygon, ...]]:
    """Return the tissue as a mask and as outlines, in pixels of the finest level."""
    longest = max(slide.sizes[0])
    scale = max(1.0, min(span, longest) / _FINE, longest / SMALL)
    if drawing is not None:
        polygons = read_geojson(drawing, slide.sizes[0])
        width, height = slide.sizes[0]
        return drawn(polygons, (int(np.ceil(height / scale)), int(np.ceil(width / scale))), scale), polygons
    picture, scale = small_picture(path, slide, scale)
    mask = find_tissue(picture, scale, _LEAST * (span / scale) ** 2)
    return mask, outlines(mask)


def _whole(slide: Slide, span: float) -> tuple[Mask, tuple[Polygon, ...]]:
    """Return all of a slide as if it were tissue."""
    width, height = slide.sizes[0]
    return Mask(np.ones((int(np.ceil(height / span)), int(np.ceil(width / span))), np.bool_), span), ()


def _grid(level: _Level, side: int) -> tuple[int, int]:
    return -(-level.size[0] // side), -(-level.size[1] // side)


def _tiles(mask: Mask, level: _Level, side: int) -> list[tuple[int, int, int]]:
    """Return the (x, y, level) of tiles with tissue in them, row by row; x and y in pixels of the finest level."""
    columns, rows = _grid(level, side)
    sums = np.pad(mask.there.cumsum(0, dtype=np.int64).cumsum(1), ((1, 0), (1, 0)))
    step = side * level.downsample / mask.scale

    def edges(count: int, most: int) -> NDArray[np.intp]:
        return np.asarray(np.clip(np.rint(np.arange(count + 1) * step), 0, most), np.intp)

    down, across = edges(rows, mask.there.shape[0]), edges(columns, mask.there.shape[1])
    corners = sums[np.ix_(down, across)]
    there = corners[1:, 1:] - corners[:-1, 1:] - corners[1:, :-1] + corners[:-1, :-1]
    area = np.diff(down)[:, None] * np.diff(across)[None, :]
    chosen = np.argwhere((there > 0) & (there >= _LEAST * area))
    return [
        (round(column * side * level.downsample), round(row * side * level.downsample), level.number)
        for row, column in chosen.tolist()
    ]
