"""Knowledge given by name: said where the name stands for a file of the user's own."""

from __future__ import annotations

from kpl.cli.shown import say

__all__ = ["tell_own_pack"]


def tell_own_pack(named: str | None) -> str | None:
    """Say on standard error that a name stands for the user's own pack, so that nobody takes it for the shipped one."""
    from kpl.knowledge import own_pack, shipped_packs

    if named and (path := own_pack(named)):
        instead = " in the place of the one that ships" if named in shipped_packs() else ""
        say(f"knowledge {named!r} is your own pack{instead}: {path}", err=True)
    return named
