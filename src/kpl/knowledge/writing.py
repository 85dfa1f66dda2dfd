"""Writing a knowledge base in KPL's own format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kpl.errors import AlreadyThereError, OutputError
from kpl.files import locked, write_file
from kpl.knowledge.records import Part, Provenance
from kpl.knowledge.schema import Description, KnowledgeBase, KnowledgeClass
from kpl.knowledge.schema_file import SCHEMA_FILE, schema_lies_beside, with_schema_line
from kpl.knowledge.shapes import SCHEMA_KEY
from kpl.knowledge.source import SUFFIXES


def write_knowledge(kb: KnowledgeBase, path: Path, *, overwrite: bool = False) -> None:
    """Write a knowledge base as YAML or JSON, by the suffix; loading it again gives an equal one.

    The file names its JSON Schema if that lies beside it as `knowledge.schema.json`.

    Raises:
        OutputError: the file exists and `overwrite` is not set, an unknown suffix, or the disk refuses.
    """
    check_suffix(path)
    write_new(path, to_text(kb, path), overwrite=overwrite)


def write_new(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a file that must not be there, unless it may be replaced or holds the same already.

    Raises:
        AlreadyThereError: it is there with this very content.
        OutputError: the file exists and `overwrite` is not set, or the disk refuses.
    """
    if overwrite:
        write_file(path, text)
        return
    with locked(path, wait=True):
        if path.exists():
            if path.is_file() and path.read_bytes() == text.encode():
                raise AlreadyThereError(path)
            raise OutputError(f"{path}: exists already: choose another name, or allow overwriting")
        write_file(path, text)


def to_text(kb: KnowledgeBase, path: Path) -> str:
    """Return what `write_knowledge` writes to a file of this path."""
    document = _document(kb)
    if path.suffix.lower() == ".json":
        named = {SCHEMA_KEY: SCHEMA_FILE} if schema_lies_beside(path) else {}
        return _json(named | document)
    return with_schema_line(_yaml(document), path)


def check_suffix(path: Path) -> None:
    """Refuse a file that cannot be written as knowledge.

    Raises:
        OutputError: an unknown suffix.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path}: a knowledge file ends in {', '.join(SUFFIXES)}, not {path.suffix!r}: choose one")


def _document(kb: KnowledgeBase) -> dict[str, Any]:
    """Say everything once: a description that has the provenance of the file is a plain sentence."""
    classes = [to_class_entry(entry, kb.provenance) for entry in kb.classes]
    head = {"kpl_knowledge": kb.kpl_knowledge, "task": kb.task.model_dump(exclude_none=True)}
    default = {"provenance": kb.provenance.model_dump(exclude_none=True)} if kb.provenance else {}
    return {**head, **default, **_listed("ignore", kb.ignore), "classes": classes}


def to_class_entry(entry: KnowledgeClass, default: Provenance | None) -> dict[str, Any]:
    """Say a class as a file does whose provenance is `default`."""
    descriptions = [to_entry(each, default) for each in entry.descriptions]
    return {
        "key": entry.key,
        "name": entry.name,
        **({"aliases": list(entry.aliases)} if entry.aliases else {}),
        **({"parent": entry.parent[0] if len(entry.parent) == 1 else list(entry.parent)} if entry.parent else {}),
        **({"code": entry.code.model_dump()} if entry.code else {}),
        **({"descriptions": descriptions} if descriptions else {}),
        **({"absent": list(entry.absent)} if entry.absent else {}),
        **_listed("rejected", entry.rejected),
        **_listed("ignore", entry.ignore),
    }


def _listed(key: str, parts: Sequence[Part]) -> dict[str, Any]:
    return {key: [part.model_dump(exclude_none=True) for part in parts]} if parts else {}


def to_entry(description: Description, default: Provenance | None) -> str | dict[str, Any]:
    """Say a description as a file does whose provenance is `default`: in a plain sentence where that is enough.

    One of which nothing is known says so, where it would else pass for one by the author of the file.

    Example:
        >>> to_entry(Description(text="round"), Provenance(author="A. Author"))
        {'text': 'round', 'provenance': {}}
    """
    entry: dict[str, Any] = {"text": description.text}
    if description.against is not None:
        entry["against"] = description.against
    if description.provenance != default:
        entry["provenance"] = (description.provenance or Provenance()).model_dump(exclude_none=True)
    entry |= _listed("ignore", description.ignore)
    return entry if len(entry) > 1 else description.text


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    from kpl.knowledge.yaml_edit import to_scalar

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
        """Lists are indented under their keys."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - its name
            super().increase_indent(flow, indentless=False)

        def ignore_aliases(self, _data: object) -> bool:
            return True

    def quoted(dumper: Any, text: str) -> Any:  # noqa: ANN401 - PyYAML has no types
        style = None if to_scalar(text) == text else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, quoted)
    # one sentence, one line: a change shows as one line in a diff
    return str(yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=float("inf")))
