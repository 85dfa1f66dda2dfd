"""The rules of lint: their codes, how much they weigh, what they mean and why; and what a finding is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "notice"]
"""An error spoils what an encoder reads, a warning probably does, a notice is worth knowing and never fails a check."""


@dataclass(frozen=True)
class Rule:
    """One thing that is looked for."""

    code: str
    name: str
    severity: Severity
    why: str
    """In one line, for people who have just met it."""
    fix: str = ""
    """What `--fix` does about it; empty when a person must decide."""


@dataclass(frozen=True)
class Finding:
    """One place where a rule found something; numbers of descriptions count from 1, None stands for a whole file."""

    rule: Rule
    message: str
    class_key: str | None = None
    description: int | None = None
    line: int | None = None
    text: str = ""
    """The sentence, as it stands in the file."""
    kind: Literal["description", "absent"] = "description"
    """Which list of the class `description` counts in."""

    def __str__(self) -> str:
        """Say it in one line, without the file's name."""
        line = f"line {self.line}: " if self.line else ""
        where = f"class {self.class_key!r}" if self.class_key is not None else ""
        where += f", {self.kind} {self.description}" if self.description else ""
        return f"{line}{self.rule.code} {self.rule.severity}: {f'{where}: ' if where else ''}{self.message}"


_LIST = (
    Rule("K101", "empty", "error", "Without a letter it says nothing, and weighs in the mean of its class.", "removed"),
    Rule("K102", "refusal", "error", "A language model's refusal describes nothing.", "removed"),
    Rule("K103", "preamble", "error", "'Here are some features:' introduces a list and describes nothing.", "removed"),
    Rule("K104", "cut", "error", "Half a sentence may say the opposite of the whole."),
    Rule("K105", "glued", "error", "Words grown together or said twice are read as others.", "leading stop removed"),
    Rule("K106", "fragment", "warning", "One word says less than the class name does; say what is seen."),
    Rule("K107", "markup", "error", "Tags, bullets and invisible characters are read as words.", "markup removed"),
    Rule("K108", "language", "warning", "In another language than the rest it lies far from them for any encoder."),
    Rule("K201", "repeated", "error", "A sentence that stands twice in its class weighs twice.", "the second removed"),
    Rule("K202", "near-duplicate", "warning", "Two sentences that say the same weigh twice; keep the better one."),
    Rule("K203", "shared", "warning", "What is said of two classes alike tells the two apart by nothing."),
    Rule("K301", "negation", "warning", "Encoders of the CLIP family do not read 'no': they see what is denied."),
    Rule("K302", "clinical", "warning", "What is felt or tested, cause, course and cure are not in a picture."),
    Rule("K303", "not-visible", "warning", "Origin, use, fame, habits or size alone, and nothing that could be seen."),
    Rule("K304", "empty-talk", "warning", "'Has a distinctive appearance' holds for every class."),
    Rule("K305", "other-class", "warning", "A sentence that names another class pulls towards that one."),
    Rule("K401", "too-few", "warning", "Among fewer than five there is nothing to choose; write twenty or more."),
    Rule("K402", "unbalanced", "warning", "A class with far more or fewer than the others is favoured or starved."),
    Rule("K403", "no-provenance", "warning", "Nobody can check what was written by nobody and from nothing."),
    Rule("K404", "unreviewed", "notice", "No person has said yet that these sentences are right."),
    Rule("K405", "template", "warning", "Whole sentences under a template that goes on to them make broken prompts."),
    Rule("K406", "names-only", "notice", "Class names without descriptions are a beginning."),
    Rule("K407", "no-modality", "notice", "An encoder for one kind of picture refuses knowledge that states none."),
    Rule("K501", "too-long", "error", "The encoder cannot read the prompt to its end, and nothing is ever cut."),
    Rule("K502", "unknown-words", "notice", "Words that the encoder's vocabulary lacks."),
    Rule("K503", "other-modality", "warning", "The encoder is made for another kind of picture."),
    Rule("K901", "idle-ignore", "warning", "An 'ignore' that silences nothing hides what comes later."),
)  # fmt: skip

RULES: dict[str, Rule] = {rule.code: rule for rule in _LIST}
"""Every rule by its code: K1 writing, K2 repetition, K3 content, K4 the file, K5 the encoder, K9 lint itself."""
