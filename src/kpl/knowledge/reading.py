"""Loading a knowledge base by the name of a pack or from a file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kpl.errors import KnowledgeError, UnknownNameError
from kpl.knowledge.packs import own_pack, pack_names, read_pack
from kpl.knowledge.places import Place, Source
from kpl.knowledge.problems import explain
from kpl.knowledge.schema import KnowledgeBase, Task
from kpl.knowledge.shapes import Tidied, drop_faults, to_document
from kpl.knowledge.source import SUFFIXES, parse_source, read_source


@dataclass(frozen=True)
class PackHead:
    """What a pack is about, known without reading the sentences of one that ships."""

    name: str
    task: Task
    classes: int
    descriptions: int
    """Of all classes together; 0 when the pack is a list of names."""
    own: Path | None = None
    """The user's file, if the name stands for one."""

    @classmethod
    def of(cls, name: str, kb: KnowledgeBase, own: Path | None = None) -> PackHead:
        """Return the head of knowledge that is read."""
        return cls(name, kb.task, len(kb.classes), sum(len(entry.descriptions) for entry in kb.classes), own)


def read_pack_head(name: str) -> PackHead:
    """Read the task of a pack and count its lines, which is much faster than to load it; a user's own is loaded.

    Shipped packs are laid out alike: a class begins with two spaces and a hyphen, a description with six.

    Raises:
        UnknownNameError: no pack has this name; suggests the nearest.
        KnowledgeError: a fault in a pack of the user's own.

    Example:
        >>> head = read_pack_head("blood-cells")
        >>> head.task.modality, head.classes
        ('blood smear', 10)
    """
    if own := own_pack(name):
        return PackHead.of(name, load_knowledge(name), own)
    head, _, classes = read_pack(name).partition(b"\nclasses:\n")
    task = Task.model_validate(parse_source(f"pack {name}", head, is_json=False).data["task"])
    entries, sentences = (len(re.findall(rb"^ {%d}- " % indent, classes, re.MULTILINE)) for indent in (2, 6))
    return PackHead(name, task, entries, sentences)


def load_knowledge(name_or_path: str | Path | Mapping[str, Any] | KnowledgeBase) -> KnowledgeBase:
    """Load a knowledge base, refusing any fault in it.

    Takes the name of a pack, or a .yaml, .yml or .json file in KPL's own format or in one of the plain formats
    `{class: [sentence, ...]}` and `{class: [{id, feature}, ...]}`; the same as a dict; or a knowledge base, which is
    returned. An empty or repeated sentence is an error in all of
    them, because it would silently weigh in the mean of its class; `load_tidied` drops such entries and counts them.

    Raises:
        UnknownNameError: neither a file nor a pack.
        KnowledgeError: no such file; or a fault in it: names the file, the line, the class and the mend.

    Example:
        >>> load_knowledge("blood-cells").task.modality
        'blood smear'
        >>> [entry.key for entry in load_knowledge({"disc": ["a pale disc"], "box": ["a dark box"]}).classes]
        ['disc', 'box']
    """
    if isinstance(name_or_path, KnowledgeBase):
        return name_or_path
    if isinstance(name_or_path, Mapping):
        document, line_of = to_document(Source("the dict", _plain(name_or_path), lambda _place: None))
        return validate_document("the dict", document, line_of)
    if not isinstance(name_or_path, str | Path):
        raise KnowledgeError(
            f"knowledge is a file, a pack's name, a dict or a knowledge base, got "
            f"{type(name_or_path).__name__}: give one"
        )
    return _load(name_or_path, tidy=False)[0]


def _plain(given: Any) -> Any:  # noqa: ANN401 - whatever the user's dict holds
    """Return mappings as dicts and sequences as lists, as a file has them."""
    if isinstance(given, Mapping):
        return {key: _plain(value) for key, value in given.items()}
    return [_plain(value) for value in given] if isinstance(given, list | tuple) else given


def validate(source: Source, *, unfinished: bool = False, faulty: bool = False) -> KnowledgeBase:
    """Judge what was read from a file; `unfinished` allows classes without descriptions beside others that have them.

    With `faulty` the entries that `load_tidied` would drop are looked past.

    Raises:
        KnowledgeError: names the file, the line, the class and the mend.
    """
    document, line_of = to_document(source)
    if faulty:
        document, line_of, _ = drop_faults(document, line_of)
    return validate_document(source.name, document, line_of, unfinished=unfinished)


def load_tidied(name_or_path: str | Path) -> tuple[KnowledgeBase, Tidied]:
    """Load a knowledge base without its empty or repeated sentences and a language model's refusals; say how many went.

    For files of generated text. Everything else is checked as by `load_knowledge`, with the same errors.
    """
    return _load(name_or_path, tidy=True)


def _load(name_or_path: str | Path, *, tidy: bool) -> tuple[KnowledgeBase, Tidied]:
    source = find_source(name_or_path)
    document, line_of = to_document(source)
    dropped = Tidied()
    if tidy:
        document, line_of, dropped = drop_faults(document, line_of)
    return validate_document(source.name, document, line_of), dropped


def validate_document(
    name: str, document: dict[str, Any], line_of: Callable[[Place], int | None], *, unfinished: bool = False
) -> KnowledgeBase:
    """Judge data in KPL's own shape, as `validate` does."""
    try:
        return KnowledgeBase.model_validate(document, context={"unfinished": unfinished})
    except ValidationError as error:
        raise explain(error, name, document, line_of) from error


def find_source(name_or_path: str | Path) -> Source:
    """Tell packs from files: a pack's bare name wins over whatever lies in the working folder under it.

    The user's own pack stands for the name before the one that ships.
    """
    name = str(name_or_path)
    if name in pack_names():
        return parse_source(str(own_pack(name) or f"pack {name}"), read_pack(name), is_json=False)
    path = Path(name_or_path)
    if not path.exists():
        if path.suffix.lower() in SUFFIXES or path.name != name:
            near = _near_files(path)
            hint = f"did you mean {near[0]!r}?" if near else "check its name; 'kpl knowledge packs' lists the packs"
            raise KnowledgeError(f"no such knowledge file: {name!r}: {hint}")
        raise UnknownNameError("knowledge (no such file or pack)", name, [*pack_names(), *_near_files(path)])
    return read_source(path)


def _near_files(path: Path) -> list[str]:
    """Suggest the knowledge file beside a missing one whose name is nearest."""
    try:
        beside = [entry.name for entry in path.parent.iterdir() if entry.suffix.lower() in SUFFIXES]
    except OSError:
        return []
    return [str(path.parent / name) for name in difflib.get_close_matches(path.name, beside, n=1, cutoff=0.6)]
