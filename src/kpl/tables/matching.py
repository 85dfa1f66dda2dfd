"""Which row of a table is meant for which picture."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple
from urllib.parse import unquote

from kpl.errors import TableError

_UPLOAD = re.compile(r"(?:^|.*/)upload/(?:\d+/)?[0-9a-f]{8}-(?P<name>.+)$|.*[?&]d=(?P<local>[^&]+)")
_UNUSUAL = re.compile(r"[%?'\\]|upload/")  # what the rules take apart; other names are known by their last part


class Identifiers(NamedTuple):
    """What stands for images beside their ids and is quoted nowhere: patient numbers, UIDs, paths of medical files.

    Attributes:
        look: gives the places of all images that an identifier stands for; None where it cannot be known.
        hint: what to know where none is found.
    """

    look: Callable[[str], list[int]] | None
    hint: str


class Matched(NamedTuple):
    """For each name the place of its image in the run, or None; and how many were matched by which wider rule."""

    places: list[int | None]
    how: Mapping[str, int]

    def told(self) -> list[str]:
        """Say how many images were matched by which wider rule; nothing where all are called as they stand."""
        return ["images were matched " + "; ".join(f"{rule}: {n}" for rule, n in self.how.items())] if self.how else []


def match_names(names: Sequence[str], ids: Sequence[str]) -> Matched:
    """Match the names of a label list with the image ids of a run, each by the narrowest rule that fits it.

    The rules: as it stands; without outer spaces or a spreadsheet's apostrophe; without its suffix; percent-decoded;
    without what an annotation tool puts before an upload; by the end of the path, where `scans/a/1.png`, `a/1.png` and
    `1.png` are one; by a number that lost the zeros before it; and all of these without regard to capitals. An image
    that a narrower rule gave away is not given again.

    Raises:
        TableError: by its narrowest rule a name fits several images, or an image several names.

    Example:
        >>> match_names(["1.png", "3.png"], ["1.png", "2.png"]).places
        [0, None]
        >>> match_names(["C:\\\\scans\\\\a\\\\1.png", "2"], ["2.png", "a/1.png"])
        Matched(places=[1, 0], how={'without their suffix': 1, 'by the end of their path': 1})
    """
    return Pictures(ids).match(names)


class Pictures:
    """The images of a run, ready to be found by a name.

    Args:
        ids: of the images.
        identifiers: what else stands for them, tried last; None where names may be quoted.
        patients: of the images, where they are known.
    """

    def __init__(
        self, ids: Sequence[str], identifiers: Identifiers | None = None, patients: Sequence[str | None] = ()
    ) -> None:
        self.ids = ids
        self.identifiers = identifiers
        self._identified: set[str] = set()
        self._patients: dict[str, list[int]] = defaultdict(list)
        for place, patient in enumerate(patients):
            if patient is not None:
                self._patients[patient].append(place)
        self._whole = {_composed(name): [place] for place, name in enumerate(ids)}

    @cached_property
    def _plain(self) -> _Index:
        return _Index(map(_path, self.ids))

    @cached_property
    def _folded(self) -> _Index:
        return _Index(_path(name).casefold() for name in self.ids)

    def may_fit(self, name: str) -> bool:
        """Say quickly whether any rule could give this name an image."""
        return name in self._whole or self._may_be_called(name) or bool(self._look(name))

    def called(self, name: str) -> list[str]:
        """Return what to match for a name: itself, or the ids of all images that it is an identifier of."""
        if name in self._whole or self._may_be_called(name):
            return [name]
        if self.identifiers is None:
            return []
        found = [self.ids[place] for place in self._look(name)]
        self._identified |= set(found)
        return found

    def quoted(self, name: str) -> str:
        """Return a name as a message may have it: an identifier is not told."""
        return repr(name) if self.identifiers is None or _composed(name) in self._whole else "an identifier"

    def _look(self, name: str) -> list[int]:
        look = self.identifiers and self.identifiers.look
        return look(name) if look else []

    def _may_be_called(self, name: str) -> bool:
        if name.isascii() and not _UNUSUAL.search(name):
            last = name[name.rfind("/") + 1 :].strip()
            if last and last != ".":
                return self._knows(last.lower())
        if _composed(name) in self._whole or self._knows(_path(name).casefold()):
            return True
        return any(self._knows(_path(form(name)).casefold()) for form in (unquote, _uploaded))

    def _knows(self, path: str) -> bool:
        last = path[path.rfind("/") + 1 :]
        return last in self._last or (last[:1].isdecimal() and f"#{_number(last)}" in self._last)

    @cached_property
    def _last(self) -> set[str]:
        """The last parts of all paths whatever the capitals, without their suffixes too, and numbers after a hash."""
        last = {_path(name).rpartition("/")[2].casefold() for name in self.ids}
        stems = {_stem(each) for each in last}
        return last | stems | {f"#{each.lstrip('0')}" for each in stems if each.isdecimal()}

    def below(self, folders: Iterable[str]) -> list[int]:
        """Return the places of the images that lie in all of these folders, at any level, or are of these patients.

        A folder may have letters before the number that it is called by: `p10000032` is `10000032`.
        """
        found = [self._of(folder) for folder in folders]
        return sorted(set.intersection(*found)) if found else []

    def _of(self, folder: str) -> set[int]:
        known = self._plain.folders.get(folder) or self._patients.get(folder)
        return set(known or (self._look(folder) if folder else ()))

    def inside(self, folder: str) -> list[int]:
        """Return the places of the images in a folder, at any level, by its path or the only one that ends alike."""
        ends = _ends(_path(folder))
        if whole := next((found for end in ends if (found := self._inside.get(end))), None):
            return whole
        alike = [places for path, places in self._inside.items() if f"/{path}".endswith(f"/{ends[0]}")]
        return alike[0] if len(alike) == 1 else []

    @cached_property
    def _inside(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for place, name in enumerate(self.ids):
            folders = _path(name).split("/")[:-1]
            for depth in range(1, len(folders) + 1):
                found["/".join(folders[:depth])].append(place)
        return dict(found)

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
                    raise TableError(
                        f"the row of {self.quoted(name)} fits {len(found)} images, such as {self.ids[found[0]]!r} and "
                        f"{self.ids[found[1]]!r}: write the names as predictions.csv has them"
                    )
                if found[0] in taken:
                    continue
                if given.setdefault(found[0], name) != name:
                    raise TableError(
                        f"the rows of {self.quoted(given[found[0]])} and {self.quoted(name)} both fit the image "
                        f"{self.ids[found[0]]!r}: "
                        "write the names as predictions.csv has them"
                    )
                places[name] = found[0]
            taken |= given
            if given and told:
                how[told] += len(given)
            open_names = [name for name in open_names if name not in fitting]
            if not open_names:
                break
        if identified := len(self._identified & {self.ids[place] for place in taken}):
            how["by the pseudonym of their identifier"] = identified
        return Matched([places[name] for name in names], dict(how))

    def _rules(self) -> Iterator[tuple[str, Callable[[str], list[int]]]]:
        """Yield how a match is told and how it is looked for, the narrowest first."""
        yield "", lambda name: self._whole.get(_composed(name), [])
        for fold, also in ((str, ""), (str.casefold, ", whatever the capitals")):
            index = self._folded if also else self._plain

            def by(
                look: Callable[[str], list[int]],
                form: Callable[[str], str] = str,
                fold: Callable[[str], str] = fold,
            ) -> Callable[[str], list[int]]:
                return lambda name: look(fold(_path(form(name))))

            spaces = "without outer spaces, an apostrophe or other slashes" if not also else "whatever the capitals"
            yield from (
                (spaces, by(index.whole)),
                (f"without their suffix{also}", by(index.stem)),
                (f"percent-decoded{also}", by(index.whole_or_stem, unquote)),
                (f"without the prefix of an upload{also}", by(index.whole_or_stem, _uploaded)),
                (f"by the end of their path{also}", by(index.end)),
                (f"by their number, without the zeros before it{also}", by(index.number)),
                (f"percent-decoded, by the end of their path{also}", by(index.end, unquote)),
                (f"without the prefix of an upload, by the end of their path{also}", by(index.end, _uploaded)),
            )


class _Index:
    """Places of images by path, by path without suffix, and by the ends of both."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._whole: dict[str, list[int]] = defaultdict(list)
        self._stems: dict[str, list[int]] = defaultdict(list)
        self._ends: dict[str, list[int]] = defaultdict(list)
        self._stem_ends: dict[str, list[int]] = defaultdict(list)
        self._numbers: dict[str, list[int]] = defaultdict(list)
        self.folders: dict[str, list[int]] = defaultdict(list)
        for place, path in enumerate(paths):
            self._whole[path].append(place)
            self._stems[_stem(path)].append(place)
            for end in _ends(path):
                self._ends[end].append(place)
                self._stem_ends[_stem(end)].append(place)
            *folders, last = path.split("/")
            if _stem(last).isdecimal():
                for end in _ends(_number(path)):
                    self._numbers[end].append(place)
            for folder in {name for part in folders for name in (part, re.sub(r"^[A-Za-z]+(?=\d)", "", part))}:
                self.folders[folder].append(place)

    def whole(self, name: str) -> list[int]:
        return self._whole.get(name, [])

    def stem(self, name: str) -> list[int]:
        return self._stems.get(name, [])

    def whole_or_stem(self, name: str) -> list[int]:
        return self.whole(name) or self.stem(name)

    def number(self, name: str) -> list[int]:
        """Find images called by this number, which a spreadsheet writes without the zeros that begin it."""
        return self._numbers.get(_number(name), [])

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


def _number(path: str) -> str:
    """Take suffix and leading zeros off the last part of a path."""
    folders, slash, last = path.rpartition("/")
    return folders + slash + _stem(last).lstrip("0")


def _ends(path: str) -> list[str]:
    """List the ends of a path, the whole first: a/b/c, b/c, c."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _uploaded(name: str) -> str:
    """Take off what an annotation tool puts before the name of a file that was handed to it."""
    found = _UPLOAD.fullmatch(name)
    return name if found is None else found["name"] or unquote(found["local"])
