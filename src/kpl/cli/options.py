"""Options that several commands have alike, and what is told of them: an encoder's terms, a pack of one's own."""

from __future__ import annotations

import getpass
import hashlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kpl.cli.terminal import say
from kpl.errors import InputError

if TYPE_CHECKING:
    from kpl.encoders import Encoder as LoadedEncoder
    from kpl.images import Asked

ENCODER_HELP = (
    "Name of `kpl encoders list`, openclip:ARCHITECTURE/TAG, hf:ORG/NAME, a folder, .kplenc, or FILE.py:NAME."
)


def tell_own_pack(named: str | None) -> str | None:
    """Say on standard error that a name stands for the user's own pack, so that nobody takes it for the shipped one."""
    from kpl.knowledge import own_pack, shipped_packs

    if named and (path := own_pack(named)):
        instead = " in the place of the one that ships" if named in shipped_packs() else ""
        say(f"knowledge {named!r} is your own pack{instead}: {path}", err=True)
    return named


Knowledge = Annotated[
    str,
    typer.Argument(metavar="FILE|PACK", callback=tell_own_pack, help="A .yaml or .json file, or a pack's name."),
]
KnowledgeOption = Annotated[
    str | None,
    typer.Option("--knowledge", "-k", callback=tell_own_pack, help="A .yaml or .json file, or a pack's name."),
]
K = Annotated[
    int | None,
    typer.Option("--k", min=1, help="Descriptions retrieved per class, as --set k=. Default: the method's."),
]


On = Annotated[
    Literal["local", "ray"] | None,
    typer.Option("--on", help="Who works: this process, or a cluster of Ray (extra: ray)."),
]
Address = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Of the cluster's head, for --on ray; else this machine.")
]


def on_cluster(on: str | None, address: str | None) -> bool:
    """Say whether a cluster works.

    Raises:
        InputError: an address of none.
    """
    if on != "ray" and address is not None:
        raise InputError("--address is of a cluster: give --on ray too")
    return on == "ray"


SHOWN = 20
"""Doubts and unknown words in the terminal; a file of generated text has hundreds."""


Encoder = Annotated[
    str | None, typer.Option(help=f"{ENCODER_HELP} Default: the features' own, else 'mini'.", show_default=False)
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

Window = Annotated[
    str | None,
    typer.Option(help="Grey of DICOM and volumes: CENTRE/WIDTH, or a name for CT such as lung, bone, brain."),
]
Slices = Annotated[int | None, typer.Option(min=1, help="Slices read of a volume, at most, taken evenly. Default: 64.")]
Frames = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Frames read of a clip, at most, taken evenly. Default: 16; of animations and TIFFs of pages the first.",
    ),
]
Mpp = Annotated[
    float | None,
    typer.Option(
        min=0.01, max=100, help="Microns per pixel that slides are read at. Default: the encoder's own, or 0.5."
    ),
]
SlideMpp = Annotated[
    float | None,
    typer.Option(
        "--slide-mpp",
        min=0.01,
        max=100,
        help="Microns per pixel of slides that do not say theirs: 0.25 for a lens of 40.",
    ),
]
Tissue = Annotated[
    Path | None,
    typer.Option(help="A folder with the tissue of slides as GeoJSON, called by their stems. Default: it is found."),
]
Ids = Annotated[
    Literal["pseudonyms", "files"] | None,
    typer.Option(help="What medical files are called: pseudonyms (unit-0001, the default) or files (may name people)."),
]


Array = Annotated[
    str | None, typer.Option(metavar="NAME", help="The array to read in .npz and .h5 files that hold several.")
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


def named_numbers(option: str, given: Sequence[str], *, plain: bool) -> dict[str | None, float]:
    """Read CLASS=0.7, again for others, and where `plain` allows it 0.6 for all others, under None.

    Raises:
        InputError: one is not so written, or a name is given twice.
    """
    found: dict[str | None, float] = {}
    for text in given:
        name, named, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number != number or not (named or plain):
            raise InputError(f"{option} {text!r} cannot be read: write CLASS=0.6{', or 0.6 for all' if plain else ''}")
        if (name or None) in found:
            raise InputError(f"{option} says {name or 'all classes'!r} twice: say it once")
        found[name or None] = number
    return found


def gathers(into: str, make: Callable[..., Any], *without: str, **usual: object) -> Callable[[Callable[..., Any]], Any]:
    """Give a command the options that are the parameters of a function; it takes them as one value, what that returns.

    Args:
        into: the parameter of the command that gets the value.
        make: the function.
        without: parameters that the command has not.
        usual: values that stand for others where the command usually has these.
    """
    make.__annotations__.pop("return", None)  # perhaps a type that is not imported there
    options = {
        name: each.replace(kind=Parameter.KEYWORD_ONLY, default=usual.get(name, each.default))
        for name, each in signature(make, eval_str=True).parameters.items()
        if name not in without
    }

    def wrap(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def call(**given: Any) -> Any:  # noqa: ANN401 - whatever options the command has
            return command(**{into: make(**{name: given.pop(name) for name in options})}, **given)

        command.__annotations__[into] = None  # the same
        own = signature(command, eval_str=True)
        parameters: list[Parameter] = []
        for name, each in own.parameters.items():  # what is gathered stands where its value would
            parameters += options.values() if name == into else [each.replace(kind=Parameter.KEYWORD_ONLY)]
        call.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # what typer reads
        call.__annotations__ = {each.name: each.annotation for each in parameters}
        return call

    return wrap


def chosen_reading(
    window: Window = None,
    slices: Slices = None,
    frames: Frames = None,
    mpp: Mpp = None,
    slide_mpp: SlideMpp = None,
    tissue: Tissue = None,
    ids: Ids = None,
    array: Array = None,
) -> Asked | None:
    """Gather what was asked of the readers of medical files; None where nothing was.

    Raises:
        InputError: there is no such window.
    """
    given: dict[str, Any] = {"window": window, "slices": slices, "frames": frames, "ids": ids}
    given |= {"array": array, "mpp": mpp, "slide_mpp": slide_mpp, "tissue": tissue}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return None
    from kpl.images import Asked, read_window

    if window is not None:
        read_window(window)
    return Asked(**given)


def chosen_settings(method: str | None, k: int | None, given: list[str] | None) -> dict[str, Any]:
    """Read `--k` and `--set` as settings of a method; only what was given is in the result.

    Raises:
        KplError: no such method or setting, a value of the wrong type, or a setting that is given twice.
    """
    from kpl.methods.settings import read_settings

    return read_settings(method or "kpl", [*([] if k is None else [f"k={k}"]), *(given or [])])


@gathers("asked", chosen_reading)
def chosen_pictures(
    encoder: Encoder = None,
    batch_size: BatchSize = None,
    workers: Workers = None,
    device: Device = None,
    allow_pickle: AllowPickle = False,
    trust_remote_code: TrustRemoteCode = False,
    *,
    asked: Asked | None,
) -> dict[str, Any]:
    """Gather how pictures are read and embedded, as `kpl.classify` takes it.

    Raises:
        KplError: as by `chosen_encoder` and `chosen_reading`.
    """
    coder = chosen_encoder(encoder, device=device, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)
    return {"encoder": coder, "batch_size": batch_size, "workers": workers, "asked": asked}


def chosen_encoder(
    spec: str | None, *, device: str | None = None, allow_pickle: bool = False, trust_remote_code: bool = False
) -> str | LoadedEncoder | None:
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


def own_name() -> str:
    """Return the name that git knows, or that of the user's account."""
    if git := shutil.which("git"):
        told = subprocess.run([git, "config", "user.name"], capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
        if name := told.stdout.strip():
            return name
    return getpass.getuser()
