"""The rules that compare sentences with each other, and those that judge the file as a whole."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from statistics import median

from kpl.knowledge.folding import fold_sentence
from kpl.knowledge.lint.rules import RULES, Finding
from kpl.knowledge.lint.sheet import Row, Sheet
from kpl.knowledge.lint.words import EVERYDAY, VISIBLE, stems

NEAR = 0.75
"""Share of the words of two sentences that must be the same for them to say the same."""
FEWEST = 5


def row_finding(sheet: Sheet, row: Row, code: str, message: str) -> Finding:
    """Build a finding about one row."""
    key = sheet.knowledge.classes[row.class_number].key
    return Finding(RULES[code], message, key, row.position + 1, row.line, row.text, row.kind)


def find_near(sheet: Sheet) -> Iterator[Finding]:
    """Find sentences of a class that say in nearly the same words what an earlier one says."""
    for rows in _by_class(sheet):
        words = [stems(row.text) for row in rows]
        for later in range(1, len(rows)):
            for earlier in range(later):
                shared = len(words[later] & words[earlier])
                if shared >= 3 and shared >= NEAR * len(words[later] | words[earlier]):
                    message = f"says nearly what description {rows[earlier].position + 1} says"
                    yield row_finding(sheet, rows[later], "K202", message)
                    break


def find_shared(sheet: Sheet) -> Iterator[Finding]:
    """Find sentences that two classes share, but for the name of the class in them."""
    owners: dict[str, int] = {}
    for row in sheet.sound:
        masked = fold_sentence(_masked(sheet, row))
        owner = owners.setdefault(masked, row.class_number)
        if owner != row.class_number:
            key = sheet.knowledge.classes[owner].key
            yield row_finding(sheet, row, "K203", f"also said of {key!r}, so it tells the two apart by nothing")


def find_other_classes(sheet: Sheet) -> Iterator[Finding]:
    """Find sentences that name a class other than their own, unless they declare that they are set against one."""
    owners = _owners(sheet)
    starts: dict[str, int] = {}
    for name in owners:
        first, length = name.partition(" ")[0], name.count(" ") + 1
        starts[first] = max(length, starts.get(first, 0))
    for row in sheet.sound:
        if row.facts is not None and row.facts.against is not None:
            continue
        words = _TOKEN.findall(_masked(sheet, row))
        short = (word for word in words if len(word) == 2 and word.isupper())
        for name in (*short, *_spans([word.lower() for word in words], starts)):
            number = owners.get(name, row.class_number)
            if number != row.class_number:
                key = sheet.knowledge.classes[number].key
                yield row_finding(sheet, row, "K305", f"names the class {key!r}")
                break


def find_in_file(sheet: Sheet) -> Iterator[Finding]:
    """Find what is wrong with counts, provenance and the template."""
    kb = sheet.knowledge
    if kb.task.modality is None:
        yield Finding(RULES["K407"], "the modality is unknown: state task.modality")
    if not sheet.rows:
        message = "class names and no descriptions: write them with 'kpl knowledge write'"
        yield Finding(RULES["K406"], message)
        return
    if sheet.whole_sentences and not kb.task.template.startswith("{description}"):
        reason = f"most descriptions are whole sentences, but the template goes on to them: {kb.task.template!r}"
        yield Finding(RULES["K405"], f"{reason}; '{{description}}' alone may fit better")
    counts = [len(entry.descriptions) for entry in kb.classes]
    middle = median(counts)
    for number, count in enumerate(counts):
        key, line = kb.classes[number].key, sheet.line_of_class[number]
        if count < FEWEST:
            yield Finding(RULES["K401"], f"{count} descriptions: write {FEWEST} or more", key, None, line)
        elif not middle / 2 <= count <= 2 * middle:
            yield Finding(RULES["K402"], f"{count} descriptions, but {middle:g} in the middle class", key, None, line)
    facts = [each.provenance for entry in kb.classes for each in entry.descriptions]
    if bare := sum(not (each and (each.author or each.source)) for each in facts):
        yield Finding(RULES["K403"], f"{bare} of {len(facts)} sentences say neither author nor source")
    if unread := sum(not (each and each.reviewed_by) for each in facts):
        yield Finding(RULES["K404"], f"{unread} of {len(facts)} sentences have been reviewed by nobody")


_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|\*")

_ADJECTIVES = {"osis": ("otic", "ous"), "oma": ("omatous",), "ia": ("ic",), "itis": ("itic",), "edema": ("edematous",)}


def _owners(sheet: Sheet) -> dict[str, int]:
    """Map every name in lower case to its class, and the adjective of an illness; two capitals stay capitals."""
    owners: dict[str, int] = {}
    for number, entry in enumerate(sheet.knowledge.classes):
        for name in (entry.key, entry.name, *entry.aliases):
            folded = " ".join(_TOKEN.findall(name.replace("_", " ").lower()))
            if len(name) == 2 and name.isupper() and name.isalpha():
                owners.setdefault(name, number)
            if len(folded) <= 2 or folded.isdigit() or folded in VISIBLE or folded in EVERYDAY:
                continue
            owners.setdefault(folded, number)
            for ending, adjectives in _ADJECTIVES.items():
                if folded.endswith(ending) and len(folded) > 7 and " " not in folded:
                    for adjective in adjectives:
                        owners.setdefault(folded.removesuffix(ending) + adjective, number)
    return owners


def _spans(words: list[str], starts: dict[str, int]) -> Iterator[str]:
    """Give the runs of words that begin as a name does, longer ones first, also without a closing plural s."""
    for start, word in enumerate(words):
        longest = starts.get(word) or (word.endswith("s") and starts.get(word[:-1])) or 0
        for length in range(longest, 0, -1):
            run = " ".join(words[start : start + length])
            yield run
            if run.endswith("s") and not run.endswith("ss"):
                yield run[:-1]


def _masked(sheet: Sheet, row: Row) -> str:
    """Give the sentence with a star for each name of its class."""
    said = row.class_number, row.text
    if said not in sheet.masked:
        sheet.masked[said] = _own_names(sheet, row.class_number).sub(" * ", row.text)
    return sheet.masked[said]


def _own_names(sheet: Sheet, number: int) -> re.Pattern[str]:
    """Match the names of a class, and each word of a name that has several."""
    if number in sheet.patterns:
        return sheet.patterns[number]
    entry = sheet.knowledge.classes[number]
    names = {name.replace("_", " ") for name in (entry.key, entry.name, *entry.aliases)}
    words = {word for name in names for word in name.split() if len(word) > 3}
    ordered = sorted(names | words, key=len, reverse=True)
    sheet.patterns[number] = re.compile(rf"\b(?:{'|'.join(map(re.escape, ordered))})(?:e?s)?\b", re.IGNORECASE)
    return sheet.patterns[number]


def _by_class(sheet: Sheet) -> list[list[Row]]:
    classes: dict[int, list[Row]] = defaultdict(list)
    for row in sheet.sound:
        classes[row.class_number].append(row)
    return list(classes.values())
