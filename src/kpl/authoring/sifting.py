"""What lint would find in a sentence, found before the sentence enters the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kpl.authoring.answers import fold_loosely
from kpl.knowledge import Description
from kpl.knowledge.lint.across import find_near, find_other_classes, find_shared
from kpl.knowledge.lint.language import odd_ones
from kpl.knowledge.lint.sentences import judge_content, judge_writing
from kpl.knowledge.lint.sheet import Row, Sheet, read_sheet

_SAMPLE = 200  # sentences of the file that tell in which language it is


class Sieve:
    """Applies the rules of lint to sentences that are to enter a knowledge file, but those that the file sets aside.

    The answers are the codes of the rules, one for each faulty sentence, by its place.
    """

    def __init__(self, path: Path) -> None:
        self._sheet = read_sheet(path)
        kb = self._sheet.knowledge
        self._aside = [{each.rule for each in (*kb.ignore, *entry.ignore)} for entry in kb.classes]

    def sift(self, number: int, held: Sequence[str], fresh: Sequence[Description]) -> dict[int, str]:
        """Find the faulty ones among the fresh sentences of a class.

        `held` are the sentences of the class that count already: what nearly repeats one of them is faulty.
        """
        new = [_row(number, place, each) for place, each in enumerate(fresh, start=len(held))]
        # Among themselves: a file of whole sentences does not make a model's phrases look cut.
        alone = replace(self._sheet, rows=new)
        others = [row.text for row in self._sheet.sound[:_SAMPLE]] + [*held]
        broken: dict[int, str] = {}

        def note(place: int, codes: Iterable[str]) -> None:
            if place >= len(held) and (counting := [code for code in codes if code not in self._aside[number]]):
                broken.setdefault(place, counting[0])

        for row, odd in zip(new, odd_ones([*others, *(row.text for row in new)])[len(others) :], strict=True):
            note(row.position, [*_judge(alone, row), *(["K108"] if odd else [])])
        for finding in find_other_classes(alone):
            note((finding.description or 0) - 1, [finding.rule.code])
        old = [_row(number, place, Description(text=text)) for place, text in enumerate(held)]
        clean = [*old, *(row for row in new if row.position not in broken)]
        for finding in find_near(replace(self._sheet, rows=clean)):
            note((finding.description or 0) - 1, [finding.rule.code])
        return {place - len(held): code for place, code in broken.items()}

    def sift_absent(self, number: int, texts: Sequence[str], absent: Sequence[str]) -> dict[int, str]:
        """Find the faulty ones among sentences on absence, which may say what is not there and name another class.

        `texts` are the descriptions of the class.
        """
        rows = [_row(number, place, Description(text=text)) for place, text in enumerate(absent)]
        alone = replace(self._sheet, rows=rows)
        odd = odd_ones([*texts, *absent])[len(texts) :]
        codes = [[*_judge(alone, row), *(["K108"] if odd[row.position] else [])] for row in rows]
        faults = [[code for code in each if code not in {"K301", *self._aside[number]}] for each in codes]
        return {place: each[0] for place, each in enumerate(faults) if each}

    def compare(self, new: Mapping[int, Sequence[str]]) -> dict[int, dict[int, str]]:
        """Find, by class, what only shows between classes: the same said of two, or in another language."""
        first = [len(entry.descriptions) for entry in self._sheet.knowledge.classes]
        rows = list(self._sheet.sound)
        for number, texts in new.items():
            rows += [_row(number, first[number] + n, Description(text=text)) for n, text in enumerate(texts)]
        odd = [row for row, odd in zip(rows, odd_ones([row.text for row in rows]), strict=True) if odd]
        broken: dict[int, dict[int, str]] = {number: {} for number in new}
        for code, found in (("K108", odd), ("K203", _shared(self._sheet, rows))):
            for row in found:
                place = row.position - first[row.class_number]
                if place >= 0 and code not in self._aside[row.class_number]:
                    broken[row.class_number][place] = code
        return broken


def _row(number: int, place: int, facts: Description) -> Row:
    return Row(class_number=number, position=place, raw=facts.text, line=None, fault=None, facts=facts)


def _judge(sheet: Sheet, row: Row) -> list[str]:
    """List the rules that a sentence breaks by itself."""
    writing = [code for code, _ in judge_writing(sheet, row)]
    describes = not {"K102", "K103"} & set(writing)
    return [*writing, *(code for code, _ in (judge_content(sheet, row) if describes else ()))]


def _shared(sheet: Sheet, rows: Sequence[Row]) -> list[Row]:
    """Find the sentences of two classes; lint names all but the first class's, so the rest is found from the end."""
    folded = [replace(row, raw=fold_loosely(row.raw)) for row in rows]
    found = {
        (finding.class_key, finding.description)
        for order in (folded, folded[::-1])
        for finding in find_shared(replace(sheet, rows=order))
    }
    keys = [entry.key for entry in sheet.knowledge.classes]
    return [row for row in rows if (keys[row.class_number], row.position + 1) in found]
