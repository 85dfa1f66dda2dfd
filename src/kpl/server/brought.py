"""What a client may name or bring: encoders and packs by name only, knowledge within the limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from kpl.encoders import parse_spec
from kpl.errors import UnknownNameError
from kpl.knowledge import KnowledgeBase, load_knowledge, pack_names
from kpl.server.limits import Limits
from kpl.server.refusals import Refused, TooLarge

__all__ = ["encoder_is_here", "load_pack", "read_base"]


def encoder_is_here(name: str) -> bool:
    """Say whether an encoder that is known by name can be loaded now."""
    return parse_spec(name).folder is not None


def load_pack(name: str) -> KnowledgeBase:
    """Load a pack by its name; a path is no pack."""
    if name not in pack_names():
        raise UnknownNameError("knowledge pack", name[:100], pack_names())
    return load_knowledge(name)


def read_base(given: Mapping[str, Any], limits: Limits) -> KnowledgeBase:
    """Read knowledge that came over the network, within the limits."""
    try:
        base = KnowledgeBase.model_validate(given)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = " > ".join(str(part + 1) if isinstance(part, int) else part for part in detail["loc"])
        raise Refused(f"{where}: {detail['msg']}" if where else detail["msg"]) from error
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
