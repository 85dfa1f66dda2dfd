"""From what the schema found wrong to one line that names the file, the line, the class and the mend."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError

from kpl.errors import KnowledgeError
from kpl.knowledge.places import Place
from kpl.knowledge.records import Ignored, Provenance, Rejected
from kpl.knowledge.schema import Description, KnowledgeBase, KnowledgeClass, Task

_MODELS: dict[str, type[BaseModel]] = {
    "": KnowledgeBase,
    "task": Task,
    "classes": KnowledgeClass,
    "descriptions": Description,
    "provenance": Provenance,
    "ignore": Ignored,
    "rejected": Rejected,
}


def explain(
    error: ValidationError, name: str, document: dict[str, Any], line_of: Callable[[Place], int | None]
) -> KnowledgeError:
    """Turn the first problem into a KnowledgeError that also says how many more there are.

    `name` is the file's, `document` what was validated, `line_of` finds the line of a place in it.
    """
    # A misspelt key is reported twice, as unknown and as missing: the first says more.
    found = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] == "missing")
    detail = found[0]
    place: Place = (*detail["loc"], *detail.get("ctx", {}).get("at", ()))
    line = line_of(place)
    where = f"{name}{f', line {line}' if line else ''}{_where(place, document)}"
    more = f" (and {len(found) - 1} more problems)" if len(found) > 1 else ""
    if detail["type"] in ("empty_sentence", "repeated_sentence"):
        more += "; 'kpl knowledge import --tidy' drops all such entries"
    return KnowledgeError(f"{where}: {_problem(detail, place)}{more}")


def _where(place: Place, document: dict[str, Any]) -> str:
    """Name the class and the description that a place lies in."""
    match place:
        case ("classes", int(number), *rest):
            entry = document["classes"][number]
            key = entry.get("key") if isinstance(entry, dict) else None
            words = f", class {key!r:.80}" if isinstance(key, str) and key.strip() else f", class {number + 1}"
            match rest:
                case ["descriptions", int(sentence), *inner]:
                    return f"{words}, description {sentence + 1}{_dotted(inner)}"
                case ["descriptions"]:
                    return words
                case _:
                    return f"{words}{_dotted(rest)}"
        case _:
            return _dotted(list(place))


def _dotted(place: list[str | int]) -> str:
    """Write keys one after another, leaving out the text of a description, which needs no name."""
    names = [str(part + 1) if isinstance(part, int) else part for part in place if part != "text"]
    return f", {'.'.join(names)}" if names else ""


def _problem(detail: Any, place: Place) -> str:  # noqa: ANN401 - pydantic's ErrorDetails, whose ctx is untyped
    """Say what is wrong and how to mend it."""
    value = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_key(place)
        case "missing":
            return "is missing: add it"
        case "string_type" | "string_unicode":
            if value is None:
                return "is empty: write a text, or remove the key"
            return f"must be text, got {_shown(value)}: put it in quotes"
        case "tuple_type":
            if value is None and place[-1] == "descriptions":
                return "no descriptions: write at least one"
            return f"must be a list, got {_shown(value)}: put each entry on a line of its own after '- '"
        case "model_type":
            if value is None:
                return "is empty: write it out, or remove it"
            if isinstance(place[-1], int) and "descriptions" in place:
                return f"must be a sentence, got {_shown(value)}: put it in quotes"
            return f"must be a mapping of keys to values, got {_shown(value)}"
        case "literal_error" if place == ("kpl_knowledge",):
            return f"this version of KPL reads formats 1 and 2, got {_shown(value)}: write one of them, or upgrade KPL"
        case _:
            return str(detail["msg"])


def _unknown_key(place: Place) -> str:
    """Suggest the nearest known key, or quotes where a colon turned a sentence into a mapping."""
    key = str(place[-1])
    holder = next((part for part in reversed(place[:-1]) if isinstance(part, str)), "")
    known = sorted(_MODELS[holder].model_fields)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if holder == "descriptions" and not near:
        return f"{key!r:.80} is read as a key because of the colon: put the sentence in quotes"
    hint = f"did you mean {near[0]!r}?" if near else "remove it."
    return f"unknown key {key!r:.80}: {hint} Known: {', '.join(known)}"


def _shown(value: object) -> str:
    """Show a wrong value in a few characters."""
    match value:
        case None:
            return "nothing"
        case dict() | list():
            return f"a {'mapping' if isinstance(value, dict) else 'list'}"
        case _:
            text = repr(value)
            return text if len(text) <= 60 else text[:59] + "…"
