"""Texts that a language model is given to draw from, cut into passages that a description can cite."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kpl.errors import InputError

MAX_BYTES = 16 * 2**20
_PASSAGE = 1000  # characters: long enough to carry a description, short enough to be looked up by a person
_GIVEN = 8  # passages in one request


@dataclass(frozen=True)
class Passage:
    """A piece of a source: the file's name, its lines, and its text."""

    file: str
    first: int
    last: int
    text: str

    def __str__(self) -> str:
        """Cite it as it stands in the provenance of a description.

        Example:
            >>> str(Passage("atlas.md", 3, 7, "..."))
            'atlas.md, lines 3-7'
        """
        return f"{self.file}, line{f's {self.first}-{self.last}' if self.last > self.first else f' {self.first}'}"


def read_passages(paths: Sequence[Path]) -> list[Passage]:
    """Cut text files into passages, at blank lines where there are any.

    Raises:
        InputError: not a file, too large, not text, or nothing in it.
    """
    return [passage for path in paths for passage in _cut(path)]


def _cut(path: Path) -> list[Passage]:
    try:
        if not path.is_file():
            raise InputError(f"{path}: not a file: --sources takes text files")
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): check its permissions") from error
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES // 2**20} MB: give the chapters that matter")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError(f"{path}: not UTF-8 text: --sources reads .txt, .md and the like; save a PDF as text first")
    passages: list[Passage] = []
    held: list[str] = []
    first = 1
    lines = text.splitlines()
    for number, line in enumerate([*lines, ""], start=1):
        full = sum(map(len, held)) >= _PASSAGE
        if held and ((not line.strip() and sum(map(len, held)) >= _PASSAGE / 3) or full or number > len(lines)):
            passages.append(Passage(path.name, first, number - 1, " ".join(" ".join(held).split())[: 4 * _PASSAGE]))
            held = []
        if line.strip():
            if not held:
                first = number
            held.append(line)
    if not passages:
        raise InputError(f"{path}: holds no text: give a file with something to draw from")
    return passages


def choose_passages(passages: Sequence[Passage], about: Sequence[str]) -> list[int]:
    """Return the indices of the passages that share most words with some names, rarer words counting more.

    All of them when there are few; those without a shared word only if no passage has one.

    Example:
        >>> pages = [Passage("a", n, n, text) for n, text in enumerate(["on cats"] * 8 + ["on dogs", "dogs bark"])]
        >>> choose_passages(pages, ["dog"])
        [8, 9]
    """
    if len(passages) <= _GIVEN:
        return list(range(len(passages)))
    words = [set(_stems(passage.text)) for passage in passages]
    spread = Counter(stem for stems in words for stem in stems)
    wanted = {stem for name in about for stem in _stems(name)}
    scores = [sum(1 / spread[stem] for stem in wanted & stems) for stems in words]
    best = sorted(range(len(passages)), key=lambda n: (-scores[n], n))[:_GIVEN]
    return sorted(n for n in best if scores[n] > 0) or sorted(best)


def supports(passage: Passage, sentence: str) -> bool:
    """Tell whether a passage may carry a sentence: they share a word that means something.

    A weak test, which catches citations out of thin air and no more; text of scripts without spaces passes.
    """
    stems = set(_stems(sentence))
    return not stems or bool(stems & set(_stems(passage.text)))


def _stems(text: str) -> list[str]:
    """List the words of four letters and more, cut to five, so that endings do not count; shorter ones if alone."""
    words = re.findall(r"[a-zà-žа-яα-ω]+", text.casefold())
    long = [word[:5].rstrip("s") for word in words if len(word) > 3]
    return long or [word.rstrip("s") for word in words if len(word) == 3]
