"""The knowledge bases that come with KPL, by name."""

from __future__ import annotations

from importlib.resources import files

from kpl.errors import UnknownNameError

__all__ = ["pack_names", "read_pack"]

_SUFFIX = ".yaml"


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
