"""Writing the descriptions of a knowledge file with a language model, from the questions to the finished file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kpl.authoring.answers import fold_loosely
from kpl.authoring.asking import Asker, side_by_side
from kpl.authoring.interview import Candidate, Found, Interview, Plan
from kpl.authoring.passages import Passage
from kpl.errors import InputError, KnowledgeError, LanguageModelError
from kpl.knowledge import Description, Provenance
from kpl.knowledge.rewriting import KnowledgeFile

__all__ = ["UNVERIFIED", "Written", "write_descriptions"]

UNVERIFIED = "language model, unverified"
"""The source of a sentence that a model wrote from what it knows."""
_MAX_CONTRAST = 1000

Tell = Callable[[str, int, int], None]


@dataclass
class Written:
    """What came into the file: sentences by class, classes that stay short, and why sentences were left out."""

    added: dict[str, int] = field(default_factory=dict)
    short: dict[str, int] = field(default_factory=dict)
    """Classes with fewer descriptions than wanted, and how many they have."""
    shared: int = 0
    """Left out because two classes had them."""
    judged: int = 0
    """Left out by the model's own critique."""
    uncited: int = 0
    """Left out because no passage carries them."""
    negated: int = 0
    """Sentences on absence for which the model gave none, so that the description is negated."""

    def __str__(self) -> str:
        """Say it in words.

        Example:
            >>> str(Written(added={"a": 3, "b": 2}, shared=1))
            '5 new descriptions in 2 classes; left out: 1 said of two classes'
        """
        reasons = [
            (self.shared, "said of two classes"),
            (self.judged, "dropped by the critique"),
            (self.uncited, "without a passage that carries them"),
        ]
        left = ", ".join(f"{count} {reason}" for count, reason in reasons if count)
        told = f"{sum(self.added.values())} new descriptions in {len([n for n in self.added.values() if n])} classes"
        return f"{told}; left out: {left}" if left else told


def write_descriptions(
    path: Path,
    plan: Plan,
    asker: Asker,
    *,
    passages: Sequence[Passage] = (),
    at_once: int = 1,
    tell: Tell = lambda _stage, _done, _total: None,
) -> Written:
    """Bring every class of a knowledge file to the planned number of descriptions.

    The file is written once, at the end. Whatever stops the work before leaves the file as it was; the answers that
    came are kept, so that the same command asks nothing twice. The same kept calls give the same bytes.

    Raises:
        KnowledgeError: the file is faulty, or has pairs of absent sentences that the plan would break.
        LanguageModelError: the model cannot be asked, the budget is spent, or a class got no description at all (the
            others are written all the same).
        OutputError: the file was changed meanwhile, or the disk refuses.
    """
    file = KnowledgeFile(path)
    kb = file.knowledge
    _check(file, plan)
    interview = Interview(kb, plan, asker, passages)

    def run(act: Callable[[int], Found], stage: str, numbers: Sequence[int]) -> dict[int, Found]:
        found = side_by_side(
            act, numbers, at_once=at_once, tell=lambda done, total: tell(stage, done, total), give_up=asker.stop
        )
        return dict(zip(numbers, found, strict=True))

    written = Written()
    numbers = [n for n, entry in enumerate(kb.classes) if len(entry.descriptions) < plan.per_class and plan.asks]
    found = run(interview.describe, "writing", numbers)
    written.judged = sum(each.judged for each in found.values())
    written.uncited = sum(each.uncited for each in found.values())
    _drop_shared(file, found)
    written.shared = sum(each.shared for each in found.values())
    new = {
        number: [_description(each, plan.model) for each in found[number].kept[: plan.per_class - has]]
        for number in numbers
        for has in [len(kb.classes[number].descriptions)]
    }
    absent = _absent(interview, file, new, plan, run)
    written.negated = sum(each.negated for each in absent.values())
    _add(file, new, {number: each.absent for number, each in absent.items()})
    for number, entry in enumerate(kb.classes):
        count = len(new.get(number, ()))
        if number in new:
            written.added[entry.key] = count
        if len(entry.descriptions) + count < plan.per_class and plan.asks:
            written.short[entry.key] = len(entry.descriptions) + count
    _refuse_empty(file, written, {kb.classes[n].key: each for n, each in found.items()})
    return written


def _check(file: KnowledgeFile, plan: Plan) -> None:
    """Refuse before the first call what would fail after the last."""
    classes = file.knowledge.classes
    if "contrast" in plan.strategies and len(classes) > _MAX_CONTRAST:
        raise InputError(
            f"{file.path}: {len(classes)} classes: the strategy 'contrast' compares at most {_MAX_CONTRAST}: "
            "choose another"
        )
    if not plan.asks and not any(entry.descriptions for entry in classes):
        raise InputError(f"{file.path}: no descriptions yet: add a --strategy that writes some, for example attributes")
    for entry in classes:
        if (
            plan.asks
            and "absent" not in plan.strategies
            and len(entry.absent) > 1
            and (len(entry.descriptions) < plan.per_class)
        ):
            raise KnowledgeError(
                f"{file.path}, class {entry.key!r}: has an absent sentence for each description: add "
                "'--strategy absent', so that the new ones have theirs"
            )


def _drop_shared(file: KnowledgeFile, found: dict[int, Found]) -> None:
    """Drop what the model said of two classes, or what another class of the file says already."""
    owners: dict[str, set[int]] = {}
    for number, entry in enumerate(file.knowledge.classes):
        for description in entry.descriptions:
            owners.setdefault(fold_loosely(description.text), set()).add(number)
    for number, each in found.items():
        for candidate in each.kept:
            owners.setdefault(fold_loosely(candidate.text), set()).add(number)
    for each in found.values():
        kept = [candidate for candidate in each.kept if len(owners[fold_loosely(candidate.text)]) == 1]
        each.shared = len(each.kept) - len(kept)
        each.kept = kept


def _description(candidate: Candidate, model: str) -> Description:
    source = f"{candidate.passage}, as cited by the language model" if candidate.passage else UNVERIFIED
    provenance = Provenance(author=model, written=candidate.asked[:10], source=source)
    return Description(text=candidate.text, against=candidate.against, provenance=provenance)


def _absent(
    interview: Interview,
    file: KnowledgeFile,
    new: dict[int, list[Description]],
    plan: Plan,
    run: Callable[[Callable[[int], Found], str, Sequence[int]], dict[int, Found]],
) -> dict[int, Found]:
    """Ask for what is seen when a class is not there, of the classes that have no one sentence against all."""
    if "absent" not in plan.strategies:
        return {}
    texts = {
        number: [each.text for each in (*entry.descriptions, *new.get(number, ()))]
        for number, entry in enumerate(file.knowledge.classes)
        if len(entry.absent) != 1 or len(entry.descriptions) == 1
    }
    numbers = [n for n, all_texts in texts.items() if len(file.knowledge.classes[n].absent) < len(all_texts)]
    return run(lambda number: interview.absent(number, texts[number]), "absent", numbers)


def _add(file: KnowledgeFile, new: dict[int, list[Description]], absent: dict[int, list[str]]) -> None:
    """Put everything into the file and write it, if there is anything."""
    for number, descriptions in new.items():
        file.add_descriptions(number, descriptions)
    for number, sentences in absent.items():
        file.add_absent(number, sentences)
    if any(new.values()) or any(absent.values()):
        file.save()


def _refuse_empty(file: KnowledgeFile, written: Written, found: dict[str, Found]) -> None:
    """Tell of classes that have nothing, after what there is has been written."""
    empty = [key for key, count in written.short.items() if count == 0]
    if not empty:
        return
    more = f" (and {len(empty) - 1} more classes)" if len(empty) > 1 else ""
    came = found[empty[0]]
    heard = "".join(c if c.isprintable() else " " for c in came.last)[:80].strip()
    if came.shared:
        heard = "what came was said of another class too"
    elif came.uncited:
        heard = "what came cites no passage that carries it"
    else:
        heard = f"the answer begins {heard!r}"
    total = sum(written.added.values())
    kept = f"{total} descriptions of other classes are written; " if total else ""
    raise LanguageModelError(
        f"{file.path}, class {empty[0]!r}{more}: no usable description came ({heard}): {kept}"
        "try another --seed or --model, or write them by hand"
    )
