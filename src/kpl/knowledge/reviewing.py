"""Reviewing a knowledge file sentence by sentence; after every decision the file on disk holds all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kpl.errors import KnowledgeError
from kpl.knowledge.editing import KnowledgeFile
from kpl.knowledge.folding import fold_sentence
from kpl.knowledge.records import Provenance, Rejected
from kpl.knowledge.schema import Description

Decision = Literal["accepted", "edited", "rejected"]


@dataclass(frozen=True)
class Turn:
    """A sentence that waits for a decision."""

    class_number: int
    position: int
    class_key: str
    class_name: str
    description: Description
    absent: str | None
    """What is seen when it is not there, as the file says it; the decision is about both."""


class Review:
    """One pass of a reviewer through the sentences that nobody has reviewed.

    The file is always what it was at the beginning with the decisions so far: it is written whole after each, so that
    one may stop at any time, and taking a decision back leaves no trace.

    Attributes:
        path: the file.
        reviewer: whose name goes beside what is accepted or edited.
        total: sentences that waited at the beginning.
        unshown: absent sentences that come with none of them; they have no record of their own.

    Raises:
        KnowledgeError: as by `load_knowledge`; also a plain file of sentences, which has no place for provenance.
    """

    def __init__(self, path: Path, reviewer: str, on: str) -> None:
        self.path, self.reviewer, self._on = path, reviewer, on
        self._file = KnowledgeFile(path)
        classes = self._file.knowledge.classes
        self._turns = [
            Turn(number, position, entry.key, entry.name, description, entry.absent_of(position))
            for number, entry in enumerate(classes)
            for position, description in enumerate(entry.descriptions)
            if not (description.provenance and description.provenance.reviewed_by)
        ]
        shown = {(turn.class_number, turn.absent) for turn in self._turns}
        self.unshown = sum((number, text) not in shown for number, entry in enumerate(classes) for text in entry.absent)
        self._decisions: list[tuple[Decision, str]] = []
        self.total = len(self._turns)

    @property
    def done(self) -> int:
        """How many decisions have been taken."""
        return len(self._decisions)

    @property
    def turn(self) -> Turn | None:
        """The sentence that waits, None when all have been decided."""
        return self._turns[self.done] if self.done < self.total else None

    def counts(self) -> dict[Decision, int]:
        """Count the decisions by their kind."""
        kinds = [kind for kind, _ in self._decisions]
        return {kind: kinds.count(kind) for kind in ("accepted", "edited", "rejected")}

    def accept(self) -> None:
        """Put the reviewer's name beside the sentence."""
        self._decide("accepted", "")

    def edit(self, text: str) -> None:
        """Put a sentence of the reviewer's in its place; the former one is kept under 'rejected' for the record.

        Raises:
            KnowledgeError: no letter in it, or the class has the sentence already.
        """
        turn = self._require()
        text = " ".join(text.split())
        entry = self._file.knowledge.classes[turn.class_number]
        others = {
            fold_sentence(each.text) for place, each in enumerate(entry.descriptions) if place != turn.position
        } | {fold_sentence(new) for t, (kind, new) in zip(self._turns, self._decisions, strict=False)
             if kind == "edited" and t.class_number == turn.class_number}  # fmt: skip
        if not any(map(str.isalpha, text)):
            raise KnowledgeError("the sentence is empty: write what is seen")
        if fold_sentence(text) in others:
            raise KnowledgeError("the class has this sentence already: write another, or reject this one")
        self._decide("edited", text)

    def reject(self) -> None:
        """Take the sentence out; it is kept under 'rejected' for the record.

        Raises:
            KnowledgeError: it is the last one of its class.
        """
        turn = self._require()
        gone = sum(
            kind == "rejected" and t.class_number == turn.class_number
            for t, (kind, _) in zip(self._turns, self._decisions, strict=False)
        )
        if gone + 1 >= len(self._file.knowledge.classes[turn.class_number].descriptions):
            raise KnowledgeError("it is the last description of its class: edit it, or write another first")
        self._decide("rejected", "")

    def undo(self) -> bool:
        """Take the last decision back; tell whether there was one."""
        if not self._decisions:
            return False
        last = self._decisions.pop()
        self._save_or(lambda: self._decisions.append(last))
        return True

    def _require(self) -> Turn:
        if self.turn is None:
            raise KnowledgeError(f"{self.path}: every sentence has been reviewed")
        return self.turn

    def _decide(self, kind: Decision, text: str) -> None:
        self._require()
        self._decisions.append((kind, text))
        self._save_or(lambda: self._decisions.pop())

    def _save_or(self, take_back: object) -> None:
        try:
            self._save()
        except BaseException:
            if callable(take_back):
                take_back()
            raise

    def _save(self) -> None:
        file = self._file.reopened()
        gone: dict[int, list[int]] = {}
        for turn, (kind, text) in zip(self._turns, self._decisions, strict=False):
            before = turn.description.provenance or Provenance()
            if kind != "accepted":  # the wording that an edit replaced was rejected too
                file.record_rejected(turn.class_number, self._record(turn.description, before))
            if kind == "rejected":
                gone.setdefault(turn.class_number, []).append(turn.position)
                continue
            signed = {"reviewed_by": self.reviewer, "reviewed_on": self._on}
            if kind == "edited":  # by words of the reviewer's own, for which nobody else read anything
                before = Provenance(author=self.reviewer, written=self._on)
            changes = {"text": text or turn.description.text, "provenance": before.model_copy(update=signed)}
            file.change_description(turn.class_number, turn.position, turn.description.model_copy(update=changes))
        for number, positions in gone.items():
            file.remove_descriptions(number, positions)
        file.save()
        self._file.follow(file)

    def _record(self, description: Description, origin: Provenance) -> Rejected:
        return Rejected(
            text=description.text,
            rejected_by=self.reviewer,
            rejected_on=self._on,
            author=origin.author,
            written=origin.written,
            source=origin.source,
            against=description.against,
        )
