"""A large folder of plain pictures, searched piece by piece: what `find_pictures` finds there, never all in memory."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from kpl.images.drawings import hints_at_a_drawing, is_named_as_mask, masks_beside
from kpl.images.finding import Search
from kpl.images.formats import PICTURE_SUFFIXES, VOLUME_SUFFIXES
from kpl.images.records import Asked, SetAside

_PIECE = 1 << 16
_OTHERS = VOLUME_SUFFIXES | {".tar"}


class Piece(NamedTuple):
    """What was found among some files: ids of pictures, which are their paths below the folder; and what was set aside.

    `early` was set aside by what a file is, `late` when it was planned: a search of the whole lists those first.
    """

    ids: list[str]
    early: list[SetAside]
    late: list[SetAside]


def has_files(root: Path, count: int) -> bool:
    """Whether more files than `count` lie in a folder, at any depth."""
    return any(islice(_walk(root, ""), count, None))


def search_pieces(root: Path) -> Iterator[Piece | None]:
    """Search a folder of plain pictures piece by piece, in the order of `find_pictures`.

    Yields None, and no more, where a piece alone does not tell: a folder that is a link or cannot be read, a name that
    is no UTF-8, a file of another reader.
    """
    walk, pictures_in = _walk(root, ""), Counter[Path]()
    while files := list(islice(walk, _PIECE)):
        search = Search(Asked(), pictures_in=pictures_in)
        for file in files:
            if file is None:
                yield None
                return
            name, mask_of = file
            search.take_file(root / name, name, mask_of=mask_of)
            if hints_at_a_drawing(PurePosixPath(name)):
                search.hinted.add(root / name)
        early = len(search.set_aside)
        units = search.plan()
        if search.files.keys() - {"picture"}:
            yield None
            return
        yield Piece([unit.id for unit in units], search.set_aside[:early], search.set_aside[early:])


def _walk(root: Path, below: str) -> Iterator[tuple[str, str | None] | None]:
    """Yield the files of a folder by their paths from it, sorted, with whose mask each is; None ends it."""
    try:
        with os.scandir(root / below) as entries:
            shown = [each for each in entries if not each.name.startswith(".")]
            links = any(each.is_symlink() and os.path.isdir(each) for each in shown)  # noqa: PTH112 - a looping link is no error here
            names = sorted(each.name + "/" * each.is_dir() for each in shown)
            del shown
            "".join(names).encode()
    except (OSError, UnicodeEncodeError):
        links, names = True, []
    if links or any(PurePosixPath(name.lower()).suffix in _OTHERS for name in names):
        yield None
        return
    pictures = [name for name in names if PurePosixPath(name.lower()).suffix in PICTURE_SUFFIXES and name[-1] != "/"]
    masks: dict[Path, str] = {}
    if any(is_named_as_mask(PurePosixPath(name)) for name in pictures):
        masks = masks_beside(Path(name) for name in pictures)
    for name in names:
        if name[-1] == "/":
            yield from _walk(root, below + name)
        else:
            yield below + name, masks.get(Path(name)) if masks else None
