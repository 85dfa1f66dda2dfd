"""The reader of DICOM: files become units by what their headers say, and their frames become pictures.

Slices of CT, MR and PET are put together by study, series, size, orientation, echo and time (and by acquisition where
positions repeat), in the order of their positions along the normal, never by their numbers. A file of many frames is a
volume where they lie in different places, else a clip. Every other file is a picture of its own.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpl.errors import PictureError
from kpl.images.decoding import MAX_PIXELS
from kpl.images.dicom import (
    PERCENTILES,
    grey_values,
    own_window,
    picture_of,
    said_without_the_patient,
    square_size_of,
)
from kpl.images.dicom_frames import Frame, Source, frames_of, source_of
from kpl.images.dicom_header import header_of, image_offset, open_dicom, text, whole
from kpl.images.dicom_kinds import refuse_what_is_no_picture
from kpl.images.dicom_pixels import refuse_without_decoder
from kpl.images.formats import unread_format
from kpl.images.pseudonyms import pseudonym, read_key
from kpl.images.records import BURNED_IN, Asked, Instance, Kind, Planned, SetAside, Unit
from kpl.images.shaping import finished
from kpl.images.stacking import evenly, name_of_plane, remarks_on
from kpl.images.windows import Window, read_window

_FRAMES: Final = 16  # of a clip
_LONG = 1000  # frames of a clip, of which the usual number may pass over what matters
_SAMPLED: Final = 1 << 24  # values that the percentiles of a series are taken from, at most


@dataclass(frozen=True, slots=True)
class Series:
    """What the percentiles of a series are taken from; known by its hash, which is the same wherever the files lie."""

    known_by: str
    frames: tuple[tuple[Path, int], ...] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class DicomReading:
    """How a frame is read: windows in the place of its own, percentiles of its series, the regions it is cut to."""

    windows: tuple[Window, ...] = ()
    series: Series | None = None
    regions: tuple[int, int, int, int] | None = None
    reader: ClassVar[str] = "dicom"


class DicomReader:
    """Studies and single files of DICOM."""

    name = "dicom"
    title = "DICOM"
    extra: str | None = "dicom"
    module: str | None = "pydicom"
    suffixes = frozenset({".dcm", ".dicom", ".ima", ".dc3", ".acr"})

    def probe(self, head: bytes, path: Path) -> bool:
        """Say by its first bytes whether a file is DICOM; its name says nothing."""
        del path
        return unread_format(head) == "DICOM"

    def plan(self, files: Sequence[tuple[str, Path]], asked: Asked) -> Planned:
        """Put the files together to series, volumes, clips and pictures."""
        window, ct_window = (said and read_window(said) for said in (asked.window, asked.ct_window))
        pseudonym("path", "")  # the key is there from here on
        wanted = _Wanted(asked, window or None, ct_window or None, read_key() or b"")
        units: list[Unit] = []
        slices: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
        set_aside: list[SetAside] = []
        people: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
        for name, path in files:
            try:
                source, frames = _headers(name, path)
                if path in asked.only:
                    frames = [frame for frame in frames if (frame.index or 0) in asked.only[path]]
                if not frames:
                    raise PictureError(f"none of the frames asked for: it has {source.frames}, counted from 0")
            except PictureError as error:
                set_aside.append(SetAside(name, str(error)))
                continue
            if all(source.person):
                people[source.person].add(source.patient)
            if source.sliced and source.frames == 1:
                slices[_key(frames[0])].append(frames[0])
            else:
                units += [_unit(part, wanted, kind) for kind, part in _parts(source, frames)]
        for key in slices:
            slices[key], copies = _once(slices[key])
            set_aside += copies
            units += [_unit(part, wanted, None) for part in _apart(slices[key])]
        return Planned(_with_two_numbers(units, people, wanted.key), set_aside)

    def pixels(self, instance: Instance, *, shrink_to: int | None, max_pixels: int) -> NDArray[np.uint8]:
        """Decode a frame by the rules of `kpl.images.dicom`.

        Raises:
            PictureError: the reason in a few words, nothing of the patient in it.
        """
        reading = instance.reading
        if not isinstance(reading, DicomReading):
            raise PictureError("DICOM that this reader did not plan")

        def read() -> NDArray[np.uint8]:
            dataset, path = header_of(instance.path), instance.path
            refuse_what_is_no_picture(dataset, max_pixels)
            spread = None
            if reading.series and not reading.windows and own_window(dataset, instance.frame or 0) is None:
                spread = _spread_of(reading.series)
            picture = picture_of(dataset, instance.frame or 0, path=path, windows=reading.windows, spread=spread)
            if reading.regions:
                left, top, right, bottom = reading.regions
                picture = picture[top:bottom, left:right]
            return finished(picture, square_size_of(dataset), shrink_to)

        return said_without_the_patient(read)


def _headers(name: str, path: Path) -> tuple[Source, list[Frame]]:
    """Read what a file says; what is no picture, or is cut short, is refused."""
    try:
        with path.open("rb") as file:
            dataset = open_dicom(file, with_pixels=False)
        refuse_what_is_no_picture(dataset, MAX_PIXELS)
        refuse_without_decoder(dataset)
        source = source_of(name, path, dataset)
        bits, offset = whole(dataset, "BitsAllocated"), image_offset(dataset)
        plain = source.syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
        samples = 1 if "422" in text(dataset, "PhotometricInterpretation") else whole(dataset, "SamplesPerPixel", 1)
        needed = source.size[0] * source.size[1] * samples * source.frames * bits // 8
        if plain and offset is not None and path.stat().st_size < offset + needed:
            raise PictureError("DICOM whose pixels are cut short")
        return source, frames_of(source, dataset)
    except PictureError:
        raise
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror or type(error).__name__}") from None
    except Exception:  # an element that holds no sense can raise anything; the error's text may name the patient
        raise PictureError("DICOM whose elements contradict each other") from None


def _key(frame: Frame) -> tuple[object, ...]:
    source = frame.source
    series = source.series or str(source.path.parent)  # who takes out the UIDs mostly keeps the folders
    return (source.study, series, source.patient, source.size, source.modality, frame.echo, frame.time)


def _once(frames: list[Frame]) -> tuple[list[Frame], list[SetAside]]:
    """Keep each slice once, where a series lies there twice; slices that share a UID and lie apart are no copies."""
    first: dict[tuple[object, ...], Frame] = {}
    copies = []
    for frame in frames:
        source = frame.source
        told = source.uid and (frame.position is not None or source.instance)
        known = (source.uid, frame.position, source.instance) if told else (source.name,)
        if first.setdefault(known, frame) is not frame:
            copies.append(SetAside(source.name, "DICOM, the same slice again (its SOP instance UID): counts once"))
    return list(first.values()), copies


def _parts(source: Source, frames: list[Frame]) -> list[tuple[Kind, list[Frame]]]:
    """Divide a file: one picture, a clip, or as many volumes as there are directions, echoes and times in it."""
    if len(frames) == 1:
        return [("image", frames)]
    places = {round(frame.position, 3) for frame in frames if frame.position is not None}
    if source.moving or len(places) == 1 or (not places and source.modality == "MR"):
        return [("clip", frames)]
    parts: dict[tuple[str, str], list[Frame]] = defaultdict(list)
    for frame in frames:
        parts[frame.echo, frame.time].append(frame)
    return [("volume", stack) for part in parts.values() for stack in _apart(part)]


def _apart(frames: list[Frame]) -> list[list[Frame]]:
    """Divide slices by their direction, and by acquisition where that keeps positions from repeating."""
    directions: list[list[Frame]] = []
    for frame in frames:
        for stack in directions:
            if _same_direction(stack[0].orientation, frame.orientation):
                stack.append(frame)
                break
        else:
            directions.append([frame])
    found = []
    for stack in directions:
        acquired: dict[str, list[Frame]] = defaultdict(list)
        for frame in stack:
            acquired[frame.acquisition].append(frame)
        whole_ones = all(not _repeats(part) and len(part) > 1 for part in acquired.values())
        found += list(acquired.values()) if _repeats(stack) and whole_ones else [stack]
    return found


def _same_direction(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return len(one) == len(other) and all(abs(a - b) <= 1e-3 for a, b in zip(one, other, strict=True))


def _repeats(frames: Iterable[Frame]) -> bool:
    places = [round(frame.position, 3) for frame in frames if frame.position is not None]
    return len(set(places)) < len(places)


class _Wanted(NamedTuple):
    asked: Asked
    window: Window | None
    ct_window: Window | None
    key: bytes


def _unit(frames: list[Frame], wanted: _Wanted, kind: Kind | None) -> Unit:
    """Make a unit of frames that belong together; without a kind, what they make up is seen here."""
    asked, window = wanted.asked, wanted.window
    source = frames[0].source
    placed = all(frame.position is not None for frame in frames)
    if kind != "clip" and placed:
        frames = sorted(frames, key=lambda frame: frame.order)
    elif len(frames) > 1 and kind is None:
        frames = sorted(frames, key=lambda frame: (frame.source.instance, frame.source.name))
    if kind is None:
        different = len({frame.source.uid for frame in frames}) == len(frames)
        still = different and placed and frames[0].position == frames[-1].position
        kind = "image" if len(frames) == 1 else "clip" if still else "series"
    notes = _remarks(frames, kind, placed)
    notes += dict.fromkeys(note for each in frames for note in asked.lacking(each.source.path, each.source.frames))
    if window and window.name and source.modality != "CT":
        notes.append(f"window {window.name} is for CT: not used")
        window = None
    by = "asked" if window else "knowledge"
    if window is None and source.modality == "CT":
        window = wanted.ct_window
    named = all(frame.source.path in asked.only for frame in frames)
    chosen = evenly(
        len(frames), len(frames) if named else (asked.frames or _FRAMES) if kind == "clip" else asked.slices
    )
    read = [frames[place] for place in chosen]
    if kind == "clip" and len(read) < len(frames) > _LONG:
        notes.append(f"a clip of more than {_LONG} frames: {len(read)} of them are read, evenly (--frames reads more)")
    reading: dict[str, Any] = {"modality": source.modality, "window": _said_window(read, window, by, notes)}
    if len(frames) > 1:
        reading["frames" if kind == "clip" else "slices"] = [len(read), len(frames)]
    if plane := name_of_plane(frames[0].orientation):
        reading["plane"] = plane
    if source.regions:
        reading["regions"] = list(source.regions)
    series = _series_of(read) if reading["window"] == _PERCENTILES and len(read) > 1 else None
    how = DicomReading((window,) if window else (), series, source.regions)
    name = min(frame.source.name for frame in frames)
    patient = pseudonym("patient", *source.patient, key=wanted.key) if source.patient[0] else None
    instances = tuple(
        Instance(
            name if len(frames) == 1 else f"{name}#{place:03d}",
            frames[place].source.path,
            name,
            patient,
            frames[place].index,
            how,
        )
        for place in chosen
    )
    return Unit(
        name,
        kind,
        instances,
        patient,
        pseudonym("study", source.study, key=wanted.key) if source.study else None,
        pseudonym("series", source.series, key=wanted.key) if source.series else None,
        tuple(_hashed(frame.source, wanted.key) for frame in read),
        tuple(notes),
        reading,
    )


def _hashed(source: Source, key: bytes) -> tuple[str, str | None]:
    return pseudonym("path", source.name, key=key), pseudonym("instance", source.uid, key=key) if source.uid else None


_PERCENTILES: Final = "{:g} to {:g} percentile of the unit".format(*PERCENTILES)


def _said_window(frames: list[Frame], window: Window | None, by: str, notes: list[str]) -> str:
    """Say what the grey comes from, and note where slices of one unit differ in it."""
    shown = sorted({frame.shown for frame in frames})
    if "colour" in shown:
        return "colour"
    if window:
        return f"{window} ({by})"
    if "HU" in shown:
        notes.append("a CT without a window: 40/400")
    if len(shown) > 1:
        notes.append(f"{len(shown)} different windows among its slices, each of which is read with its own")
    said = {"HU": "40/400 (CT)", "VOI LUT": "VOI LUT (file)", "stored": "8 bits as stored", "percentiles": _PERCENTILES}
    return said.get(shown[0], f"{shown[0]} (file)") if len(shown) == 1 else "each slice's own (file)"


def _remarks(frames: list[Frame], kind: Kind, placed: bool) -> list[str]:
    notes = []
    if kind in ("series", "volume"):
        notes += remarks_on([frame.position or 0.0 for frame in frames]) if placed else [_UNPLACED]
    sources = {frame.source.name: frame.source for frame in frames}.values()
    if (syntaxes := len({source.syntax for source in sources})) > 1:
        notes.append(f"{syntaxes} transfer syntaxes among its slices")
    if any(source.burned for source in sources):
        notes.append(BURNED_IN)
    return notes


_UNPLACED: Final = "its slices do not say where they lie: in the order of their numbers"


def _with_two_numbers(units: list[Unit], people: dict[tuple[str, str], set[tuple[str, str]]], key: bytes) -> list[Unit]:
    """Note that a patient may be counted twice: one name and day of birth under two numbers."""
    several = [number for numbers in people.values() if len(numbers) > 1 for number in numbers]
    doubled = {pseudonym("patient", *number, key=key) for number in several}
    note = "another patient number has the same name and day of birth: counted as two patients"
    return [replace(unit, notes=(*unit.notes, note)) if unit.patient in doubled else unit for unit in units]


def _series_of(frames: list[Frame]) -> Series:
    known = "\n".join(f"{frame.source.uid or frame.source.name} {frame.index}" for frame in frames)
    return Series(
        hashlib.sha256(known.encode("utf-8", "surrogateescape")).hexdigest()[:32],
        tuple((frame.source.path, frame.index or 0) for frame in frames),
    )


_one_at_a_time = Lock()


def _spread_of(series: Series) -> tuple[float, float]:
    with _one_at_a_time:
        return _spread_once(series)


@lru_cache(maxsize=64)
def _spread_once(series: Series) -> tuple[float, float]:
    """Take the percentiles over the slices of a series that are read, those that cannot be read left out."""
    share = max(1, _SAMPLED // len(series.frames))
    seen = []
    for path, frame in series.frames:
        try:
            values, padding = grey_values(header_of(path), frame, path)
        except PictureError:
            continue
        kept = values.ravel() if padding is None or padding.all() else values[~padding]
        seen.append(kept[:: max(1, len(kept) // share)].astype(np.float32))
    low, high = np.percentile(np.concatenate(seen), PERCENTILES) if seen else (0.0, 0.0)
    return float(low), float(high)
