"""Asking a language model about one class until there are enough descriptions of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

from kpl.authoring.answers import Said, clean_sentence, fold_loosely, read_answer, read_numbers
from kpl.authoring.asking import Asker
from kpl.authoring.calls import Call, Request
from kpl.authoring.passages import Passage, choose_passages, supports
from kpl.authoring.prompts import DEFAULT_STRATEGIES, STRATEGIES, Question, Writer
from kpl.authoring.sifting import Sieve
from kpl.errors import InputError, UnknownNameError
from kpl.knowledge import RULES, Description, KnowledgeBase
from kpl.knowledge.schema import negate

_ROUNDS = 5  # of asking, the first included, after which a class stays short
_MOST = 60  # sentences in one question; more make models repeat themselves
_RIVALS = 3
_SHOWN = 20  # sentences that were left out, shown to the model with the reason
_OURS = {"messages", "model", "stream", "n"}
_BATCH = 25  # sentences to be judged or turned around in one question


@dataclass(frozen=True)
class Plan:
    """How descriptions are asked for.

    Args:
        model: the model's name, as its server knows it.
        per_class: descriptions that each class is to have, those that are there included.
        strategies: names out of `STRATEGIES`.
        temperature: None leaves it to the server.
        seed: None sends none; of several samples each has its own.
        samples: how often each question is asked.
        extra: further parameters, passed on to the server as they are.

    Raises:
        UnknownNameError: a strategy that there is not.
        InputError: a number out of its range.
    """

    model: str
    per_class: int = 50
    strategies: tuple[str, ...] = DEFAULT_STRATEGIES
    temperature: float | None = None
    seed: int | None = 0
    samples: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.strategies:
            if name not in STRATEGIES:
                raise UnknownNameError("strategy", name, STRATEGIES)
        if not self.model.strip():
            raise InputError("--model: is empty: give the name by which the server knows the model")
        if not 1 <= self.per_class <= 1000:
            raise InputError(f"--per-class {self.per_class}: must be 1 to 1000")
        if not 1 <= self.samples <= 100:
            raise InputError(f"--samples {self.samples}: must be 1 to 100")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InputError(f"--temperature {self.temperature:g}: must be 0 to 2")
        if ours := sorted(_OURS & self.extra.keys()):
            raise InputError(f"--extra: {', '.join(ours)} is set by the question itself: leave it out")

    @property
    def asks(self) -> tuple[str, ...]:
        """The strategies that write descriptions, without those that judge or turn around what is written."""
        named = tuple(dict.fromkeys(name for name in self.strategies if name not in ("critique", "absent")))
        return named or (() if "absent" in self.strategies else DEFAULT_STRATEGIES[:1])


@dataclass(frozen=True)
class Candidate:
    """A sentence with what is known of it: when it was asked for, its passage, and the class it is set against."""

    text: str
    asked: str
    passage: Passage | None = None
    against: str | None = None


@dataclass
class Found:
    """What came of the questions about one class so far."""

    kept: list[Candidate] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    linted: Counter[str] = field(default_factory=Counter)
    """Sentences left out by lint, by the code of the rule."""
    judged: int = 0
    uncited: int = 0
    negated: int = 0
    shared: int = 0
    left_out: list[str] = field(default_factory=list)
    """Sentences that came and were left out, each with the reason, to be shown to the model."""
    last: str = ""
    """How the last answer began, to be shown when nothing was found."""
    fault: str | None = None
    """Why nothing of the last answer could be used; None if something could."""
    rounds: int = 0
    seen: set[str] = field(default_factory=set)
    dry: bool = False
    """The last round brought nothing new."""

    def take_back(self, broken: Mapping[int, str]) -> None:
        """Leave out kept sentences that turned out to break a rule, given by their place."""
        self.left_out += [f"{self.kept[place].text} ({RULES[code].name})" for place, code in broken.items()]
        self.kept = [each for place, each in enumerate(self.kept) if place not in broken]


class Interview:
    """Asks about the classes of one knowledge base, each on its own, so that several can be asked about at once."""

    def __init__(self, kb: KnowledgeBase, plan: Plan, asker: Asker, sieve: Sieve, passages: Sequence[Passage]) -> None:
        self._kb, self._plan, self._asker, self._sieve, self._passages = kb, plan, asker, sieve, passages
        self._writer = Writer(kb, passages)
        self._banned = [name for entry in kb.classes for name in (entry.key, entry.name, *entry.aliases)]
        self._found: dict[int, Found] = {}

    def wanted(self, number: int) -> int:
        """Count the descriptions that the class at this index is to get."""
        return max(0, self._plan.per_class - len(self._kb.classes[number].descriptions))

    def is_over(self, number: int) -> bool:
        """Tell whether a class has what it is to get, or no question about it is left."""
        found = self._found.get(number, Found())
        return len(found.kept) >= self.wanted(number) or found.rounds >= _ROUNDS or found.dry

    def describe(self, number: int, tell: Callable[[int], None]) -> Found:
        """Go on asking until the class at this index has as many clean descriptions as it lacks, or until it is over.

        `tell` hears after every answer how many there are.
        """
        entry = self._kb.classes[number]
        chosen = choose_passages(self._passages, [entry.name, *entry.aliases]) if self._passages else []
        found = self._found.setdefault(number, Found())
        before = [description.text for description in entry.descriptions]
        before += [rejected.text for rejected in entry.rejected]  # what a reviewer removed stays out
        found.seen |= {fold_loosely(text) for text in before}
        while not self.is_over(number):
            missing = self.wanted(number) - len(found.kept)
            if found.rounds:
                held = [*before, *(each.text for each in found.kept)]
                question = self._writer.more(entry, min(missing, _MOST), held, found.left_out[-_SHOWN:], chosen)
                lists = [self._hear(question, chosen, found)]
            else:
                questions = self._questions(number, missing, chosen)
                lists = [self._hear(question, chosen, found, against) for question, against in questions]
            # One of each list in turn, so that every way of asking is heard before the number is full.
            fresh = list(_unseen((each for each in chain(*zip_longest(*lists)) if each is not None), found.seen))
            found.dry = bool(found.rounds) and not fresh
            found.rounds += 1
            for good in self._judge(number, self._sift(number, fresh, found), found):
                found.kept += good
                tell(len(found.kept))
        return found

    def absent(self, number: int, texts: Sequence[str], tell: Callable[[int], None]) -> Found:
        """Find, for each sentence beyond those that have one, what is seen when the class is not there.

        A sentence that stands against another description already is asked for again, and taken if no other comes: it
        says what is seen, which a negated description does not. `tell` hears how many there are.
        """
        entry = self._kb.classes[number]
        found = Found()
        first = len(entry.absent) + 1
        open_ones = list(enumerate(texts, start=1))[first - 1 :]
        said: dict[int, str] = {}
        repeats: dict[int, str] = {}
        for sample in range(2):
            for start in range(0, len(open_ones), _BATCH):
                call = self._ask(self._writer.absent(entry, open_ones[start : start + _BATCH]), sample)
                for place, sentence in self._read_absent(number, texts, call, found).items():
                    taken = {fold_loosely(text) for text in (*entry.absent, *said.values())}
                    if place >= first:
                        (repeats if fold_loosely(sentence) in taken else said).setdefault(place, sentence)
                tell(len(said))
            open_ones = [(place, text) for place, text in open_ones if place not in said]
        said = {**repeats, **said}
        found.negated = sum(place not in said for place, _ in open_ones)
        found.absent = [said.get(place) or negate(text) for place, text in enumerate(texts, start=1) if place >= first]
        return found

    def _read_absent(self, number: int, texts: Sequence[str], call: Call, found: Found) -> dict[int, str]:
        """Read the clean sentences of an answer on absence, by the number of the description."""
        answers = _numbers(call)
        said = {place: sentence for place, text in answers.items() if (sentence := clean_sentence(text))}
        faulty = self._sieve.sift_absent(number, texts, list(said.values()))
        found.linted.update(faulty.values())
        return {place: sentence for n, (place, sentence) in enumerate(said.items()) if n not in faulty}

    def _questions(self, number: int, wanted: int, chosen: Sequence[int]) -> Iterable[tuple[Question, str | None]]:
        """Put the first questions of each strategy, with the class that the answers are set against."""
        entry = self._kb.classes[number]
        share = min(_MOST, math.ceil(wanted / len(self._plan.asks)))
        plain = {
            "paper": self._writer.features,
            "attributes": self._writer.attributes,
            "subtypes": self._writer.subtypes,
        }
        for name in self._plan.asks:
            if name in plain:
                yield plain[name](entry, share, chosen), None
                continue
            rivals = self._rivals(number)
            for rival in rivals:
                other = self._kb.classes[rival]
                yield self._writer.contrast(entry, other, max(3, math.ceil(share / len(rivals))), chosen), other.key

    def _rivals(self, number: int) -> list[int]:
        """Find the classes with which one is confused: all when they are few, else those that the model names."""
        others = [n for n in range(len(self._kb.classes)) if n != number]
        if len(others) <= _RIVALS + 1:
            return others
        call = self._ask(self._writer.rivals(self._kb.classes[number], _RIVALS))
        named = [place - 1 for place in _numbers(call) if place - 1 in others]
        return named[:_RIVALS] or others[:_RIVALS]

    def _hear(
        self, question: Question, chosen: Sequence[int], found: Found, against: str | None = None
    ) -> list[Candidate]:
        """Ask a question as often as planned and read the answers."""
        heard = []
        for sample in range(self._plan.samples):
            call = self._ask(question, sample)
            found.last, found.fault = call.answer.text[:200], call.answer.unusable
            for said in self._read(call, question):
                passage = None
                if chosen:
                    place = (said.number or 0) - 1
                    if place not in chosen or not supports(self._passages[place], said.text):
                        found.uncited += 1
                        continue
                    passage = self._passages[place]
                heard.append(Candidate(said.text, call.asked, passage, against))
        return heard

    def _read(self, call: Call, question: Question) -> list[Said]:
        """Read the sentences of an answer that can be used."""
        if call.answer.unusable:
            return []
        return read_answer(call.answer.text, self._banned, question.form, cut=call.answer.is_cut)

    def _sift(self, number: int, fresh: list[Candidate], found: Found) -> list[Candidate]:
        """Leave out what lint would find."""
        held = [each.text for each in self._kb.classes[number].descriptions] + [each.text for each in found.kept]
        broken = self._sieve.sift(number, held, [Description(text=each.text, against=each.against) for each in fresh])
        found.linted.update(broken.values())
        found.left_out += [f"{fresh[place].text} ({RULES[code].name})" for place, code in broken.items()]
        return [each for place, each in enumerate(fresh) if place not in broken]

    def _judge(self, number: int, fresh: list[Candidate], found: Found) -> Iterable[list[Candidate]]:
        """Let the model judge its own sentences, and give those that stay."""
        if "critique" not in self._plan.strategies:
            yield fresh
            return
        for start in range(0, len(fresh), _BATCH):
            batch = fresh[start : start + _BATCH]
            question = self._writer.critique(self._kb.classes[number], [each.text for each in batch])
            dropped = _numbers(self._ask(question)).keys()
            good = [each for place, each in enumerate(batch, start=1) if place not in dropped]
            found.judged += len(batch) - len(good)
            found.left_out += [f"{each.text} (not visible, wrong or general)" for each in batch if each not in good]
            yield good

    def _ask(self, question: Question, sample: int = 0) -> Call:
        plan = self._plan
        return self._asker.ask(
            Request(
                model=plan.model,
                system=question.system,
                prompt=question.prompt,
                form=question.form,
                temperature=plan.temperature,
                seed=plan.seed,
                sample=sample,
                extra=dict(plan.extra),
            )
        )


def _numbers(call: Call) -> dict[int, str]:
    """Read the numbered lines of an answer that can be used."""
    if call.answer.unusable:
        return {}
    return read_numbers(call.answer.text, call.request.form, cut=call.answer.is_cut)


def _unseen(candidates: Iterable[Candidate], seen: set[str]) -> Iterable[Candidate]:
    for candidate in candidates:
        folded = fold_loosely(candidate.text)
        if folded not in seen:
            seen.add(folded)
            yield candidate
