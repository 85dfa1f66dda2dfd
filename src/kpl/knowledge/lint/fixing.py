"""What lint mends by itself: nothing is reworded, and the layout and comments of the file stay."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from kpl.errors import KnowledgeError
from kpl.files import locked
from kpl.knowledge.folding import fold_sentence
from kpl.knowledge.lint.linting import lint_knowledge
from kpl.knowledge.lint.rules import RULES
from kpl.knowledge.lint.sentences import cleaned
from kpl.knowledge.packs import own_pack, pack_names

_REMOVED = ("K101", "K102", "K103", "K201")
_CLEANED = ("K105", "K107")


def fix_knowledge(path: str | Path) -> dict[str, int]:
    """Mend in a file what lint finds and can mend safely; return how many times, by the code of the rule.

    Empty entries, refusals, preambles and repeats are removed, markup and a leading stop taken out. A class keeps its
    last description whatever is found in it. Absent sentences are left as they are: they stand in pairs.

    Raises:
        KnowledgeError: a pack, a plain file, or a file that lint cannot look past.
        OutputError: the file cannot be written.
    """
    path = own_pack(str(path)) or path
    if str(path) in pack_names():
        raise KnowledgeError(f"{path} is a pack: copy it with 'kpl knowledge import {path} --as NAME' first")
    if not Path(path).is_file():
        lint_knowledge(path)  # says what it is instead
    with locked(path, wait=True):  # what is read is what is mended
        return _fix(Path(path))


def _fix(path: Path) -> dict[str, int]:
    from kpl.knowledge.editing import KnowledgeFile  # only here: to look needs no YAML editor

    report = lint_knowledge(path)
    file = KnowledgeFile(path, faulty=True)
    removed: dict[int, dict[int, str]] = defaultdict(dict)
    changed: dict[int, dict[int, tuple[str, str]]] = defaultdict(dict)
    numbers = {entry.key: number for number, entry in enumerate(file.knowledge.classes)}
    for finding in report.findings:
        if finding.class_key is None or finding.description is None or finding.kind != "description":
            continue
        number, position = numbers[finding.class_key], finding.description - 1
        if finding.rule.code in _REMOVED:
            removed[number][position] = finding.rule.code
        elif finding.rule.code in _CLEANED and cleaned(finding.text) != finding.text:
            changed[number][position] = (finding.rule.code, cleaned(finding.text))
    done: Counter[str] = Counter()
    for number in sorted({*removed, *changed}):
        texts = file.texts(number)
        gone = removed[number]
        if len(gone) >= len(texts):
            gone = dict(list(gone.items())[:-1])
        seen = {fold_sentence(text) for place, text in enumerate(texts) if place not in gone | changed[number]}
        for position, (code, text) in changed[number].items():
            if position in gone:
                continue
            if fold_sentence(text) in seen or not any(map(str.isalpha, text)):
                if len(gone) + 1 < len(texts):
                    gone[position] = code
                continue
            seen.add(fold_sentence(text))
            file.change_text(number, position, text)
            done[code] += 1
        file.remove_descriptions(number, list(gone))
        done.update(gone.values())
    if done:
        file.save()
    return {code: done[code] for code in RULES if done[code]}
