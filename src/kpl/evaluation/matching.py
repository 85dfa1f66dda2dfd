"""Which label is meant for which image of a run."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from kpl.errors import LabelsError

__all__ = ["Matched", "Pictures", "match_names"]

_UPLOAD = re.compile(r"(?:^|.*/)upload/(?:\d+/)?[0-9a-f]{8}-(?P<name>.+)$|.*[?&]d=(?P<local>[^&]+)")
_UNUSUAL = re.compile(r"[%?'\\]|upload/")  # what the rules take apart; other names are known by their last part


class Matched(NamedTuple):
    """For each name the place of its image in the run, or None; and how many were matched by which wider rule."""

    places: list[int | None]
    how: Mapping[str, int]


def match_names(names: Sequence[str], ids: Sequence[str]) -> Matched:
    """Match the names of a label list with the image ids of a run, each by the narrowest rule that fits it.

    The rules: as it stands; without outer spaces or a spreadsheet's apostrophe; without its suffix; percent-decoded;
    without what an annotation tool puts before an upload; by the end of the path, where `scans/a/1.png`, `a/1.png` and
    `1.png` are one; and all of these without regard to capitals. An image that a narrower rule gave away is not given
    again.

    Raises:
        LabelsError: by its narrowest rule a name fits several images, or an image several names.

    Example:
        >>> match_names(["1.png", "3.png"], ["1.png", "2.png"]).places
        [0, None]
        >>> match_names(["C:\\\\scans\\\\a\\\\1.png", "2"], ["2.png", "a/1.png"])
        Matched(places=[1, 0], how={'without their suffix': 1, 'by the end of their path': 1})
    """
    return Pictures(ids).match(names)


class Pictures:
    """The images of a run, ready to be found by a name."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = ids
        self._whole = {_composed(name): [place] for place, name in enumerate(ids)}
        self._plain = _Index(map(_path, ids))
        self._folded = _Index(_path(name).casefold() for name in ids)

    def may_fit(self, name: str) -> bool:
        """Say quickly whether any rule could give this name an image."""
        last = name.rpartition("/")[2].strip()
        if last not in ("", ".") and name.isascii() and not _UNUSUAL.search(name):
            return self._folded.knows(last.casefold())
        if _composed(name) in self._whole or self._folded.knows(_path(name).casefold()):
            return True
        return any(self._folded.knows(_path(form(name)).casefold()) for form in (unquote, _uploaded))

    def below(self, folders: Iterable[str]) -> list[int]:
        """Return the places of the images that lie in all of these folders, at any level.

        A folder may have letters before the number that it is called by: `p10000032` is `10000032`.
        """
        found = [set(self._plain.folders.get(folder, ())) for folder in folders]
        return sorted(set.intersection(*found)) if found else []

    def match(self, names: Sequence[str]) -> Matched:
        """Match names; see `match_names`."""
        places: dict[str, int | None] = dict.fromkeys(names)
        taken: dict[int, str] = {}
        how: Counter[str] = Counter()
        open_names = [name for name in places if self.may_fit(name)]
        for told, rule in self._rules():
            fitting = {name: found for name in open_names if (found := rule(name))}
            given: dict[int, str] = {}
            for name, found in fitting.items():
                if len(found) > 1:
                    raise LabelsError(
                        f"the label of {name!r} fits {len(found)} images, such as {self.ids[found[0]]!r} and "
                        f"{self.ids[found[1]]!r}: write the names as predictions.csv has them"
                    )
                if found[0] in taken:
                    continue
                if given.setdefault(found[0], name) != name:
                    raise LabelsError(
                        f"the labels of {given[found[0]]!r} and {name!r} both fit the image {self.ids[found[0]]!r}: "
                        "write the names as predictions.csv has them"
                    )
                places[name] = found[0]
            taken |= given
            if given and told:
                how[told] += len(given)
            open_names = [name for name in open_names if name not in fitting]
        return Matched([places[name] for name in names], dict(how))

    def _rules(self) -> list[tuple[str, Callable[[str], list[int]]]]:
        """List how a match is told and how it is looked for, the narrowest first."""
        rules: list[tuple[str, Callable[[str], list[int]]]] = [("", lambda name: self._whole.get(_composed(name), []))]
        for index, fold, also in ((self._plain, str, ""), (self._folded, str.casefold, ", whatever the capitals")):

            def by(
                look: Callable[[str], list[int]],
                form: Callable[[str], str] = str,
                fold: Callable[[str], str] = fold,
            ) -> Callable[[str], list[int]]:
                return lambda name: look(fold(_path(form(name))))

            spaces = "without outer spaces, an apostrophe or other slashes" if not also else "whatever the capitals"
            rules += [
                (spaces, by(index.whole)),
                (f"without their suffix{also}", by(index.stem)),
                (f"percent-decoded{also}", by(index.whole_or_stem, unquote)),
                (f"without the prefix of an upload{also}", by(index.whole_or_stem, _uploaded)),
                (f"by the end of their path{also}", by(index.end)),
                (f"percent-decoded, by the end of their path{also}", by(index.end, unquote)),
                (f"without the prefix of an upload, by the end of their path{also}", by(index.end, _uploaded)),
            ]
        return rules


class _Index:
    """Places of images by path, by path without suffix, and by the ends of both."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._whole: dict[str, list[int]] = defaultdict(list)
        self._stems: dict[str, list[int]] = defaultdict(list)
        self._ends: dict[str, list[int]] = defaultdict(list)
        self._stem_ends: dict[str, list[int]] = defaultdict(list)
        self._last: set[str] = set()
        self.folders: dict[str, list[int]] = defaultdict(list)
        for place, path in enumerate(paths):
            self._whole[path].append(place)
            self._stems[_stem(path)].append(place)
            for end in _ends(path):
                self._ends[end].append(place)
                self._stem_ends[_stem(end)].append(place)
            *folders, last = path.split("/")
            self._last |= {last, _stem(last)}
            for folder in {name for part in folders for name in (part, re.sub(r"^[A-Za-z]+(?=\d)", "", part))}:
                self.folders[folder].append(place)

    def knows(self, path: str) -> bool:
        return path.rpartition("/")[2] in self._last

    def whole(self, name: str) -> list[int]:
        return self._whole.get(name, [])

    def stem(self, name: str) -> list[int]:
        return self._stems.get(name, [])

    def whole_or_stem(self, name: str) -> list[int]:
        return self.whole(name) or self.stem(name)

    def end(self, name: str) -> list[int]:
        """Find images whose path ends so; else the one that is the longest end of this name."""
        for ends, whole in ((self._ends, self._whole), (self._stem_ends, self._stems)):
            if found := ends.get(name):
                return found
            if found := next((whole[end] for end in _ends(name) if end in whole), []):
                return found
        return []


def _composed(name: str) -> str:
    """Undo the decomposition of accents that macOS applies to file names."""
    return unicodedata.normalize("NFC", name)


def _path(name: str) -> str:
    """Bring a path to forward slashes without empty or "." parts, outer spaces and a spreadsheet's apostrophe."""
    plain = _composed(name).strip()
    plain = plain.removeprefix("'") if plain[1:2] in ("=", "+", "-", "@", "'") else plain
    return "/".join(part for part in plain.replace("\\", "/").split("/") if part not in ("", "."))


def _stem(path: str) -> str:
    head, dot, tail = path.rpartition(".")
    return head if dot and head and not head.endswith("/") and "/" not in tail else path


def _ends(path: str) -> list[str]:
    """List the ends of a path, the whole first: a/b/c, b/c, c."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _uploaded(name: str) -> str:
    """Take off what an annotation tool puts before the name of a file that was handed to it."""
    found = _UPLOAD.fullmatch(name)
    return name if found is None else found["name"] or unquote(found["local"])
