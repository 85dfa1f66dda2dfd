"""The knowledge bases that come with KPL, by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

from kpl.errors import UnknownNameError
from kpl.knowledge.schema import Task
from kpl.knowledge.source import parse_source

__all__ = ["PackHead", "pack_names", "read_pack", "read_pack_head"]

_SUFFIX = ".yaml"


@dataclass(frozen=True)
class PackHead:
    """What a pack is about, known without reading its sentences."""

    name: str
    task: Task
    classes: int
    descriptions: int
    """Of all classes together; 0 when the pack is a list of names."""


def pack_names() -> list[str]:
    """List the names of the shipped packs, sorted.

    Example:
        >>> "blood-cells" in pack_names()
        True
    """
    folder = files("kpl.knowledge") / "packs"
    return sorted(entry.name.removesuffix(_SUFFIX) for entry in folder.iterdir() if entry.name.endswith(_SUFFIX))


def read_pack(name: str) -> bytes:
    """Return the YAML text of a shipped pack.

    Raises:
        UnknownNameError: no pack has this name; suggests the nearest.
    """
    known = pack_names()
    if name not in known:
        raise UnknownNameError("knowledge pack", name, known)
    return (files("kpl.knowledge") / "packs" / f"{name}{_SUFFIX}").read_bytes()


def read_pack_head(name: str) -> PackHead:
    """Read the task of a shipped pack and count its lines, which is much faster than to load it.

    Packs are laid out alike: a class begins with two spaces and a hyphen, a description with six.

    Raises:
        UnknownNameError: no pack has this name; suggests the nearest.

    Example:
        >>> head = read_pack_head("blood-cells")
        >>> head.task.modality, head.classes
        ('blood smear', 10)
    """
    head, _, classes = read_pack(name).partition(b"\nclasses:\n")
    task = Task.model_validate(parse_source(f"pack {name}", head, is_json=False).data["task"])
    counts = [len(re.findall(rb"^ {%d}- " % indent, classes, re.MULTILINE)) for indent in (2, 6)]
    return PackHead(name, task, *counts)
