"""Which label is meant for which image of a run."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from kpl.errors import LabelsError

__all__ = ["Matched", "match_names"]


class Matched(NamedTuple):
    """For each name the place of its image in the run, or None; and whether names were matched as a whole."""

    places: list[int | None]
    exactly: bool


def match_names(names: Sequence[str], ids: Sequence[str]) -> Matched:
    """Match the names of a label list with the image ids of a run.

    Names that equal an id decide; if there is not one such name, the two were written relative to different folders
    and are matched by the end of the path: `scans/a/1.png`, `a/1.png` and `1.png` are then one image.

    Raises:
        LabelsError: by the end of the path, a name fits several images or an image several names.

    Example:
        >>> match_names(["1.png", "3.png"], ["1.png", "2.png"])
        Matched(places=[0, None], exactly=True)
        >>> match_names(["C:\\\\scans\\\\a\\\\1.png"], ["2.png", "a/1.png"])
        Matched(places=[1], exactly=False)
    """
    whole = {_composed(name): place for place, name in enumerate(ids)}
    places = [whole.get(_composed(name)) for name in names]
    if any(place is not None for place in places):
        return Matched(places, exactly=True)
    return Matched(_match_ends(names, ids), exactly=False)


def _match_ends(names: Sequence[str], ids: Sequence[str]) -> list[int | None]:
    ends: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(ids):
        for end in _ends(name):
            ends[end].append(place)
    whole = {_path(name): place for place, name in enumerate(ids)}
    places: list[int | None] = []
    taken: dict[int, str] = {}
    for name in names:
        fits = ends.get(_path(name), [])
        if not fits:
            fits = [whole[end] for end in _ends(name) if end in whole][:1]
        if len(fits) > 1:
            raise LabelsError(
                f"the label of {name!r} fits {len(fits)} images, such as {ids[fits[0]]!r} and {ids[fits[1]]!r}: "
                "write the names as predictions.csv has them"
            )
        if fits and taken.setdefault(fits[0], name) != name:
            raise LabelsError(
                f"the labels of {taken[fits[0]]!r} and {name!r} both fit the image {ids[fits[0]]!r}: "
                "write the names as predictions.csv has them"
            )
        places.append(fits[0] if fits else None)
    return places


def _composed(name: str) -> str:
    """Undo the decomposition of accents that macOS applies to file names."""
    return unicodedata.normalize("NFC", name)


def _path(name: str) -> str:
    """Bring a path to forward slashes without empty or "." parts."""
    return "/".join(part for part in _composed(name).replace("\\", "/").split("/") if part not in ("", "."))


def _ends(name: str) -> list[str]:
    """List the ends of a path, the whole first: a/b/c, b/c, c."""
    parts = _path(name).split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]
