"""Two knowledge bases side by side, and one made of two."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kpl.errors import KnowledgeError
from kpl.knowledge.editing import KnowledgeFile, open_copy
from kpl.knowledge.folding import fold_name, fold_sentence
from kpl.knowledge.reading import load_knowledge
from kpl.knowledge.schema import KnowledgeBase, KnowledgeClass
from kpl.knowledge.writing import check_suffix, to_text

Fact = tuple[str | None, ...]
"""What two statements have in common that are the same."""


@dataclass(frozen=True)
class Change:
    """One difference: what only the first has ("-") or only the second ("+"); no class for facts of the task."""

    sign: Literal["-", "+"]
    class_key: str | None
    kind: Literal["task", "class", "name", "alias", "description", "absent"]
    text: str


def diff_knowledge(first: KnowledgeBase, second: KnowledgeBase) -> list[Change]:
    """List what two knowledge bases say differently; order, layout, provenance and records do not count.

    Classes are the same by key, name or alias, sentences up to case, spacing and the closing stop. A description set
    against another class is another description, an absent sentence paired with another description another sentence.

    Example:
        >>> from kpl.knowledge import load_knowledge
        >>> blood = load_knowledge("blood-cells")
        >>> diff_knowledge(blood, blood)
        []
    """
    return list(_differences(first, second))


def merge_knowledge(first: str | Path, second: str | Path, out: Path, *, overwrite: bool = False) -> KnowledgeBase:
    """Write the first, a file or pack, to `out` with what only the second says; return what was written.

    What the second adds are classes, aliases, descriptions with their provenance, the class that a description of both
    is set against where the first names none, and absent sentences. The text of the first stays as it is, with its
    comments, order and layout, where it is in KPL's own format and of the kind (YAML or JSON) of `out`. What a reviewer
    rejected in the first does not come back; what one rejected in the second is added to the record. Of what both
    have, the provenance and the rules set aside for lint are those of the first.

    Raises:
        UnknownNameError: neither a file nor a pack.
        KnowledgeError: one has a fault; two modalities; a description set against two classes; absent sentences that
            cannot be kept side by side or paired; a name that would stand for two classes.
        OutputError: the file exists and `overwrite` is not set, an unknown suffix, or the disk refuses.
    """
    check_suffix(out)
    theirs = load_knowledge(second)
    file = open_copy(first, out)
    if file is None:
        file = KnowledgeFile(out, raw=to_text(load_knowledge(first), out).encode())
    file.extend_to(_merged(file.knowledge, theirs))
    try:
        merged = file.becomes()
    except KnowledgeError as error:
        raise KnowledgeError(f"the two do not go together: {error}") from error
    file.save_as(out, overwrite=overwrite)
    return merged


def _merged(first: KnowledgeBase, second: KnowledgeBase) -> list[KnowledgeClass]:
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
            classes[place] = _joined(classes[place], theirs, first, second)
    return classes


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
        yield from _of_class(entry, second.classes[place], first, second)
    for number, entry in enumerate(second.classes):
        if number not in met:
            yield Change("+", entry.key, "class", entry.name)


def _of_class(
    ours: KnowledgeClass, theirs: KnowledgeClass, first: KnowledgeBase, second: KnowledgeBase
) -> Iterator[Change]:
    """Compare two classes fact by fact: by what makes two facts the same, each with how it is shown."""
    facts: list[tuple[Literal["name", "alias", "description", "absent"], dict[Fact, str], dict[Fact, str]]] = [
        ("name", {(fold_name(ours.name),): ours.name}, {(fold_name(theirs.name),): theirs.name}),
        ("alias", _aliases(ours, theirs), _aliases(theirs, ours)),
        ("description", _descriptions(ours, first, first), _descriptions(theirs, second, first)),
        ("absent", _absent(ours), _absent(theirs)),
    ]
    for kind, own, other in facts:
        yield from (Change("-", ours.key, kind, text) for fact, text in own.items() if fact not in other)
        yield from (Change("+", ours.key, kind, text) for fact, text in other.items() if fact not in own)


def _aliases(entry: KnowledgeClass, other: KnowledgeClass) -> dict[Fact, str]:
    """List what else the class is called; that the name of one is an alias of the other is a change of the name."""
    names = {(fold_name(name),): name for name in (entry.key, *entry.aliases)}
    return {fact: name for fact, name in names.items() if fact[0] not in map(fold_name, (entry.name, other.name))}


def _descriptions(entry: KnowledgeClass, base: KnowledgeBase, first: KnowledgeBase) -> dict[Fact, str]:
    return {
        (fold_sentence(each.text), _meant(each.against, base, first)): each.text
        + (f" (against {each.against})" if each.against else "")
        for each in entry.descriptions
    }


def _absent(entry: KnowledgeClass) -> dict[Fact, str]:
    if len(entry.absent) < 2:
        return {(fold_sentence(text),): text for text in entry.absent}
    return {(folded, fold_sentence(text)): text for folded, text in _pairs(entry).items()}


def _meant(name: str | None, base: KnowledgeBase, first: KnowledgeBase) -> str | None:
    """Say which class a knowledge base means by a name, as the first of the two calls it."""
    number = None if name is None else base.resolve(name)
    if number is None:
        return None
    entry = base.classes[number]
    place = _place(first, entry)
    return fold_name((entry if place is None else first.classes[place]).key)


def _place(base: KnowledgeBase, entry: KnowledgeClass) -> int | None:
    """Find the class of a base that a class of another one is."""
    found = (base.resolve(name) for name in (entry.key, entry.name, *entry.aliases))
    return next((number for number in found if number is not None), None)


def _pairs(entry: KnowledgeClass) -> dict[str, str]:
    """Return the absent sentence of each description, by its folded text; nothing where there is one against all."""
    paired = len(entry.absent) == len(entry.descriptions)
    texts = [fold_sentence(each.text) for each in entry.descriptions]
    return dict(zip(texts, entry.absent, strict=True)) if paired else {}


def _joined(
    ours: KnowledgeClass, theirs: KnowledgeClass, first: KnowledgeBase, second: KnowledgeBase
) -> KnowledgeClass:
    refused = {fold_sentence(each.text) for each in ours.rejected}
    descriptions = {fold_sentence(each.text): each for each in ours.descriptions}
    for each in theirs.descriptions:
        folded = fold_sentence(each.text)
        own = descriptions.get(folded)
        if own is None:
            if folded not in refused:
                descriptions[folded] = each
        elif own.against is None:
            descriptions[folded] = own.model_copy(update={"against": each.against})
        elif each.against and _meant(own.against, first, first) != _meant(each.against, second, first):
            message = f"{own.text!r} is set against {own.against!r} in the first and {each.against!r} in the second"
            raise KnowledgeError(f"class {ours.key!r}: {message}: make the two agree")
    known = {fold_name(name) for name in (ours.key, ours.name, *ours.aliases)}
    aliases = [name for name in (theirs.key, theirs.name, *theirs.aliases) if fold_name(name) not in known]
    rejected = (*ours.rejected, *(each for each in theirs.rejected if fold_sentence(each.text) not in refused))
    return ours.model_copy(
        update={
            "aliases": (*ours.aliases, *dict.fromkeys(aliases)),
            "descriptions": tuple(descriptions.values()),
            "absent": _joined_absent(ours, theirs, list(descriptions), refused),
            "rejected": rejected,
        }
    )


def _joined_absent(
    ours: KnowledgeClass, theirs: KnowledgeClass, described: Sequence[str], refused: Collection[str]
) -> tuple[str, ...]:
    """Put the absent sentences of two classes together; `described` are the folded descriptions of both."""
    pairs = _pairs(theirs) | _pairs(ours)
    paired = tuple(pairs[folded] for folded in described if folded in pairs)
    for joined in (ours.absent, theirs.absent, paired):
        if _keeps(ours, joined, described, ()) and _keeps(theirs, joined, described, refused):
            return joined
    raise KnowledgeError(
        f"class {ours.key!r}: the absent sentences of the two can be kept neither as one against all nor paired with "
        f"the {len(described)} descriptions: make them agree by hand, or take those of one out"
    )


def _keeps(entry: KnowledgeClass, joined: Sequence[str], described: Sequence[str], refused: Collection[str]) -> bool:
    """Tell whether the absent sentences of a class are all there, each as it was meant, but for what was refused."""
    stated = _pairs(entry)
    pairs = dict(zip(described, joined, strict=True)) if len(joined) == len(described) else {}
    beside = [
        fold_sentence(pairs.get(each, "")) == fold_sentence(stated[each]) for each in stated if each not in refused
    ]
    against_all = len(entry.absent) < 2 and [*map(fold_sentence, joined)] == [*map(fold_sentence, entry.absent)]
    return against_all or not entry.absent or (bool(stated) and all(beside))
