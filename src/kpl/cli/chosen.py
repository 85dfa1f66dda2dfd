"""The encoder of a command: its terms are told before it is loaded for the first time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kpl.cli.shown import say

if TYPE_CHECKING:
    from kpl.encoders import Encoder

__all__ = ["AllowPickle", "TrustRemoteCode", "chosen_encoder", "tell_terms"]

AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Read weights that are a pickle, with torch's restricted reader.")
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that lies beside the weights. Read it first.")
]


def chosen_encoder(spec: str | None, *, allow_pickle: bool, trust_remote_code: bool) -> str | Encoder | None:
    """Tell an encoder's terms, and load it here if it needs what must be asked for in so many words.

    Raises:
        KplError: no encoder has that name, or it cannot be loaded.
    """
    if spec is None:
        return None
    tell_terms(spec)
    if not (allow_pickle or trust_remote_code):
        return spec
    from kpl.encoders import load_encoder

    return load_encoder(spec, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)


def tell_terms(spec: str) -> None:
    """Say once, on stderr, what an encoder that KPL does not ship is for, and under which terms.

    Raises:
        UnknownNameError: no encoder has that name.
        EncoderError: its bundle or its card cannot be read.
    """
    import kpl.encoders.registry as registry
    from kpl.encoders.bundles import unpacked
    from kpl.encoders.store import read_card
    from kpl.home import home

    found = registry.parse_spec(spec)
    shipped = Path(registry.__file__).parent
    if found.folder is None or found.folder.parent == shipped:
        return
    folder = unpacked(found.folder)
    if (folder / "card.json").is_file():
        card = read_card(folder)
        told = f"{card.name}: {card.intended_use.rstrip('.')}; {card.terms}."
    else:
        told = f"{found.name}: an encoder that you brought; its own documents say what it is for and its licence."
    marker = home() / "told" / hashlib.sha256(told.encode()).hexdigest()[:16]
    if marker.exists():
        return
    say(told, err=True)
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError:
        return  # told again next time
