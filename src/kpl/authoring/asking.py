"""Asking many questions: kept answers first, then the model, within a budget, several at a time."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from kpl.authoring.answers import why_unusable
from kpl.authoring.calls import Answer, Call, KeptCalls, LanguageModel, Request
from kpl.errors import LanguageModelError
from kpl.files import locked, make_way
from kpl.progress import Counted

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass
class Spent:
    """What was asked of the model and what was found among the kept calls; tokens are those of the new calls."""

    calls: int = 0
    kept: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    estimated: bool = False
    left_out: tuple[str, ...] = ()
    cut: int = 0
    """Answers, new and kept ones, that ended at the limit for answers."""
    unusable: Counter[str] = field(default_factory=Counter)
    """Answers of which nothing can be used, by the reason; they are not kept."""

    def __str__(self) -> str:
        """Say it in words.

        Example:
            >>> str(Spent(calls=2, kept=5, prompt_tokens=900, answer_tokens=400))
            '2 new calls (900 + 400 tokens), 5 kept ones'
        """
        about = "about " if self.estimated else ""
        new = f"{self.calls} new call{'' if self.calls == 1 else 's'}"
        return f"{new} ({about}{self.prompt_tokens} + {self.answer_tokens} tokens), {self.kept} kept ones"


class BudgetSpentError(LanguageModelError):
    """No further call may be begun; calls that are under way may still come to their end."""


class Asker:
    """Answers requests from the kept calls, or else by the model, and keeps what it says.

    Args:
        kept: where calls are kept.
        model: None when only kept calls may be used.
        max_calls: new calls at most; None without a limit.
        max_tokens: tokens of new calls, questions and answers, after which no further one is begun.
    """

    def __init__(
        self,
        kept: KeptCalls,
        model: LanguageModel | None,
        *,
        max_calls: int | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self.spent = Spent()
        self._kept, self._model = kept, model
        self._max_calls, self._max_tokens = max_calls, max_tokens
        self._begun = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one that asks and keeps calls in this folder: two at once would pay for the same answers.

        Raises:
            OutputError: another process does, and which.
        """
        if self._model is None:
            yield
            return
        make_way(self._kept.folder.parent)
        with locked(self._kept.folder):
            yield

    def ask(self, request: Request) -> Call:
        """Return the call of a request.

        Raises:
            BudgetSpentError: the budget is spent.
            LanguageModelError: no such call is kept and there is no model, or the model fails.
        """
        if self._stopped.is_set():
            raise LanguageModelError("stopped")
        if call := self._kept.find(request):
            with self._lock:
                self.spent.kept += 1
                self.spent.cut += call.answer.is_cut
            return call
        if self._model is None and (note := self._kept.find_note(request)):
            answer = Answer(text="", prompt_tokens=0, answer_tokens=0, unusable=note.reason)
            with self._lock:
                self.spent.kept += 1
                self.spent.unusable[note.reason] += 1
            return Call(request=request, answer=answer, asked=note.asked, seconds=0.0)
        if self._model is None:
            raise LanguageModelError(
                f"{self._kept.folder}: a call is not kept, so nothing can be replayed without the model: give --llm, "
                "and the same options as when it was asked"
            )
        self._reserve()
        asked, began = datetime.now(UTC), time.monotonic()
        answer = _judged(self._model.answer(request), request)
        stamp = asked.isoformat(timespec="seconds").replace("+00:00", "Z")
        call = Call(request=request, answer=answer, asked=stamp, seconds=round(time.monotonic() - began, 3))
        if answer.unusable is None:
            self._kept.keep(call)
        else:
            self._kept.note(call)
        with self._lock:
            self.spent.unusable += Counter([answer.unusable] if answer.unusable else [])
            self.spent.calls += 1
            self.spent.prompt_tokens += answer.prompt_tokens
            self.spent.answer_tokens += answer.answer_tokens
            self.spent.estimated |= answer.estimated
            self.spent.cut += answer.is_cut
            self.spent.left_out = tuple(sorted({*self.spent.left_out, *answer.left_out}))
        return call

    def stop(self) -> None:
        """Begin no further call."""
        self._stopped.set()

    def explain(self, error: BudgetSpentError) -> LanguageModelError:
        """Say what was spent, once no call is under way any more."""
        return LanguageModelError(
            f"{error}: {self.spent}; the answers are kept in {self._kept.folder}, and the same command goes on from "
            "there"
        )

    def _reserve(self) -> None:
        """Take one call out of the budget."""
        with self._lock:
            tokens = self.spent.prompt_tokens + self.spent.answer_tokens
            spent = None
            if self._max_calls is not None and self._begun >= self._max_calls:
                spent = f"--max-calls {self._max_calls}"
            elif self._max_tokens is not None and tokens >= self._max_tokens:
                spent = f"--max-tokens {self._max_tokens}"
            if spent:
                raise BudgetSpentError(f"the budget is spent ({spent})")
            self._begun += 1


def _judged(answer: Answer, request: Request) -> Answer:
    """Say of an answer why it cannot be used, by the server's marks or by its words."""
    reason = answer.unusable or why_unusable(answer.text, request.form, cut=answer.is_cut)
    return answer.model_copy(update={"unusable": reason})


class Meter:
    """Counts how far each of several items is, from several threads, and tells the sum and the total.

    Example:
        >>> meter = Meter({1: 5, 2: 10}, lambda done, total: print(done, total))
        0 15
        >>> meter.reach(2, 12)
        10 15
    """

    def __init__(self, wanted: Mapping[int, int], tell: Counted) -> None:
        self._wanted, self._tell = wanted, tell
        self._reached = dict.fromkeys(wanted, 0)
        self._lock = threading.Lock()
        tell(0, sum(wanted.values()))

    def reach(self, item: int, count: int) -> None:
        """Say how far an item is."""
        with self._lock:
            self._reached[item] = min(count, self._wanted[item])
            self._tell(sum(self._reached.values()), sum(self._wanted.values()))

    def finish(self, item: int) -> None:
        """Say that no more is to come of an item."""
        self.reach(item, self._wanted[item])


def side_by_side(
    act: Callable[[_T], _R],
    items: Sequence[_T],
    *,
    at_once: int,
    give_up: Callable[[], None],
) -> list[_R]:
    """Do something for every item in threads, and return the results in the order of the items.

    At the first error `give_up` is called, what is under way comes to its end, because an answer was paid for, and the
    error is raised. When the program is interrupted the threads are left to themselves, so that it ends at once.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()
    for number in range(len(items)):
        waiting.put(number)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((number, act(items[number]), None))
            except BaseException as error:  # raised again where somebody waits
                done.put((number, None, error))

    number = min(at_once, len(items))
    threads = [threading.Thread(target=work, name="kpl-asking", daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    results: dict[int, _R] = {}
    try:
        for _ in items:
            number, result, error = done.get()
            if error is not None:
                stop.set()
                give_up()
                for thread in threads:
                    thread.join()
                raise error
            results[number] = result
    finally:
        stop.set()
    return [results[number] for number in range(len(items))]
