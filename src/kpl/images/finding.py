"""From folders and files to a list of picture records, in an order that is the same on every machine."""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from kpl.errors import InputError
from kpl.images.formats import PICTURE_SUFFIXES, Judged, judge
from kpl.images.records import PictureRecord, SetAside

__all__ = ["Found", "find_pictures"]

_MASK = re.compile(r"(?P<picture>.+?)[_-](?:mask|segmentation|seg)(?:[_-]?\d+)?")


class Found(NamedTuple):
    """What a search found: pictures to read, files set aside with their reason, and the number of other files."""

    pictures: list[PictureRecord]
    set_aside: list[SetAside]
    other_files: int


def find_pictures(paths: str | Path | Iterable[str | Path]) -> Found:
    """Find the pictures in folders (any depth) and among files.

    The id of a picture is its posix path relative to the folder given; with several folders or files it begins with the
    name of the one it came from (`scans/a.jpg`, and `scans-2/a.jpg` when two folders are called `scans`).
    Folders and files come in the order given, inside a folder sorted by id. Files with a picture's suffix are pictures,
    and so is DICOM by its content;
    medical, slide and raw files are set aside, and so is a mask beside its picture; the rest is counted. A file given
    by name is taken whatever its suffix, a mask too.
    Hidden files and folders are passed over. Links are followed, and no folder or file is taken twice.

    Args:
        paths: one or more folders or files.

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
    search = _Search()
    labels = _Names()
    for root in roots:
        label = labels.unique(root.name or root.resolve().name or "root")
        if root.is_dir():
            search.take_folder(root, "" if len(roots) == 1 else f"{label}/")
        else:
            search.take_file(root, label, given=True)
    if not search.pictures:
        raise InputError(_nothing_found(roots, search))
    return Found(search.pictures, search.set_aside, search.others.total())


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
class _Search:
    pictures: list[PictureRecord] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    ids: _Names = field(default_factory=_Names)
    folders_seen: set[str] = field(default_factory=set)
    files_seen: set[tuple[str, str]] = field(default_factory=set)

    def take_folder(self, root: Path, prefix: str) -> None:
        found = [(path.relative_to(root).as_posix(), path) for path in self._walk(root, prefix)]
        pictures = [path for _, path in found if path.suffix.lower() in PICTURE_SUFFIXES]
        beside = {path.with_name(path.stem.lower()): path.name for path in pictures}
        for relative, path in sorted(found):
            self.take_file(path, prefix + relative, mask_of=_masked(path, beside))

    def take_file(self, path: Path, name: str, *, given: bool = False, mask_of: str | None = None) -> None:
        place = (os.path.realpath(path.parent), path.name)
        if place in self.files_seen:
            return
        self.files_seen.add(place)
        suffix = path.suffix.lower()
        try:
            nowhere = "not a regular file, or a link that leads nowhere"
            picture, reason = judge(path) if path.is_file() else Judged(False, nowhere)
        except OSError as error:
            picture, reason = False, f"cannot be read: {error.strerror}"
        if reason is None and mask_of is not None:
            reason = f"a mask of {mask_of}: outlines drawn for training, no picture; name the file itself to read it"
        if reason is not None:
            self.set_aside.append(SetAside(self.ids.unique(name), reason))
        elif given or picture:
            self.pictures.append(PictureRecord(self.ids.unique(name), path))
        else:
            self.others[suffix or "no suffix"] += 1

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


def _masked(path: Path, beside: dict[Path, str]) -> str | None:
    """Name the picture beside `path` whose mask it is by its name (`x_mask.png` or `x_mask_1.png` beside `x.png`)."""
    found = _MASK.fullmatch(path.stem.lower()) if path.suffix.lower() in PICTURE_SUFFIXES else None
    return beside.get(path.with_name(found["picture"])) if found else None


def _nothing_found(roots: list[Path], search: _Search) -> str:
    where = ", ".join(repr(str(root)) for root in roots[:3]) + (", ..." if len(roots) > 3 else "")
    aside = Counter(item.reason.split(":")[0] for item in search.set_aside)
    seen = [f"{count} set aside ({what})" for what, count in aside.most_common(3)]
    if search.others:
        kinds = ", ".join(suffix for suffix, _ in search.others.most_common(3))
        seen.append(f"{search.others.total()} other files ({kinds})")
    return (
        f"no picture to read in {where}: found {', '.join(seen) or 'no file at all'}. "
        "Pictures are JPEG, PNG, TIFF, BMP, GIF, WebP, PPM, JPEG 2000 and DICOM files"
    )
