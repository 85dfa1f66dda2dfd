"""The encoder of a command: its terms are told before it is loaded for the first time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kpl.cli.shown import say
from kpl.errors import InputError

if TYPE_CHECKING:
    from kpl.encoders import Encoder

__all__ = [
    "AllowPickle",
    "BatchSize",
    "Device",
    "Settings",
    "TrustRemoteCode",
    "Workers",
    "chosen_encoder",
    "chosen_settings",
    "tell_terms",
]

AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Read weights that are a pickle, with torch's restricted reader.")
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that lies beside the weights. Read it first.")
]
Device = Annotated[
    str | None,
    typer.Option(help="Of an encoder that runs on torch: cpu, cuda, cuda:1, mps. Default: the first CUDA, else cpu."),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", min=1, help="Pictures the encoder gets at once. Default: its own.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Threads that read pictures. Default: one a core, at most eight.")
]


def _known_settings(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete `--set` by the settings of the method that was named before it."""
    from kpl.methods import METHODS
    from kpl.methods.settings import settings_of

    method = METHODS.get(ctx.params.get("method") or "kpl")
    return [f"{name}=" for name in (settings_of(method) if method else ()) if name.startswith(incomplete)]


Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        autocompletion=_known_settings,
        help="A setting of the method, again for others; `kpl methods show NAME` lists them. VALUE none: no value.",
    ),
]


def chosen_settings(method: str | None, k: int | None, given: list[str] | None) -> dict[str, Any]:
    """Read `--k` and `--set` as settings of a method; only what was given is in the result.

    Raises:
        KplError: no such method or setting, a value of the wrong type, or a setting that is given twice.
    """
    from kpl.methods.settings import read_settings

    return read_settings(method or "kpl", [*([] if k is None else [f"k={k}"]), *(given or [])])


def chosen_encoder(
    spec: str | None, *, device: str | None = None, allow_pickle: bool = False, trust_remote_code: bool = False
) -> str | Encoder | None:
    """Tell an encoder's terms, and load it here if it needs what must be asked for in so many words.

    Raises:
        KplError: no encoder has that name, it cannot be loaded, or an option is about an encoder that is not named.
    """
    asked = {"--device": device, "--allow-pickle": allow_pickle, "--trust-remote-code": trust_remote_code}
    if spec is None:
        if idle := [name for name, value in asked.items() if value]:
            raise InputError(f"{idle[0]} is about an encoder that is named: give --encoder too, or leave it out")
        return None
    tell_terms(spec)
    if not any(asked.values()):
        return spec
    from kpl.encoders import load_encoder

    return load_encoder(spec, device=device, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)


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
