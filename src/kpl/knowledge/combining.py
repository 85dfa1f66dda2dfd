"""Two knowledge bases side by side, and one made of two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from kpl.errors import KnowledgeError
from kpl.knowledge.folding import fold_name, fold_sentence
from kpl.knowledge.schema import KnowledgeBase, KnowledgeClass

__all__ = ["Change", "diff_knowledge", "merge_knowledge"]


@dataclass(frozen=True)
class Change:
    """One difference: what only the first has ("-") or only the second ("+"); no class for facts of the task."""

    sign: Literal["-", "+"]
    class_key: str | None
    kind: Literal["task", "class", "alias", "description"]
    text: str


def diff_knowledge(first: KnowledgeBase, second: KnowledgeBase) -> list[Change]:
    """List what two knowledge bases say differently; order, layout and provenance do not count.

    Classes are the same by key, name or alias, sentences up to case, spacing and the closing stop.

    Example:
        >>> from kpl.knowledge import load_knowledge
        >>> blood = load_knowledge("blood-cells")
        >>> diff_knowledge(blood, blood)
        []
    """
    return list(_differences(first, second))


def merge_knowledge(first: KnowledgeBase, second: KnowledgeBase) -> KnowledgeBase:
    """Return the first with what only the second says: classes, aliases, and descriptions with their provenance.

    The task, the order and every word of the first stay. Absent sentences are taken with a class that is new; in a
    class of both they stay as they are where they are one against all, and are refused where they are paired. What
    a reviewer rejected in the first does not come back; what one rejected in the second is added to the record.

    Raises:
        KnowledgeError: two modalities, paired absent sentences, or a name that would stand for two classes.
    """
    kinds = [base.task.modality for base in (first, second) if base.task.modality]
    if len({fold_name(kind) for kind in kinds}) > 1:
        raise KnowledgeError(
            f"one is about {kinds[0]!r}, the other about {kinds[1]!r}: state one task.modality in both to merge them"
        )
    classes = list(first.classes)
    for theirs in second.classes:
        place = _place(first, theirs)
        if place is None:
            classes.append(theirs)
        else:
            classes[place] = _joined(classes[place], theirs)
    document = {
        "kpl_knowledge": 2,
        "task": first.task.model_dump(),
        "provenance": first.provenance.model_dump() if first.provenance else None,
        "ignore": [each.model_dump() for each in first.ignore],
        "classes": [entry.model_dump() for entry in classes],
    }
    try:
        return KnowledgeBase.model_validate(document)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        raise KnowledgeError(f"the two do not go together: {detail['msg']}") from error


def _differences(first: KnowledgeBase, second: KnowledgeBase) -> Iterator[Change]:
    for field in ("name", "modality", "template"):
        before, after = getattr(first.task, field), getattr(second.task, field)
        if before != after:
            yield Change("-", None, "task", f"{field}: {before}")
            yield Change("+", None, "task", f"{field}: {after}")
    met: set[int] = set()
    for entry in first.classes:
        place = _place(second, entry)
        if place is None:
            yield Change("-", entry.key, "class", entry.name)
            continue
        met.add(place)
        yield from _of_class(entry, second.classes[place])
    for number, entry in enumerate(second.classes):
        if number not in met:
            yield Change("+", entry.key, "class", entry.name)


def _of_class(ours: KnowledgeClass, theirs: KnowledgeClass) -> Iterator[Change]:
    own = {fold_name(name): name for name in (ours.key, ours.name, *ours.aliases)}
    other = {fold_name(name): name for name in (theirs.key, theirs.name, *theirs.aliases)}
    yield from (Change("-", ours.key, "alias", name) for folded, name in own.items() if folded not in other)
    yield from (Change("+", ours.key, "alias", name) for folded, name in other.items() if folded not in own)
    said = {fold_sentence(each.text): each.text for each in ours.descriptions}
    say = {fold_sentence(each.text): each.text for each in theirs.descriptions}
    yield from (Change("-", ours.key, "description", text) for folded, text in said.items() if folded not in say)
    yield from (Change("+", ours.key, "description", text) for folded, text in say.items() if folded not in said)


def _place(base: KnowledgeBase, entry: KnowledgeClass) -> int | None:
    """Find the class of a base that a class of another one is."""
    found = (base.resolve(name) for name in (entry.key, entry.name, *entry.aliases))
    return next((number for number in found if number is not None), None)


def _joined(ours: KnowledgeClass, theirs: KnowledgeClass) -> KnowledgeClass:
    refused = {fold_sentence(each.text) for each in ours.rejected}
    said = {fold_sentence(each.text) for each in ours.descriptions} | refused
    new = tuple(each for each in theirs.descriptions if fold_sentence(each.text) not in said)
    if new and len(ours.absent) > 1:
        raise KnowledgeError(f"class {ours.key!r}: its absent sentences are paired with its descriptions: add by hand")
    known = {fold_name(name) for name in (ours.key, ours.name, *ours.aliases)}
    aliases = [name for name in (theirs.key, theirs.name, *theirs.aliases) if fold_name(name) not in known]
    merged = (*ours.aliases, *dict.fromkeys(aliases))
    rejected = (*ours.rejected, *(each for each in theirs.rejected if fold_sentence(each.text) not in refused))
    changes = {"aliases": merged, "descriptions": (*ours.descriptions, *new), "rejected": rejected}
    return ours.model_copy(update=changes)
