"""What a knowledge base is: a task, its classes, and for each class the sentences that describe how it looks."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from kpl.errors import KnowledgeError
from kpl.knowledge.folding import fold_name, fold_sentence
from kpl.knowledge.notebook import knowledge_html
from kpl.knowledge.records import Code, Ignored, Label, Part, Provenance, Rejected, Sentence, problem
from kpl.knowledge.template import DEFAULT_TEMPLATE, check_template


class Description(Part):
    """One sentence about how a class looks, and where the sentence comes from."""

    text: Sentence = Field(description="What is seen, in a few words.")
    against: Label | None = Field(
        default=None, description="The class from which this sentence tells its own class apart, if it was written so."
    )
    provenance: Provenance | None = Field(
        default=None,
        description="Replaces the provenance of the whole file; nothing of that one is inherited. Empty, {}, it says "
        "that nothing is known.",
    )
    ignore: tuple[Ignored, ...] = Field(
        default=(),
        description="Rules of 'kpl knowledge lint' that are set aside for this sentence, each with its reason.",
    )


def _wrap_sentence(value: Any) -> Any:  # noqa: ANN401 - raw input of any type, which pydantic judges next
    """Take a plain sentence for a description without further facts."""
    return {"text": value} if isinstance(value, str) else value


def _wrap_name(value: Any) -> Any:  # noqa: ANN401 - raw input of any type, which pydantic judges next
    """Take a plain name for a group that is in no other; none for no group."""
    return (value,) if isinstance(value, str) else () if value is None else value


class KnowledgeClass(Part):
    """One class: the key in tables, the name in prompts, other names, and its descriptions."""

    key: Label = Field(description="Stands for the class in tables and labels; unique.")
    name: Label = Field(
        default="", validate_default=True, description="Fills {class} in prompts; the key with spaces when left out."
    )
    aliases: tuple[Label, ...] = Field(default=(), description="Other names by which labels may call the class.")
    descriptions: tuple[
        Annotated[Description, BeforeValidator(_wrap_sentence, json_schema_input_type=str | Description)], ...
    ] = Field(
        default=(),
        description="How the class looks, each sentence once. At least one, unless no class has any: a list of names.",
    )
    parent: Annotated[
        tuple[Label, ...],
        BeforeValidator(_wrap_name, json_schema_input_type=str | tuple[Label, ...]),
    ] = Field(
        default=(),
        description="The group that the class belongs to, where classes form a tree; of groups within groups a list, "
        "the outermost first. Probabilities are summed upward.",
    )
    code: Code | None = Field(
        default=None, description="The class in a coding scheme; 'kpl export --to dicom-sr' hands it on, nothing else."
    )
    absent: tuple[Sentence, ...] = Field(
        default=(),
        description="What is seen when the class is not there, for classes that may occur together: one sentence for "
        "each description in its order, or one against all; left out, each description is negated.",
    )
    rejected: tuple[Rejected, ...] = Field(
        default=(), description="Sentences that a reviewer removed or replaced, for the record; nothing reads them."
    )
    ignore: tuple[Ignored, ...] = Field(
        default=(), description="Rules of 'kpl knowledge lint' set aside for this class, each with its reason."
    )

    def absent_of(self, position: int) -> str | None:
        """Return what this class states to be seen when the description at a position does not hold, if anything."""
        if len(self.absent) != len(self.descriptions):
            return next(iter(self.absent), None)
        return self.absent[position]

    @field_validator("name", mode="before")
    @classmethod
    def _default_name(cls, name: object, info: ValidationInfo) -> object:
        return info.data["key"].replace("_", " ") if name in ("", None) and "key" in info.data else name

    @field_validator("descriptions", mode="before")
    @classmethod
    def _take_an_empty_place(cls, descriptions: object, info: ValidationInfo) -> object:
        return () if descriptions is None and (info.context or {}).get("unfinished") else descriptions

    @field_validator("descriptions")
    @classmethod
    def _check_descriptions(cls, descriptions: tuple[Description, ...]) -> tuple[Description, ...]:
        seen: dict[str, int] = {}
        for number, description in enumerate(descriptions):
            first = seen.setdefault(fold_sentence(description.text), number)
            if first != number:
                message = f"repeats description {first + 1} ({_short(description.text)}): remove one of the two"
                raise problem("repeated_sentence", message, number)
        return descriptions

    @field_validator("absent")
    @classmethod
    def _check_absent(cls, absent: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        wanted = len(info.data.get("descriptions", ()))
        if wanted and len(absent) not in (0, 1, wanted):
            message = (
                f"{len(absent)} absent sentences for {wanted} descriptions: write one for each, one for all, or none"
            )
            raise problem("absent_pairs", message)
        return absent


class Task(Part):
    """What the classes are about and how prompts are phrased."""

    name: Label = Field(description="A title for people.")
    version: int | None = Field(
        default=None, ge=1, description="Counts what was changed in the knowledge: say a higher one with every change."
    )
    modality: Label | None = Field(
        default=None, description="What kind of picture is meant, for example blood smear; null when unknown."
    )
    window: Label | None = Field(
        default=None, description="The window that CT is looked at with: a name such as lung, or centre/width in HU."
    )
    unit: Literal["image", "series", "volume", "slide", "clip"] | None = Field(
        default=None, description="What is decided on, where it is more than one picture; null when unknown."
    )
    finding: Literal["local", "everywhere"] | None = Field(
        default=None, description="Whether what tells the classes apart may be in a few slices only, or is in all."
    )
    template: Annotated[str, AfterValidator(check_template)] = Field(
        default=DEFAULT_TEMPLATE, description="The prompt: must hold {description}, may hold {class}."
    )


def _describe_schema(schema: dict[str, Any]) -> None:
    """Say what the schema is, and allow a JSON file to name it."""
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["description"] = "A KPL knowledge base: the classes of a task and how each of them looks."
    schema["properties"] = {"$schema": {"description": "Where this schema lies.", "type": "string"}} | schema[
        "properties"
    ]


class KnowledgeBase(Part):
    """A knowledge base: everything KPL is told about the classes.

    Example:
        >>> base = KnowledgeBase.model_validate({
        ...     "kpl_knowledge": 1,
        ...     "task": {"name": "shapes"},
        ...     "classes": [
        ...         {"key": "disc", "descriptions": ["a round outline"]},
        ...         {"key": "box", "aliases": ["square"], "descriptions": ["four corners"]},
        ...     ],
        ... })
        >>> base.prompts()
        [['a photo of a disc, which has a round outline'], ['a photo of a box, which has four corners']]
        >>> base.name_prompts()
        ['a photo of a disc.', 'a photo of a box.']
        >>> base.resolve("SQUARE"), base.resolve("star")
        (1, None)
    """

    # The schema is for people who write files: the Python example above would only confuse them.
    model_config = ConfigDict(json_schema_extra=_describe_schema)

    kpl_knowledge: Literal[1, 2] = Field(
        description="The version of this format: 2 knows 'against', 'code', 'ignore', 'parent', 'rejected' and "
        "'reviewed_on'; every file of version 1 is one of version 2."
    )
    task: Task
    provenance: Provenance | None = Field(
        default=None, description="Holds for every description that does not state its own."
    )
    ignore: tuple[Ignored, ...] = Field(
        default=(),
        description="Rules of 'kpl knowledge lint' that are set aside for this whole file, each with its reason.",
    )
    # After `provenance`, because that one is handed to the descriptions when they are validated.
    classes: tuple[KnowledgeClass, ...] = Field(description="At least two.", json_schema_extra={"minItems": 2})

    @field_validator("classes")
    @classmethod
    def _check_classes(cls, classes: tuple[KnowledgeClass, ...], info: ValidationInfo) -> tuple[KnowledgeClass, ...]:
        if len(classes) < 2:
            message = f"there must be at least two to choose between, got {len(classes)}: add another"
            raise problem("too_few_classes", message)
        taken: dict[str, int] = {}
        for number, entry in enumerate(classes):
            for kind, name in names_of(entry):
                first = taken.setdefault(fold_name(name), number)
                if first != number:
                    raise problem("name_taken", _describe_clash(kind, name, first, classes[first]), number)
        _check_against(classes, taken)
        _check_parents(classes, taken)
        bare = [number for number, entry in enumerate(classes) if not entry.descriptions]
        if 0 < len(bare) < len(classes) and not (info.context or {}).get("unfinished"):
            raise problem("no_descriptions", "no descriptions: write at least one", bare[0], "descriptions")
        return _fill_provenance(classes, info.data.get("provenance"))

    @property
    def names_only(self) -> bool:
        """Whether this is a list of class names whose descriptions are still to be written."""
        return not self.classes[0].descriptions

    def prompts(self) -> list[list[str]]:
        """Fill the template: one list a class, one prompt a description, both in the order of the file.

        Raises:
            KnowledgeError: a list of names only; tells the command that writes descriptions.
        """
        self._require_descriptions()
        template = self.task.template
        return [
            [template.format(**{"class": entry.name, "description": d.text}) for d in entry.descriptions]
            for entry in self.classes
        ]

    def absent_prompts(self) -> list[list[str]]:
        """Fill the template with what is seen when a class is not there: the other half of `prompts`, one list a class.

        A class that states `absent` sentences has those: one for each description, or one against all. Otherwise each
        description is negated: "round nucleus" to "no round nucleus", and "no nucleus" to "nucleus".

        Raises:
            KnowledgeError: a list of names only, as in `prompts`.
        """
        self._require_descriptions()
        template = self.task.template
        return [
            [
                template.format(**{"class": entry.name, "description": text})
                for text in entry.absent or [negate(d.text) for d in entry.descriptions]
            ]
            for entry in self.classes
        ]

    def name_prompts(self) -> list[str]:
        """Fill the template cut after the class name, one prompt a class: what an encoder knows from names alone.

        A template that does not name the class before the description falls back to "a photo of a {class}.".
        """
        head = self.task.template.partition("{description}")[0]
        before, named, _ = head.rpartition("{class}")
        stem = (before if named else "a photo of a ") + "{class}."
        return [stem.format(**{"class": entry.name}) for entry in self.classes]

    def resolve(self, label: str) -> int | None:
        """Return the index of the class with this key, name or alias, or None.

        Case, spaces, underscores and hyphens do not count, so that folder names match.
        """
        return self._indices.get(fold_name(label))

    def with_task(
        self, *, name: str | None = None, modality: str | None = None, template: str | None = None
    ) -> KnowledgeBase:
        """Return a copy with another title, modality or template; None keeps what is there.

        Raises:
            KnowledgeError: a value that a knowledge file could not hold either.
        """
        stated = {"name": name, "modality": modality, "template": template}
        changed = {key: value for key, value in stated.items() if value is not None}
        try:
            task = Task.model_validate(self.task.model_dump() | changed)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            raise KnowledgeError(f"{detail['loc'][0]}: {detail['msg']}") from error
        return self.model_copy(update={"task": task})

    def _repr_html_(self) -> str:
        return knowledge_html(self)

    def content_hash(self) -> str:
        """Return the SHA-256 (hexadecimal) of what the knowledge says: template, modality, classes in order.

        Layout, comments, YAML or JSON, and the title and the version of the task do not count.
        """
        content = self.model_dump(mode="json", include={"task": {"modality", "template"}, "classes": True})
        for entry in content["classes"]:
            del entry["rejected"], entry["ignore"]
            for unsaid in ("absent", "parent", "code"):  # what is not said does not count
                if not entry[unsaid]:
                    del entry[unsaid]
            for description in entry["descriptions"]:
                del description["ignore"]
                if description["against"] is None:
                    del description["against"]
                if (provenance := description["provenance"]) and provenance["reviewed_on"] is None:
                    del provenance["reviewed_on"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _require_descriptions(self) -> None:
        if self.names_only:
            raise KnowledgeError(
                f"{self.task.name}: {len(self.classes)} class names and no descriptions: copy it to a file with "
                "'kpl knowledge import' and write them with 'kpl knowledge write FILE --llm URL --model NAME'"
            )

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {fold_name(name): number for number, entry in enumerate(self.classes) for _, name in names_of(entry)}


def names_of(entry: KnowledgeClass) -> list[tuple[str, str]]:
    """List (kind, name) for everything a class answers to."""
    return [("key", entry.key), ("name", entry.name), *(("alias", alias) for alias in entry.aliases)]


def _describe_clash(kind: str, name: str, first: int, owner: KnowledgeClass) -> str:
    """Say who has the name already, and what to do."""
    if fold_name(name) == fold_name(owner.key) and kind == "key":
        return f"duplicate class: {name!r} is already class {first + 1} ({owner.key!r}): merge the two or rename one"
    return f"{kind} {name!r} already belongs to class {first + 1} ({owner.key!r}): change one, a name means one class"


def _check_against(classes: tuple[KnowledgeClass, ...], owners: dict[str, int]) -> None:
    """Refuse a sentence that is set against no class, or against its own."""
    for number, entry in enumerate(classes):
        for position, description in enumerate(entry.descriptions):
            if description.against is not None and owners.get(fold_name(description.against), number) == number:
                message = f"{description.against!r} is no other class of this file: name the class it is set against"
                raise problem("against", message, number, "descriptions", position, "against")


def _check_parents(classes: tuple[KnowledgeClass, ...], owners: dict[str, int]) -> None:
    """Refuse groups that form no tree: one that is a class too, or that lies in two places."""
    above: dict[str, tuple[tuple[str, ...], int]] = {}
    for number, entry in enumerate(classes):
        for depth, group in enumerate(entry.parent):
            if (owner := owners.get(fold_name(group))) is not None:
                message = f"{group!r} is class {owner + 1} of this file: a group is no class, give it another name"
                raise problem("parent", message, number, "parent")
            chain = tuple(map(fold_name, entry.parent[:depth]))
            known, first = above.setdefault(fold_name(group), (chain, number))
            if known != chain:
                message = f"{group!r} lies elsewhere for class {first + 1}: write the same groups above it, in a list"
                raise problem("parent", message, number, "parent")


def _fill_provenance(classes: tuple[KnowledgeClass, ...], default: Provenance | None) -> tuple[KnowledgeClass, ...]:
    """Hand the provenance of the file to every description without its own."""
    if default is None:
        return classes
    return tuple(
        entry.model_copy(
            update={
                "descriptions": tuple(
                    d if d.provenance else d.model_copy(update={"provenance": default}) for d in entry.descriptions
                )
            }
        )
        for entry in classes
    )


def negate(text: str) -> str:
    """Turn a description around: an article gives way to "no", and "no" or "without" goes.

    Example:
        >>> negate("a round nucleus"), negate("no nucleus")
        ('no round nucleus', 'nucleus')
    """
    first, _, rest = text.partition(" ")
    if rest and first.lower() in ("no", "without"):
        return rest
    return f"no {rest if rest and first.lower() in ('a', 'an', 'the') else text}"


def _short(text: str, width: int = 50) -> str:
    """Quote a sentence for a one-line message."""
    return repr(text if len(text) <= width else text[: width - 1] + "…")
