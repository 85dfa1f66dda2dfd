"""Sentences gathered class by class from another format, with the line of each at hand for error messages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from kpl.errors import KnowledgeError
from kpl.knowledge.places import Place

CLASS_FIELDS = ("class", "label", "name", "classname", "class_name", "category", "key")
TEXT_FIELDS = tuple(
    field
    for word in ("description", "feature", "prompt", "text", "sentence", "caption")
    for field in (word, f"{word}s")
)
_PROVENANCE_FIELDS = ("author", "written", "source", "reviewed_by", "reviewed_on")


def fold_field(name: str) -> str:
    """Bring the name of a field to the form in which spellings of it are equal.

    Example:
        >>> fold_field(" Reviewed by")
        'reviewed_by'
    """
    return "_".join(name.lower().replace("-", " ").split())


class Gathering:
    """Classes in the order in which they come, and what is said of each.

    Attributes:
        name: the file's, for messages.
        not_taken: names of fields for which knowledge has no place.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.not_taken: dict[str, None] = {}
        self._classes: dict[str, dict[str, Any]] = {}
        self._numbers: dict[str, int] = {}
        self._lines: dict[Place, int | None] = {}

    def begin(self, key: str, line: int | None, name: str | None = None) -> None:
        """Note a class, which may be there already.

        Raises:
            KnowledgeError: it had another name before.
        """
        entry = self._classes.setdefault(key, {"key": key, **({"name": name} if name else {})})
        number = self._numbers.setdefault(key, len(self._numbers))
        self._lines.setdefault(("classes", number), line)
        if name and entry.get("name") != name:
            raise self.error(line, f"class {key!r}", f"is called {name!r} here and {entry.get('name', key)!r} before")

    def add(self, key: str, entry: Any, line: int | None, kind: Literal["descriptions", "absent"]) -> None:  # noqa: ANN401 - judged by the schema
        """Add a sentence to a class that has begun."""
        held = self._classes[key].setdefault(kind, [])
        self._lines[("classes", self._numbers[key], kind, len(held))] = line
        held.append(entry)

    def add_record(self, record: Mapping[str, Any], line: int | None, where: str) -> tuple[str, str]:
        """Add what one record says: a class, and a sentence or a list of them; return the fields it was read from.

        Raises:
            KnowledgeError: no field or several that could be the class or the sentence.
        """
        fields = {fold_field(field): field for field in record}
        naming = [field for field in CLASS_FIELDS if field in fields]
        name = None
        if len(naming) == 2 and "name" in naming:
            naming.remove("name")
            name = self._text_of(record[fields["name"]], line, where, "name")
        label = self._only(naming, CLASS_FIELDS, "class", line, where)
        key = self._text_of(record[fields[label]], line, where, label)
        self.begin(key, line, name)
        return fields[label], self.add_texts(key, record, line, where, {*naming, "name"})

    def add_texts(
        self, key: str, record: Mapping[str, Any], line: int | None, where: str, known: Collection[str] = ()
    ) -> str:
        """Add the sentences that a record holds, with the provenance it states; return the field that holds them."""
        fields = {fold_field(field): field for field in record}
        text = self._only([field for field in TEXT_FIELDS if field in fields], TEXT_FIELDS, "sentence", line, where)
        stated = {field: record[fields[field]] for field in _PROVENANCE_FIELDS if field in fields}
        stated = {field: value for field, value in stated.items() if value not in (None, "")}
        taken = {"id", text, *known, *_PROVENANCE_FIELDS}
        self.not_taken |= dict.fromkeys(original for field, original in fields.items() if field not in taken)
        value = record[fields[text]]
        for sentence in value if isinstance(value, list) else [value]:
            self.add(key, {"text": sentence, "provenance": stated} if stated else sentence, line, "descriptions")
        return fields[text]

    def document(self, title: str) -> dict[str, Any]:
        """Return everything in KPL's own shape."""
        classes = [{"descriptions": [], **entry} for entry in self._classes.values()]
        return {"kpl_knowledge": 2, "task": {"name": title}, "classes": classes}

    def line_of(self, place: Place) -> int | None:
        """Find the line of a sentence or of its class; None for anything else, or where no line is known."""
        return self._lines.get(place[:4], self._lines.get(place[:2]))

    def error(self, line: int | None, where: str, problem: str) -> KnowledgeError:
        """Build the error that names the file and the place."""
        parts = [self.name, f"line {line}" if line else "", where]
        return KnowledgeError(f"{', '.join(part for part in parts if part)}: {problem}")

    def _only(self, found: list[str], known: tuple[str, ...], what: str, line: int | None, where: str) -> str:
        if not found:
            raise self.error(line, where, f"no field for the {what}: call it one of {', '.join(known)}")
        if len(found) > 1:
            both = " and ".join(map(repr, found))
            raise self.error(line, where, f"{both} could both be the {what}: remove or rename one")
        return found[0]

    def _text_of(self, value: object, line: int | None, where: str, field: str) -> str:
        """Take the name of a class, for which a number stands too."""
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise self.error(line, where, f"{field!r} must be the name of a class, got {value!r:.60}")
        return str(value).strip()
