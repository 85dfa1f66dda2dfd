"""What may be used: encoders and packs by name, what the operator named by its place, a user's knowledge in limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kpl.encoders import EncoderCard, encoder_names, load_card, parse_spec
from kpl.errors import InputError, KnowledgeError, UnknownNameError
from kpl.knowledge import KnowledgeBase, load_knowledge, pack_names
from kpl.knowledge.reading import validate
from kpl.knowledge.source import parse_source
from kpl.server.limits import Limits
from kpl.server.refusals import Refused, TooLarge


class Brought:
    """What clients may name: what everybody's KPL knows, and what who runs the server added by its place.

    Attributes:
        cards: of the encoders that were added, by name.
        knowledge: that was added, by the stem of its file.

    Raises:
        InputError: two of one kind have the same name.
        EncoderError, KnowledgeError: one of them cannot be used.
    """

    def __init__(self, encoders: Sequence[str | Path] = (), knowledge: Sequence[Path] = ()) -> None:
        self.cards: dict[str, EncoderCard] = {}
        self.knowledge: dict[str, KnowledgeBase] = {}
        self._places: dict[str, str] = {}
        for place in map(str, encoders):
            card = load_card(place)
            if card.name in self._places:
                raise InputError(f"two encoders have the same name: {card.name}; give one of them")
            self.cards[card.name], self._places[card.name] = card, place
        for path in knowledge:
            base = load_knowledge(path)
            base.prompts()  # a list of names only is refused here
            if path.stem in self.knowledge:
                raise InputError(f"two knowledge files have the same name: {path.stem}; rename one of them")
            self.knowledge[path.stem] = base

    def encoders(self) -> list[str]:
        """Names of the encoders."""
        return sorted({*encoder_names(), *self._places})

    def place(self, encoder: str) -> str | None:
        """Return what an encoder is loaded by; None if its files are not here.

        Raises:
            UnknownNameError: it is not known.
        """
        if encoder in self._places:
            return self._places[encoder]
        if encoder not in encoder_names():
            raise UnknownNameError("encoder", encoder[:100], self.encoders())
        return encoder if encoder_is_here(encoder) else None

    def pack(self, name: str) -> KnowledgeBase:
        """Return knowledge by its name; a path is none.

        Raises:
            UnknownNameError: it is not known.
        """
        if name in self.knowledge:
            return self.knowledge[name]
        if name not in pack_names():
            raise UnknownNameError("knowledge pack", name[:100], [*self.knowledge, *pack_names()])
        return load_knowledge(name)


def encoder_is_here(name: str) -> bool:
    """Say whether an encoder that is known by name can be loaded now."""
    return parse_spec(name).here


def read_base(given: Mapping[str, Any], limits: Limits) -> KnowledgeBase:
    """Read knowledge that came over the network, within the limits."""
    try:
        base = KnowledgeBase.model_validate(given)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = " > ".join(str(part + 1) if isinstance(part, int) else part for part in detail["loc"])
        raise Refused(f"{where}: {detail['msg']}" if where else detail["msg"]) from error
    return _within(base, limits)


def read_file(name: str, data: bytes, limits: Limits) -> KnowledgeBase:
    """Read a knowledge file that came over the network, within the limits; of its name only the suffix is used.

    Raises:
        Refused: it is none; says the line and the mend.
        TooLarge: it is larger than is taken.
    """
    try:
        return _within(validate(parse_source(name, data, is_json=name.lower().endswith(".json"))), limits)
    except KnowledgeError as error:
        raise Refused(str(error)) from error


def _within(base: KnowledgeBase, limits: Limits) -> KnowledgeBase:
    sentences = [d.text for entry in base.classes for d in entry.descriptions]
    names = [name for entry in base.classes for name in (entry.key, entry.name, *entry.aliases)]
    if len(base.classes) > limits.classes or len(sentences) > limits.descriptions:
        raise TooLarge(
            f"{len(base.classes)} classes with {len(sentences)} descriptions: at most {limits.classes} and "
            f"{limits.descriptions} are taken here; use `kpl classify`"
        )
    if long := [text for text in (*sentences, *names, base.task.template) if len(text) > limits.sentence]:
        raise TooLarge(f"a text of {len(long[0])} characters: at most {limits.sentence} are taken")
    return base
