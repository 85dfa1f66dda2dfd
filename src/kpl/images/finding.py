"""From folders and files to a list of picture records, in an order that is the same on every machine."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import compress, count
from pathlib import Path, PurePosixPath

from kpl.errors import InputError, MissingExtraError, PictureError
from kpl.images.drawings import hints_at_a_drawing, is_drawing, masks_beside
from kpl.images.formats import PICTURE_SUFFIXES, VOLUME_SUFFIXES, first_bytes, set_aside_reason
from kpl.images.readers import load_instance, readers
from kpl.images.records import Asked, Found, SetAside, Unit
from kpl.images.slides import SlideReader
from kpl.images.tars import TarReader, archive_of

_CONVINCING = 8  # pictures in a folder that is called after masks: then it is one of pictures
DRAWING = "a mask: outlines or labels, by its name and by what it holds, no picture; name the file itself to read it"
"""Why what is found to be a mask by what it holds is set aside."""


def find_pictures(paths: str | Path | Iterable[str | Path], asked: Asked | None = None) -> Found:
    """Find the pictures in folders (any depth) and among files.

    The id of a picture is its posix path relative to the folder given; with several folders or files it begins with the
    name of the one it came from (`scans/a.jpg`, and `scans-2/a.jpg` when two folders are called `scans`).
    Folders and files come in the order given, inside a folder sorted by id. Files with a picture's suffix are pictures,
    and so is DICOM by its content; what has no reader is set aside, and so is a mask: beside its picture by its name,
    elsewhere where its name or folder speaks of masks or labels and it holds outlines. The rest is counted. A file
    given by name is taken whatever its suffix, a mask too.
    Hidden files and folders are passed over. Links are followed, and no folder or file is taken twice.

    Args:
        paths: one or more folders or files.
        asked: of the readers: windows, slices, frames, ids; None for their defaults.

    Raises:
        InputError: a path does not exist, or there is no picture to read.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if not given or "" in given:
        raise InputError("no folder or file was given: name at least one (the current folder is '.')")
    roots = [Path(path) for path in given]
    for root in roots:
        if not root.exists():
            raise InputError(f"no such folder or file: {str(root)!r}. Check the spelling and the current folder")
    search = Search(asked or Asked())
    labels = _Names()
    for root in roots:
        label = labels.unique(root.name or root.resolve().name or "root")
        if root.is_dir():
            search.take_folder(root, "" if len(roots) == 1 else f"{label}/")
        else:
            search.take_file(root, label, given=True)
    units = search.plan()
    if not units:
        raise InputError(_nothing_found(roots, search))
    return Found(units, search.set_aside, search.others.total(), asked=search.asked)


class _Names:
    """Hands out names that were not handed out before: `a.jpg`, then `a-2.jpg`, then `a-3.jpg`."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: Counter[str] = Counter()

    def unique(self, raw: str) -> str:
        # A name that is no valid UTF-8 could not be written to JSON or CSV.
        name = wanted = os.fsencode(raw).decode("utf-8", "backslashreplace")
        while name in self._taken:
            self._counts[wanted] += 1
            path = PurePosixPath(wanted)
            name = str(path.with_name(f"{path.stem}-{self._counts[wanted] + 1}{path.suffix}"))
        self._taken.add(name)
        return name


@dataclass
class Search:
    """Gathers files, each once, under names of their own, and lets the readers make units of them."""

    asked: Asked
    files: dict[str, list[tuple[str, Path]]] = field(default_factory=dict)
    """By reader: (id, path)."""
    order: list[Path] = field(default_factory=list)
    """In which the files were found."""
    set_aside: list[SetAside] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    ids: _Names = field(default_factory=_Names)
    folders_seen: set[str] = field(default_factory=set)
    files_seen: set[tuple[str, str]] = field(default_factory=set)
    windows: dict[Path, str] = field(default_factory=dict)
    """Of files that a table gives a window of their own."""
    hinted: set[Path] = field(default_factory=set)
    """Files whose names or folders speak of masks."""
    pictures_in: Counter[Path] = field(default_factory=Counter)
    """Of such files in a folder, how many in a row hold pictures nevertheless."""

    def take_folder(self, root: Path, prefix: str) -> None:
        """Take what lies in a folder, at any depth."""
        found = [(path.relative_to(root).as_posix(), path) for path in self._walk(root, prefix)]
        masks: dict[Path, str] = {}
        masks |= masks_beside([path for _, path in found if _suffix(path) in PICTURE_SUFFIXES])
        volumes = masks_beside([path for _, path in found if _suffix(path) in VOLUME_SUFFIXES])
        masks |= dict.fromkeys(volumes, "the volume beside it")  # whose name may be that of a person
        for relative, path in sorted(found):
            self.take_file(path, prefix + relative, mask_of=masks.get(path))
            if hints_at_a_drawing(PurePosixPath(relative)):
                self.hinted.add(path)

    def take_file(self, path: Path, name: str, *, given: bool = False, mask_of: str | None = None) -> None:
        """Take one file under a name, whatever its suffix if it was `given` by name."""
        place = (os.path.realpath(path.parent), path.name)
        if place in self.files_seen:
            return
        self.files_seen.add(place)
        reader: str | None = None
        reason: str | None = "not a regular file, or a link that leads nowhere"
        try:
            if path.is_file():
                reader, reason = _taken_by(path)
            elif given and archive_of(path) is not None:
                reader, reason = TarReader.name, None
            elif given and not os.path.lexists(path):
                reason = "no such file"
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        if reason is None and mask_of is not None:
            reason = f"a mask of {mask_of}: outlines drawn for training, no picture; name the file itself to read it"
        if reason is not None:
            self.set_aside.append(SetAside(self.ids.unique(name), reason))
        elif reader or given:
            self.files.setdefault(reader or "picture", []).append((self.ids.unique(name), path))
            self.order.append(path)
        else:
            self.others[path.suffix.lower() or "no suffix"] += 1

    def plan(self) -> list[Unit]:
        """Let every reader make units of its files, in the order in which their first files were found."""
        units: list[Unit] = []
        set_aside: list[SetAside] = []
        if SlideReader.name in self.files:
            self.asked = self.asked.settled()
        for name, files in self.files.items():
            reader = readers()[name]
            if reader.module and reader.extra and find_spec(reader.module) is None:
                reason = str(MissingExtraError(f"reading {reader.title}", reader.extra))
                set_aside += [SetAside(each, reason) for each, _ in files]
                continue
            for window in dict.fromkeys(self.windows.get(path) for _, path in files):
                own = [file for file in files if self.windows.get(file[1]) == window]
                planned = reader.plan(own, replace(self.asked, window=window or self.asked.window))
                drawn = [self._is_drawing(unit) for unit in planned.units]
                units += [unit for unit, is_drawn in zip(planned.units, drawn, strict=True) if not is_drawn]
                aside = [*planned.set_aside, *(SetAside(u.id, DRAWING) for u in compress(planned.units, drawn))]
                (self.set_aside if name in ("picture", "arrays", "tar") else set_aside).extend(aside)
        place = {path: place for place, path in enumerate(self.order)}
        units.sort(key=lambda unit: min(place[instance.path] for instance in unit.instances))
        if self.asked.ids == "pseudonyms":
            units = _numbered(units)
            if any(unit.sources for unit in units):  # what lies beside medical files may be called by a person
                beside = [each for each in self.set_aside if Path(each.id).suffix.lower() not in PICTURE_SUFFIXES]
                self.set_aside = [each for each in self.set_aside if each not in beside]
                set_aside += beside
            set_aside = [SetAside(f"file-{n:04d}", each.reason) for n, each in enumerate(set_aside, start=1)]
        else:
            units = [_called(unit, name) for unit, name in zip(units, _unique(units), strict=True)]
        self.set_aside += set_aside
        return units

    def _is_drawing(self, unit: Unit) -> bool:
        """Look into a unit whose name or folder speaks of masks; into no more of a folder that holds only pictures."""
        first, folder = unit.instances[0].path, unit.instances[0].path.parent
        if first not in self.hinted or self.pictures_in[folder] >= _CONVINCING:
            return False
        pixels = load_instance(unit.instances[len(unit.instances) // 2]).pixels
        drawing = not isinstance(pixels, PictureError) and is_drawing(pixels)
        self.pictures_in[folder] = 0 if drawing else self.pictures_in[folder] + 1
        return drawing

    def _walk(self, root: Path, prefix: str) -> Iterator[Path]:
        """Yield the files below `root`; linked folders come last, so that a file's own place gives it its id."""
        folders, links = deque([root]), deque[Path]()
        while folders or links:
            folder = folders.popleft() if folders else links.popleft()
            real = os.path.realpath(folder)
            if real in self.folders_seen:
                continue
            self.folders_seen.add(real)
            try:
                with os.scandir(folder) as entries:
                    shown = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
            except OSError as error:
                name = prefix + folder.relative_to(root).as_posix()
                self.set_aside.append(SetAside(self.ids.unique(name), f"folder cannot be read: {error.strerror}"))
                continue
            for entry in shown:
                if os.path.isdir(entry) if entry.is_symlink() else entry.is_dir():  # noqa: PTH112 - a looping link is no error here
                    (links if entry.is_symlink() else folders).append(folder / entry.name)
                else:
                    yield folder / entry.name


def _numbered(units: list[Unit]) -> list[Unit]:
    """Call units by numbers, for names of medical files may be those of patients; pictures keep theirs."""
    numbers, found = count(1), []
    for unit in units:
        found.append(unit if not unit.sources else _called(unit, f"unit-{next(numbers):04d}"))
    return found


def _unique(units: list[Unit]) -> list[str]:
    """Tell units of one file apart, two echoes in it for example."""
    names = _Names()
    return [names.unique(unit.id) for unit in units]


def _called(unit: Unit, name: str) -> Unit:
    if unit.id == name:
        return unit
    instances = [replace(each, id=name + each.id.removeprefix(unit.id), unit=name) for each in unit.instances]
    return replace(unit, id=name, instances=tuple(instances))


def is_named(path: Path) -> bool:
    """Whether a path of a table is that of a file, or leads into a tar archive that is there."""
    return path.is_file() or archive_of(path) is not None


def reader_of(path: Path) -> str | None:
    """Name the reader that takes a file by what it holds; None where there is none.

    Raises:
        OSError: the file cannot be read.
    """
    return _taken_by(path)[0]


def _taken_by(path: Path) -> tuple[str | None, str | None]:
    """Name the reader that takes a file, or why it is set aside; neither for what is no picture of any kind."""
    head, packed = first_bytes(path)
    for name, reader in readers().items():
        if not (packed and ".gz" not in reader.suffixes) and reader.probe(head, path):
            return name, None
    return None, set_aside_reason(path, head, packed=packed)


def _suffix(path: Path) -> str:
    return PurePosixPath(path.name.lower().removesuffix(".gz")).suffix


def _nothing_found(roots: list[Path], search: Search) -> str:
    where = ", ".join(repr(str(root)) for root in roots[:3]) + (", ..." if len(roots) > 3 else "")
    whole = {item.reason for item in search.set_aside}
    aside = Counter(item.reason if len(whole) == 1 else item.reason.split(":")[0] for item in search.set_aside)
    seen = [f"{count} set aside ({what})" for what, count in aside.most_common(3)]
    if rest := aside.total() - sum(count for _, count in aside.most_common(3)):
        seen.append(f"{rest} more set aside")
    if search.others:
        kinds = ", ".join(suffix for suffix, _ in search.others.most_common(3))
        seen.append(f"{search.others.total()} other files ({kinds})")
    return (
        f"no picture to read in {where}: found {', '.join(seen) or 'no file at all'}. "
        "Read are JPEG, PNG, TIFF, BMP, GIF, WebP, PPM, JPEG 2000, slides, DICOM, NIfTI and other volumes, and arrays"
    )
