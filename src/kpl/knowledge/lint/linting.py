"""Lint as a whole: every rule over one file, what the file silences, and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kpl.knowledge.lint.across import find_in_file, find_near, find_other_classes, find_shared, row_finding
from kpl.knowledge.lint.language import odd_ones
from kpl.knowledge.lint.rules import RULES, Finding
from kpl.knowledge.lint.sentences import judge_content, judge_writing
from kpl.knowledge.lint.sheet import Sheet, read_sheet

Extra = Callable[[Sheet], Iterable[Finding]]


@dataclass(frozen=True)
class LintReport:
    """What lint found in a file, in the order of the file, and what the file silences with a reason."""

    name: str
    classes: int
    descriptions: int
    findings: Sequence[Finding]
    silenced: Sequence[Finding]

    @property
    def failed(self) -> bool:
        """Whether there is an error or a warning; notices do not count."""
        return any(finding.rule.severity != "notice" for finding in self.findings)

    def counts(self) -> dict[str, int]:
        """Count the findings of each rule, by its code."""
        return dict(sorted(Counter(finding.rule.code for finding in self.findings).items()))

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data, one flat mapping a finding."""

        def flat(finding: Finding) -> dict[str, Any]:
            rule = finding.rule
            return {"rule": rule.code, "name": rule.name, "severity": rule.severity} | {
                key: value for key, value in asdict(finding).items() if key != "rule"
            }

        return {
            "file": self.name,
            "classes": self.classes,
            "descriptions": self.descriptions,
            "failed": self.failed,
            "counts": self.counts(),
            "findings": [flat(finding) for finding in self.findings],
            "silenced": [flat(finding) for finding in self.silenced],
        }


def lint_knowledge(name_or_path: str | Path, extra: Sequence[Extra] = ()) -> LintReport:
    """Look through a knowledge file, or a pack, for everything that a person should mend or know.

    `extra` adds rules that need more than the file, such as `EncoderRules`.

    Raises:
        UnknownNameError: neither a file nor a pack.
        KnowledgeError: the file is no knowledge file, or wrong in a way that lint cannot look past; with line and mend.

    Example:
        >>> report = lint_knowledge("blood-cells")
        >>> report.failed, list(report.counts())
        (False, ['K404'])
    """
    sheet = read_sheet(name_or_path)
    found = [
        *_find_faults(sheet),
        *_judge_each(sheet),
        *find_near(sheet),
        *find_shared(sheet),
        *find_other_classes(sheet),
        *find_in_file(sheet),
        *(finding for find in extra for finding in find(sheet)),
    ]
    kept, silenced = _silence(sheet, found)
    order = {entry.key: number for number, entry in enumerate(sheet.knowledge.classes)}

    def place(finding: Finding) -> tuple[int, bool, int, str]:
        number = order.get(finding.class_key or "", len(order))
        return number, finding.kind == "absent", finding.description or 0, finding.rule.code

    kept.sort(key=place)
    return LintReport(sheet.name, len(order), len(sheet.rows), kept, silenced)


def _find_faults(sheet: Sheet) -> Iterable[Finding]:
    words = {"empty": ("K101", "no letter in it"), "repeated": ("K201", "stands in the class already")}
    for row in sheet.rows:
        if row.fault is not None:
            yield row_finding(sheet, row, *words[row.fault])


def _judge_each(sheet: Sheet) -> Iterable[Finding]:
    rows = [*sheet.sound, *sheet.absent]
    for row, odd in zip(rows, odd_ones([row.text for row in rows]), strict=True):
        writing = list(judge_writing(sheet, row))
        describes = not any(code in ("K102", "K103") for code, _ in writing)
        for code, message in [*writing, *(judge_content(sheet, row) if describes else ())]:
            yield row_finding(sheet, row, code, message)
        if odd:
            yield row_finding(sheet, row, "K108", f"{odd}, unlike the rest of the file")


def _silence(sheet: Sheet, found: list[Finding]) -> tuple[list[Finding], list[Finding]]:
    """Part the findings that the file sets aside from the others; an 'ignore' without effect is a finding too."""
    kb = sheet.knowledge
    scopes: dict[tuple[str | None, int | None, str], bool] = {(None, None, each.rule): False for each in kb.ignore}
    for entry in kb.classes:
        scopes |= {(entry.key, None, each.rule): False for each in entry.ignore}
    for row in sheet.sound:
        key = kb.classes[row.class_number].key
        for each in row.facts.ignore if row.facts else ():
            scopes[key, row.position + 1, each.rule] = False
    kept: list[Finding] = []
    silenced: list[Finding] = []
    for finding in found:
        code = finding.rule.code
        number = finding.description if finding.kind == "description" else None
        places = ((None, None, code), (finding.class_key, None, code), (finding.class_key, number, code))
        used = [place for place in places if place in scopes]
        for place in used:
            scopes[place] = True
        (silenced if used else kept).append(finding)
    for (class_key, number, code), used_once in scopes.items():
        if not used_once:
            known = "silences nothing: remove it" if code in RULES else "is no rule of lint: see 'kpl knowledge rules'"
            kept.append(Finding(RULES["K901"], f"the ignore of {code} {known}", class_key, number))
    return kept, silenced
