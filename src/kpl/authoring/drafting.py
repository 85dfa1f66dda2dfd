"""Writing the descriptions of a knowledge file with a language model, from the questions to the finished file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kpl.authoring.asking import Asker, BudgetSpentError, Meter, side_by_side
from kpl.authoring.interview import Candidate, Found, Interview, Plan
from kpl.authoring.passages import Passage
from kpl.authoring.sifting import Sieve
from kpl.errors import InputError, KnowledgeError, LanguageModelError
from kpl.knowledge import Description, Provenance
from kpl.knowledge.editing import KnowledgeFile
from kpl.progress import Progress, silent

UNVERIFIED = "language model, unverified"
"""The source of a sentence that a model wrote from what it knows."""
_MAX_CONTRAST = 1000

Act = Callable[[int, Callable[[int], None]], Found]


@dataclass
class Written:
    """What came into the file: sentences by class, classes that stay short, and why sentences were left out."""

    added: dict[str, int] = field(default_factory=dict)
    absent: int = 0
    """Sentences on absence that came, without the negated descriptions."""
    short: dict[str, int] = field(default_factory=dict)
    """Classes with fewer descriptions than wanted, and how many they have."""
    shared: int = 0
    """Left out because two classes had them."""
    judged: int = 0
    """Left out by the model's own critique."""
    linted: Counter[str] = field(default_factory=Counter)
    """Left out by lint, by the code of the rule; sentences on absence among them."""
    uncited: int = 0
    """Left out because no passage carries them."""
    negated: int = 0
    """Sentences on absence for which the model gave none, so that the description is negated."""

    def __str__(self) -> str:
        """Say it in words.

        Example:
            >>> str(Written(added={"a": 3, "b": 2}, shared=1, linted=Counter(K301=3, K202=5)))
            '5 new descriptions in 2 classes; left out: 8 by lint (K202 5, K301 3), 1 said of two classes'
        """
        left = _left_out(self)
        count, classes = sum(self.added.values()), sum(1 for n in self.added.values() if n)
        told = f"{count} new description{_s(count)} in {classes} class{_s(classes, 'es')}"
        told += f", {self.absent} sentence{_s(self.absent)} on absence" if self.absent else ""
        return f"{told}; left out: {left}" if left else told


def _left_out(of: Written | Found) -> str:
    """Say how many sentences were left out, and why; empty when none was."""
    rules = ", ".join(f"{code} {count}" for code, count in sorted(of.linted.items()))
    reasons = [
        (of.linted.total(), f"by lint ({rules})"),
        (of.shared, "said of two classes"),
        (of.judged, "dropped by the critique"),
        (of.uncited, "without a passage that carries them"),
    ]
    return ", ".join(f"{count} {reason}" for count, reason in reasons if count)


def _s(count: int, ending: str = "s") -> str:
    return "" if count == 1 else ending


def write_descriptions(
    path: Path,
    plan: Plan,
    asker: Asker,
    *,
    passages: Sequence[Passage] = (),
    at_once: int = 1,
    tell: Progress = silent,
) -> Written:
    """Bring every class of a knowledge file to the planned number of descriptions.

    What lint would find in a sentence is left out, and others are asked for. `tell` hears the stage, how many of its
    sentences there are and how many are to come, from several threads, one at a time.

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
    sieve = Sieve(path)
    interview = Interview(kb, plan, asker, sieve, passages)

    def run(act: Act, meter: Meter, numbers: Sequence[int]) -> dict[int, Found]:
        def one(number: int) -> Found:
            found = act(number, lambda count: meter.reach(number, count))
            meter.finish(number)
            return found

        try:
            found = side_by_side(one, numbers, at_once=at_once, give_up=asker.stop)
        except BudgetSpentError as error:
            raise asker.explain(error) from None
        return dict(zip(numbers, found, strict=True))

    wanted = {n: interview.wanted(n) for n in range(len(kb.classes)) if plan.asks and interview.wanted(n)}
    found: dict[int, Found] = {}
    if wanted:
        meter = Meter(wanted, lambda done, total: tell("writing", done, total))
        while open_ones := [number for number in wanted if not interview.is_over(number)]:
            found |= run(interview.describe, meter, open_ones)
            _compare(sieve, found)
    new = {
        number: [_description(each, plan.model) for each in found[number].kept[:count]]
        for number, count in wanted.items()
    }
    absent: dict[int, Found] = {}
    if "absent" in plan.strategies and (texts := _without_absent(file, new)):
        lacking = {number: len(all_) - len(kb.classes[number].absent) for number, all_ in texts.items()}
        meter = Meter(lacking, lambda done, total: tell("absent", done, total))
        absent = run(lambda number, reach: interview.absent(number, texts[number], reach), meter, list(texts))
    written = Written()
    for each in (*found.values(), *absent.values()):
        written.judged += each.judged
        written.uncited += each.uncited
        written.shared += each.shared
        written.linted += each.linted
        written.negated += each.negated
        written.absent += len(each.absent) - each.negated
    _add(file, new, {number: each.absent for number, each in absent.items()})
    for number, entry in enumerate(kb.classes):
        count = len(new.get(number, ()))
        if number in new:
            written.added[entry.key] = count
        if len(entry.descriptions) + count < plan.per_class and plan.asks:
            written.short[entry.key] = len(entry.descriptions) + count
    _refuse_empty(file, written, {kb.classes[n].key: each for n, each in found.items()}, asker.spent.cut)
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


def _compare(sieve: Sieve, found: dict[int, Found]) -> None:
    """Take back what only shows between classes: the same said of two, or another language than the rest's."""
    broken = sieve.compare({number: [candidate.text for candidate in each.kept] for number, each in found.items()})
    for number, each in found.items():
        codes = Counter(broken[number].values())
        each.shared += codes.pop("K203", 0)
        each.linted += codes
        each.take_back(broken[number])


def _description(candidate: Candidate, model: str) -> Description:
    source = f"{candidate.passage}, as cited by the language model" if candidate.passage else UNVERIFIED
    provenance = Provenance(author=model, written=candidate.asked[:10], source=source)
    return Description(text=candidate.text, against=candidate.against, provenance=provenance)


def _without_absent(file: KnowledgeFile, new: Mapping[int, Sequence[Description]]) -> dict[int, list[str]]:
    """Find the classes that lack sentences on absence and have no one sentence against all; give their descriptions."""
    texts = {
        number: [each.text for each in (*entry.descriptions, *new.get(number, ()))]
        for number, entry in enumerate(file.knowledge.classes)
        if len(entry.absent) != 1 or len(entry.descriptions) == 1
    }
    return {n: all_texts for n, all_texts in texts.items() if len(file.knowledge.classes[n].absent) < len(all_texts)}


def _add(file: KnowledgeFile, new: dict[int, list[Description]], absent: dict[int, list[str]]) -> None:
    """Put everything into the file and write it, if there is anything."""
    for number, descriptions in new.items():
        file.add_descriptions(number, descriptions)
    for number, sentences in absent.items():
        file.add_absent(number, sentences)
    if any(new.values()) or any(absent.values()):
        file.save()


def _refuse_empty(file: KnowledgeFile, written: Written, found: dict[str, Found], cut: int) -> None:
    """Progress of classes that have nothing, after what there is has been written."""
    empty = [key for key, count in written.short.items() if count == 0]
    if not empty:
        return
    more = f" (and {len(empty) - 1} more classes)" if len(empty) > 1 else ""
    came = found[empty[0]]
    if left := _left_out(came):
        heard = f"left out: {left}"
    else:
        begins = "".join(c if c.isprintable() else " " for c in came.last)[:80].strip()
        heard = f"the answer begins {begins!r}" if begins or not came.fault else ""
        heard = ": ".join(part for part in (heard, came.fault) if part)
    heard += f"; {cut} answers were cut at the limit of their length" if cut else ""
    total = sum(written.added.values())
    kept = f"{total} descriptions of other classes are written; " if total else ""
    raise LanguageModelError(
        f"{file.path}, class {empty[0]!r}{more}: no usable description came ({heard}): {kept}"
        "try another --seed or --model, or write them by hand"
    )
