"""One function that loads any encoder, and the grammar of what it is asked for.

Loading never touches the network: what is not here is refused with the command that fetches it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Final

from kpl.encoders.adapters import load_adapter, split_adapter
from kpl.encoders.bundles import unpacked
from kpl.encoders.catalogue import catalogue, unusable
from kpl.encoders.files import weights_of
from kpl.encoders.protocol import UNKNOWN, CatalogueEntry, Encoder, EncoderCard
from kpl.encoders.store import kept, kept_folder, read_card
from kpl.errors import EncoderError, KplError, UnknownNameError, one_line
from kpl.later import offered

_SHIPPED: Final = Path(__file__).parent
_PART: Final = r"[\w.-]+"
_SHORT: Final = 3  # letters of a word such as CT, which is no part of OCT


@dataclass(frozen=True, slots=True)
class Spec:
    """What was asked for.

    Attributes:
        name: the encoder's name, and that of its folder in the store.
        entry: what is known of it without its files; None for a shipped encoder or a folder.
        folder: where its files are, if they are here; a `.kplenc` file counts as a folder.
        adapter: a Python file and the function in it that makes the encoder.
        point: where an installed package offers it.
    """

    name: str
    entry: CatalogueEntry | None = None
    folder: Path | None = None
    adapter: tuple[Path, str] | None = None
    point: EntryPoint | None = None

    @property
    def here(self) -> bool:
        """Whether it can be loaded now, from its files or from the package that offers it."""
        return self.folder is not None or self.point is not None


def parse_spec(spec: str) -> Spec:
    """Read what names an encoder.

    Args:
        spec: a name of `encoder_names`; `openclip:ARCHITECTURE/TAG`; `openclip:hf-hub:ORG/NAME`; `hf:ORG/NAME`; or
            the path of a folder or of a `.kplenc` file; or `FILE.py:FUNCTION`, an adapter.

    Raises:
        UnknownNameError: none of these.
        EncoderError: a path that is not there, or a model that cannot be an encoder; the message says why.

    Example:
        >>> parse_spec("openclip:ViT-L-14-336/openai").name
        'openai-clip-l-14-336'
        >>> parse_spec("hf:someone/some-clip").name
        'hf--someone--some-clip'
    """
    if (_SHIPPED / spec / "card.json").is_file() and re.fullmatch(_PART, spec):
        return Spec(spec, folder=_SHIPPED / spec)
    if spec in catalogue():
        return _kept(catalogue()[spec])
    if point := next((point for point in offered("kpl.encoders") if point.name == spec), None):
        return Spec(spec, point=point)
    if adapter := split_adapter(spec):
        return Spec(adapter[0].stem, adapter=adapter)
    _refuse_unusable(spec)
    if ":" in spec and (entry := _entry(spec)):
        return _kept(entry)
    if re.fullmatch(_PART, spec) and (kept_folder(spec) / "card.json").is_file():
        return Spec(spec, folder=kept_folder(spec))
    if re.search(r"\.py(:|$)", spec):
        raise EncoderError(f"{spec!r}: an adapter is named by its file and a function of it: ./my_adapter.py:build")
    path = Path(spec).expanduser()
    if path.exists():
        return Spec(path.resolve().name.removesuffix(".kplenc"), folder=path)
    if "/" in spec or "\\" in spec or spec.endswith(".kplenc"):
        raise EncoderError(
            f"no folder and no file {spec!r}: an encoder is a name of `kpl encoders list`, openclip:ARCHITECTURE/TAG, "
            "hf:ORG/NAME, or the path of a folder or .kplenc file that is there"
        )
    raise UnknownNameError("encoder", spec, encoder_names())


def _refuse_unusable(spec: str) -> None:
    def folded(name: str) -> str:
        return re.sub(r"[^a-z0-9/]", "", name.lower())

    asked = folded(spec.rpartition(":")[2])
    for name, (hub_ids, why) in unusable().items():
        known = {folded(name), *map(folded, hub_ids), *(folded(hub_id.rpartition("/")[2]) for hub_id in hub_ids)}
        if asked in known and not Path(spec).exists():
            raise EncoderError(f"{name} cannot be used as an encoder. {why}")


def _kept(entry: CatalogueEntry) -> Spec:
    folder = kept_folder(entry.name)
    return Spec(entry.name, entry, folder if (folder / "card.json").is_file() else None)


def _entry(spec: str) -> CatalogueEntry | None:
    """The entry of a prefixed spec: that of the catalogue if it is the same model, else one made of the spec."""
    hub = re.fullmatch(rf"(openclip:hf-hub|hf):({_PART}/{_PART})", spec)
    built_in = re.fullmatch(rf"openclip:({_PART})/({_PART})", spec)
    loader = "openclip" if spec.startswith("openclip:") else "transformers"
    for entry in catalogue().values():
        same_hub = hub and entry.sources and entry.sources[0].hub_id.lower() == hub[2].lower()
        same_tag = built_in and (entry.architecture, entry.tag) == (built_in[1], built_in[2])
        if entry.loader == loader and (same_hub or same_tag):
            return entry
    if not (hub or built_in):
        return None
    return _unknown_entry(
        re.sub(r"[:/]", "--", spec),
        spec,
        loader,
        sources=[{"hub_id": hub[2]}] if hub else [],
        architecture=built_in[1] if built_in else "",
        tag=built_in[2] if built_in else "",
    )


def encoder_names() -> list[str]:
    """The encoders that are known by name, sorted: shipped, in the catalogue, or kept by the user.

    Example:
        >>> {"mini", "biomedclip"} <= set(encoder_names())
        True
    """
    shipped = {path.parent.name for path in _SHIPPED.glob("*/card.json")}
    return sorted(shipped | set(catalogue()) | set(kept()) | {point.name for point in offered("kpl.encoders")})


def suited(wanted: str) -> list[str]:
    """The encoders that were made for a kind of picture or a part of the body, the special ones first.

    Example:
        >>> suited("dermoscopy")[0]
        'dermfm-zero'
        >>> suited("blood smear"), suited("OCT")
        (['mini'], [])
    """
    found: list[tuple[bool, int, str]] = []
    for name in encoder_names():
        kinds = made_for(name)
        if any(_same_kind(wanted, kind) for kind in kinds):
            found.append((wanted.casefold() not in kinds, len(kinds), name))
    return [name for *_, name in sorted(found)]


def made_for(name: str) -> list[str]:
    """The kinds of pictures and parts of the body that an encoder was made for, as far as it can be read."""
    entry = catalogue().get(name)
    try:
        known = (*entry.pictures, *entry.regions, *entry.modalities) if entry else load_card(name).modalities
    except KplError:  # damaged, or of a package that does not work: `kpl encoders check` says how
        known = ()
    return [kind.casefold() for kind in known if kind != "any"]


def _same_kind(one: str, other: str) -> bool:
    """Whether all words of one are among the other's; a long word may be part of another, a short one is a word."""

    def within(words: list[str], others: list[str]) -> bool:
        return bool(words) and all(
            any(word == each or (len(word) > _SHORT and word in each) for each in others) for word in words
        )

    mine, theirs = (
        [word.removesuffix("s") for word in re.findall(r"\w+", text.casefold().replace("-", ""))]
        for text in (one, other)
    )
    return within(mine, theirs) or within(theirs, mine)


def load_card(spec: str, *, allow_pickle: bool = False, trust_remote_code: bool = False) -> EncoderCard:
    """The card of an encoder whose files are here, without loading its weights.

    Of a model's own folder, which has no card, one is made from the model's files.

    Raises:
        UnknownNameError: no encoder has that name.
        EncoderError: its files are not here, or the card cannot be read or made.

    Example:
        >>> load_card("mini").dim
        128
    """
    if point := parse_spec(spec).point:
        return _offered_card(point)
    return _located(spec, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)[1]


def _located(spec: str, *, allow_pickle: bool, trust_remote_code: bool) -> tuple[Path, EncoderCard]:
    found = parse_spec(spec)
    if found.adapter:
        raise EncoderError(
            f"encoder {spec!r} is Python code, which has a card only once it runs: read it, then say "
            f"--trust-remote-code; kpl encoders check {spec} --trust-remote-code shows what it is"
        )
    if found.folder is None:
        terms = f" ({found.entry.terms})" if found.entry else ""
        raise EncoderError(f"encoder {spec!r} is known but its files are not here: kpl encoders pull {spec}{terms}")
    folder = unpacked(found.folder)
    if (folder / "card.json").is_file():
        return folder, read_card(folder)
    return folder, describe(folder, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)


def describe(
    folder: Path,
    entry: CatalogueEntry | None = None,
    *,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> EncoderCard:
    """Make a card from a model's own files, for an encoder's folder without one or for the model's folder itself.

    Args:
        folder: has `weights` and perhaps `text` in it, or the model's files themselves.
        entry: what is known of the model; None for a model that KPL knows nothing of.
        allow_pickle: as in `load_encoder`.
        trust_remote_code: as in `load_encoder`.

    Raises:
        EncoderError: it is the folder of no model, or its files are not those of the entry.
        MissingExtraError: its loader needs libraries that are not installed.
    """
    weights = weights_of(folder)
    options = {"allow_pickle": allow_pickle}
    openclip = (weights / "open_clip_config.json").is_file()
    if openclip and not (entry and entry.loader == "transformers" and (weights / "config.json").is_file()):
        loader = "openclip"
    elif (weights / "config.json").is_file():
        loader, options = "transformers", options | {"trust_remote_code": trust_remote_code}
    else:
        raise EncoderError(
            f"{str(folder)!r} is the folder of no encoder: one with card.json, open_clip_config.json or config.json is "
            "needed, with the model's weights beside it; weights alone are kept by kpl encoders pull FILE "
            "--architecture NAME"
        )
    if entry and entry.loader != loader:
        raise EncoderError(f"{folder}: these are files for {loader}, {entry.name!r} is a model of {entry.loader}")
    known = entry or _unknown_entry(folder.resolve().name, f"a model of {loader}", loader)
    card: EncoderCard = import_module(f"kpl.encoders.{loader}").describe(folder, known, **options)
    for what in ("context_length", "image_size"):
        expected, found = getattr(known, what), getattr(card, what)
        if expected not in (0, found):
            raise EncoderError(
                f"{folder}: its {what} is {found}, that of {known.name!r} is {expected}: these are other files"
            )
    return card


def _unknown_entry(name: str, title: str, loader: str, **more: object) -> CatalogueEntry:
    """An entry for a model that is not in the catalogue."""
    return CatalogueEntry.model_validate(
        {"name": name, "title": title, "loader": loader, "head": "softmax"} | UNKNOWN | more
    )


@cache
def _offered_card(point: EntryPoint) -> EncoderCard:
    """The card of what an installed package offers, which is asked once: it may have to load its model to tell."""
    return _offered(point).card


def _offered(point: EntryPoint) -> Encoder:
    """Make the encoder that an installed package offers.

    Raises:
        EncoderError: it cannot be made, or is no encoder.
    """
    try:
        made = point.load()()
    except (Exception, SystemExit) as error:  # somebody else's code: whatever it raises is why there is no encoder
        raise EncoderError(
            f"encoder {point.name!r} of an installed package cannot be used: {type(error).__name__}: {one_line(error)}"
        ) from error
    if not isinstance(made, Encoder):
        raise EncoderError(
            f"encoder {point.name!r} of an installed package gives a {type(made).__name__}, no kpl.Encoder"
        )
    return made


def load_encoder(
    spec: str | Path, *, device: str | None = None, allow_pickle: bool = False, trust_remote_code: bool = False
) -> Encoder:
    """Load an encoder; its files are checked against the hashes of its card. No network is used.

    Args:
        spec: see `parse_spec`; or the name under which an installed package offers an encoder, a callable without
            arguments at the entry point `kpl.encoders`.
        device: of torch, such as "cpu" or "cuda:0"; None takes a graphics card if there is one. ONNX runs on the
            processor.
        allow_pickle: read weights that are only there as a pickle, with torch's restricted reader.
        trust_remote_code: run the Python code that some models bring beside their weights, and that of an adapter.

    Raises:
        UnknownNameError: no encoder has that name.
        MissingExtraError: its loader needs libraries that are not installed.
        EncoderError: a file is missing, damaged, or of a kind that no loader reads.

    Example:
        >>> mini = load_encoder("mini")
        >>> mini.encode_texts(["a large cell with a folded nucleus"]).shape
        (1, 128)
    """
    if not isinstance(spec, str | Path):
        raise EncoderError(
            f"an encoder is loaded by its name or the path of its folder, got {type(spec).__name__}: see "
            "`kpl encoders list`; one that is loaded already is given to `classify` itself"
        )
    spec = str(spec)
    if point := parse_spec(spec).point:
        return _offered(point)
    if (adapter := split_adapter(spec)) is not None:
        return load_adapter(*adapter, trusted=trust_remote_code)
    folder, card = _located(spec, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)
    if card.loader == "adapter":
        raise EncoderError(f"encoder {card.name!r} was made by an adapter: name its file and function again")
    load: Callable[..., Encoder] = import_module(f"kpl.encoders.{card.loader}").load
    return load(folder, card, device=device, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)
