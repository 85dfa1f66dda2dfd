"""What is read and decided on: instances, the units that they make up, what was asked for, and what was set aside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from kpl.images.tissue import Polygon
from kpl.progress import Counted

BURNED_IN: Final = "text in the picture may name the patient"
"""The note of a unit whose pictures may have text burnt into them."""
_UNTOLD: Final = ("only", "tissue", "everywhere", "suits", "progress")
Kind = Literal["image", "series", "volume", "slide", "clip"]


class Reading(Protocol):
    """How an instance is read: frozen and hashable; its `repr` is part of what the instance's features are known by."""

    @property
    def reader(self) -> str:
        """The name of the reader that made it."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One picture to read, a row of features: a picture file, or one frame, slice, plane or tile of a larger unit.

    Attributes:
        id: name that is unique within a run and the same on every machine: of a picture file its posix path relative to
            the folder given; of one of many `f"{unit}#{index:03d}"`
        path: where the file lies; of a picture in memory its id
        unit: id of the unit that it belongs to; left out, its own
        group: what the picture belongs to (a patient, a slide); None when nobody said
        frame: the frame or plane inside the file; None for the whole file
        place: of a tile of a slide (x, y, level), x and y in pixels of the finest level; None for all else
        reading: how it is read; None for a picture that `kpl.images.decode` reads
        data: gives the bytes of a picture in memory; None for a file
    """

    id: str
    path: Path
    unit: str = ""
    group: str | None = None
    frame: int | None = None
    reading: Reading | None = None
    place: tuple[int, int, int] | None = None
    data: Callable[[], bytes] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.unit:
            object.__setattr__(self, "unit", self.id)


@dataclass(frozen=True, slots=True)
class Unit:
    """What is decided on: a picture, or a series, volume, slide or clip with its instances.

    Attributes:
        id: unique within a run
        kind: what it is
        instances: at least one, in their order in space or time
        patient, study, series: pseudonyms, None where nobody said; whose key is in `kpl.home`
        sources: pseudonyms of what each instance comes from, aligned with `instances`: the file's relative path, and
            the instance's UID where it has one; empty for picture files, which keep their names
        notes: what a user should know of how it is read, a line each
        reading: window, slices, orientation and so on, as `run.json` lists them; nothing of the patient
        tissue: of a slide its outlines, see `kpl.images.tissue`
    """

    id: str
    kind: Kind
    instances: tuple[Instance, ...]
    patient: str | None = None
    study: str | None = None
    series: str | None = None
    sources: tuple[tuple[str, str | None], ...] = ()
    notes: tuple[str, ...] = ()
    reading: dict[str, Any] = field(default_factory=dict)
    tissue: tuple[Polygon, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, instance: Instance) -> Unit:
        """Make a unit of one picture."""
        return cls(instance.unit, "image", (instance,), patient=instance.group)


@dataclass(frozen=True, slots=True)
class SetAside:
    """One file that takes no part in the run: its id and a reason that names no path."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asked of the readers; each has its default.

    Attributes:
        window: a name (`lung`) or `centre/width`; None leaves it to knowledge and file
        slices: of a volume or series, at most, taken evenly
        frames: of a clip, at most, taken evenly; None takes 16, and of animations and TIFFs of several pages, which
            are clips and series only when asked for, none but the first
        array: the name of the one to read, of files of several arrays
        ids: `pseudonyms` calls units of medical files `unit-0001`; `files` calls them by their files
        ct_window: what the knowledge says for CT, which `window` goes before
        mpp: of slides the microns per pixel to read at; None takes what suits the encoder, else 0.5
        slide_mpp: what slides have at their finest level that do not say so, or say what no scanner has
        tissue: a folder with the outlines of tissue as GeoJSON, one a slide, by its stem
        everywhere: every tile of a slide, tissue or not, as where tiles of an earlier run are looked for
        tile: pixels along a side of a slide's tiles, at these microns per pixel; None takes what suits the encoder
        suits: says what suits the encoder: pixels along a side of a tile, and microns per pixel if it has its own
        progress: told of slides how many are planned
        only: of these files only these frames, from 0 on; of one slice a file its only frame is 0
    """

    window: str | None = None
    slices: int = 64
    frames: int | None = None
    ids: Literal["pseudonyms", "files"] = "pseudonyms"
    ct_window: str | None = None
    array: str | None = None
    mpp: float | None = None
    slide_mpp: float | None = None
    tissue: Path | None = None
    everywhere: bool = field(default=False, compare=False)
    tile: int | None = None
    suits: Callable[[], tuple[int, float | None]] | None = field(default=None, compare=False)
    progress: Counted | None = field(default=None, compare=False)
    only: Mapping[Path, frozenset[int]] = field(default_factory=dict, hash=False)

    def lacking(self, path: Path, count: int) -> list[str]:
        """Note which frames are asked for of a file that has so many, and are not in it."""
        beyond = sorted(frame for frame in self.only.get(path, ()) if frame >= count)
        return (
            [f"{len(beyond)} of the frames asked for are not there: it has {count}, counted from 0"] if beyond else []
        )

    def settled(self) -> Asked:
        """Return it with what suits the encoder in the place of what was left to it, as slides are read."""
        tile, mpp = self.suits() if self.suits else (None, None)
        return replace(self, tile=self.tile or tile, mpp=self.mpp or mpp, suits=None)

    def told(self) -> dict[str, Any]:
        """Return what is not as usual, as JSON has it; frames of single files belong to the table that names them.

        A folder of the user's is not told, nor what has no name yet.
        """
        usual = Asked()
        said = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _UNTOLD}
        return {name: value for name, value in said.items() if value != getattr(usual, name)}


@dataclass(frozen=True, slots=True)
class Planned:
    """What a reader makes of its files: units to read, and files that are set aside."""

    units: list[Unit]
    set_aside: list[SetAside]


@dataclass(frozen=True)
class Found:
    """What a search found: units to read, files set aside with their reason, and the number of other files.

    `notes` say what the user should know of how it was found, and `asked` what was asked of the readers.
    """

    units: list[Unit]
    set_aside: list[SetAside]
    other_files: int
    notes: tuple[str, ...] = ()
    asked: Asked = field(default_factory=Asked)

    @property
    def pictures(self) -> list[Instance]:
        """All instances, those of a unit one behind the other."""
        return [instance for unit in self.units for instance in unit.instances]
