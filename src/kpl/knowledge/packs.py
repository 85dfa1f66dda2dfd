"""The knowledge bases that have a name: those that come with KPL, and the user's own, which are looked up first."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from kpl.errors import KnowledgeError, UnknownNameError
from kpl.home import home

_SUFFIX = ".yaml"


def own_packs_folder() -> Path:
    """The folder of the user's own packs, whether it is there or not: a file NAME.yaml in it is the pack NAME."""
    return home() / "packs"


def own_pack(name: str) -> Path | None:
    """The user's file that this name stands for, or None: only files of that one folder are looked at."""
    path = own_packs_folder() / f"{name}{_SUFFIX}"
    return path if name == Path(name).name and path.is_file() else None


def shipped_packs() -> list[str]:
    """List the names of the packs that come with KPL, sorted.

    Example:
        >>> "blood-cells" in shipped_packs()
        True
    """
    folder = files("kpl.knowledge") / "packs"
    return sorted(entry.name.removesuffix(_SUFFIX) for entry in folder.iterdir() if entry.name.endswith(_SUFFIX))


def pack_names() -> list[str]:
    """List the names of all packs, the user's own among them, sorted."""
    own = (path.name.removesuffix(_SUFFIX) for path in own_packs_folder().glob(f"*{_SUFFIX}") if path.is_file())
    return sorted({*shipped_packs(), *own})


def read_pack(name: str) -> bytes:
    """Return the YAML text of a pack: the user's own, else the one that ships.

    Raises:
        UnknownNameError: no pack has this name; suggests the nearest.
        KnowledgeError: the user's file cannot be read.
    """
    known = pack_names()
    if name not in known:
        raise UnknownNameError("knowledge pack", name, known)
    if path := own_pack(name):
        try:
            return path.read_bytes()
        except OSError as error:
            raise KnowledgeError(f"{path}: cannot be read ({error.strerror}): check its permissions") from error
    return (files("kpl.knowledge") / "packs" / f"{name}{_SUFFIX}").read_bytes()
