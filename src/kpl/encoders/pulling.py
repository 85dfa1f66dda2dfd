"""Get an encoder: fetch the repositories it is made of, describe it, make its golden vectors, test it, keep it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from kpl.alike import holds, same_content
from kpl.encoders.bundles import check_sums, unpacked
from kpl.encoders.catalogue import catalogue
from kpl.encoders.checking import passes_tests
from kpl.encoders.files import PICKLES, text_of, tokenizer_folder, weight_file, weights_of
from kpl.encoders.golden import make_golden
from kpl.encoders.hub import Listing, fetch, list_files
from kpl.encoders.openclip import CONFIG, second_repository
from kpl.encoders.openclip_names import architecture_config, built_in
from kpl.encoders.protocol import UNKNOWN, CatalogueEntry, EncoderCard, HubSource
from kpl.encoders.registry import describe, load_encoder, parse_spec
from kpl.encoders.store import kept_folder, read_card, write_card
from kpl.encoders.weights import as_safetensors, choose_weights
from kpl.errors import EncoderError, InputError, MissingExtraError
from kpl.files import put, working_folder
from kpl.progress import Progress

_CARD: Final = "card.json"
_WORDS: Final = ("*.json", "*.txt", "*.model", "*.jinja", "LICEN[CS]E*", "NOTICE*", "README*")
"""Configuration, tokenizer, preprocessing and licence: everything but weights."""
_HEAVY: Final = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack", "*.onnx", ".*")
"""Weights, which a text tower's own repository has too and nobody reads: OpenCLIP keeps them with the model."""
_LIBRARY: Final = {"openclip": "open_clip", "transformers": "transformers"}
"""Loader, which is also its extra's name, to the library that it needs."""

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Choice:
    """What the user allowed, and whom to tell."""

    allow_pickle: bool
    trust_remote_code: bool
    progress: Progress | None
    announce: Announce
    file: str = ""


def pull(
    spec: str,
    *,
    revision: str | None = None,
    file: str | None = None,
    architecture: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
    progress: Progress | None = None,
    announce: Announce = lambda _: None,
) -> EncoderCard:
    """Get an encoder and keep it under its name, with the commits it came from, its hashes and golden vectors.

    Args:
        spec: as for `load_encoder`. A bundle or an encoder's folder is copied; anything else comes from the hub.
        revision: branch, tag or commit of the main repository; None for the newest.
        file: of weights in a repository that holds nothing else of the model, with `architecture`; or the one to take
            of those in a folder of one's own.
        architecture: OpenCLIP's name of the model that these are the weights of.
        allow_pickle: accept weights that are only there as a pickle. They are read once, with torch's restricted
            reader, and kept as safetensors.
        trust_remote_code: fetch and run the Python code that some models bring beside their weights.
        progress: told what is being done, how much of it is done, and how much there is.
        announce: told licence and gate in one sentence, before anything is fetched.

    Raises:
        UnknownNameError: no encoder has that name.
        MissingExtraError: the libraries that describe and test it are not installed.
        EncoderError: it cannot be fetched, or is not what it should be. Nothing is kept then.
    """
    found = parse_spec(spec)
    if found.entry is not None and bool(file) != bool(architecture):
        raise InputError("one file of weights needs both --file and --architecture: neither says all without the other")
    choice = _Choice(allow_pickle, trust_remote_code, progress, announce, file or "")
    if found.adapter or found.point:
        raise InputError(f"{spec!r} is an adapter: it is run where it lies, there is nothing to pull")
    if found.entry is None:
        if found.folder is not None and found.folder.parent == Path(__file__).parent:
            raise InputError(f"encoder {spec!r} comes with the package: there is nothing to pull")
        return _keep_here(found.folder or Path(spec), choice, architecture)
    entry = _one_file(found.entry, file, architecture) if file and architecture else found.entry
    if entry.remote_code and not trust_remote_code:
        raise EncoderError(
            f"encoder {spec!r} runs Python code of its repository {entry.sources[0].hub_id} with all your rights: read "
            "that code first, then say --trust-remote-code"
        )
    kept = kept_folder(entry.name)
    before = _made(kept)
    announce(f"{entry.title}. {entry.terms[0].upper()}{entry.terms[1:]}.")
    hub_id = entry.sources[0].hub_id if entry.sources else built_in(entry.architecture, entry.tag)[0]
    known = [source.hub_id for other in catalogue().values() for source in other.sources]
    listing = list_files(hub_id, revision=revision, known=known)
    with working_folder(kept, wait=True) as work:
        if _made(kept) != before and _is_of(card := read_card(kept), listing):
            return card
        if _CARD in listing.files and any(name.startswith("weights/") for name in listing.files):
            sources = _fetch_encoder(listing, work, choice)
            entry_card = read_card(work).model_copy(update={"name": entry.name, "sources": sources})
            write_card(work, entry_card)
        else:
            _make_encoder(entry, listing, work, choice)
        card = _tested(work, choice)
        put(work, kept)
    return card


def _made(kept: Path) -> tuple[int, int] | None:
    """Tell one making of a kept encoder from another, so that who waited for another's looks at what came of it."""
    try:
        found = (kept / _CARD).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _is_of(card: EncoderCard, listing: Listing) -> bool:
    return [(s.hub_id, s.revision) for s in card.sources[:1]] == [(listing.hub_id, listing.revision)]


def _one_file(entry: CatalogueEntry, file: str, architecture: str) -> CatalogueEntry:
    """What is known of a single file of weights: its repository and the architecture that the user gives it."""
    if not entry.sources:
        raise InputError("--file names a file of a repository: write hf:ORG/NAME")
    known = {"name", "title", "intended_use", "limits", "licence", "gate", "modalities", "sources"}
    kept = {field: value for field, value in entry.model_dump().items() if field in known}
    name = re.sub(r"[^\w.-]+", "-", f"{entry.name}--{Path(file).stem}")
    return _of_architecture(kept | {"name": name, "head": entry.head}, architecture)


def _of_architecture(known: Mapping[str, object], architecture: str) -> CatalogueEntry:
    own = {"loader": "openclip", "architecture": architecture}
    quick = "quickgelu" in architecture
    trap = (
        f"The activation, {'QuickGELU' if quick else 'GELU'}, is what the name {architecture} means, no file says it: "
        "weights that began as OpenAI's were trained with QuickGELU, ARCHITECTURE-quickgelu."
    )
    return CatalogueEntry.model_validate({**known, **own} | {"traps": (trap,)})


def _keep_here(path: Path, choice: _Choice, architecture: str | None) -> EncoderCard:
    """Keep a copy of a bundle, of an encoder's folder, or of a file of weights alone."""
    if architecture:
        return _keep_file(path / choice.file if choice.file else path, architecture, choice)
    folder = unpacked(path, progress=choice.progress)
    if not (folder / _CARD).is_file():
        return _keep_own(folder, choice)
    card = read_card(folder)
    if not re.fullmatch(r"\w[\w.-]*", card.name):
        raise EncoderError(
            f"{str(path)!r}: its card has the name {card.name!r}, which is no name for an encoder's folder"
        )
    choice.announce(f"{card.title}. {card.terms[0].upper()}{card.terms[1:]}.")
    check_sums(folder, progress=choice.progress)
    kept = kept_folder(card.name)
    with working_folder(kept, wait=True) as work:
        if not kept.is_dir() or not same_content(folder, kept):  # as another kept it meanwhile, tested
            shutil.copytree(folder, work, dirs_exist_ok=True)
            _tested(work, choice)
            put(work, kept)
    return card


def _keep_own(folder: Path, choice: _Choice) -> EncoderCard:
    """Keep a copy of a folder of one's own, with a card and golden vectors made for it."""
    name = re.sub(r"[^\w.-]+", "-", folder.resolve().name).lstrip("-.") or "own"
    kept, inside = kept_folder(name), "" if (folder / "weights").is_dir() else "weights"
    weights = weights_of(folder)
    file = _chosen(weights, choice)
    before, texts = _made(kept), [text for text in (text_of(folder), tokenizer_folder(folder)) if text != weights]
    elsewhere = [text for text in texts if not text.is_relative_to(folder)]
    with working_folder(kept, wait=True) as work:
        if _made(kept) != before and not elsewhere and holds(kept / inside, folder):
            return read_card(kept)
        others = [path.name for path in weights.iterdir() if choice.file and path.suffix in (*PICKLES, ".safetensors")]
        ignored = shutil.ignore_patterns(*(other for other in others if other != file.name))
        shutil.copytree(folder, work / inside, dirs_exist_ok=True, ignore=ignored)
        for text in elsewhere:  # the model's configuration names a folder elsewhere on this machine
            shutil.copytree(text, work / "text", ignore=shutil.ignore_patterns(*_HEAVY), dirs_exist_ok=True)
        as_safetensors(work / "weights", [file.name])
        card = describe(work, trust_remote_code=choice.trust_remote_code).model_copy(update={"name": name})
        choice.announce(f"{card.title}. {card.terms[0].upper()}{card.terms[1:]}.")
        return _finished(work, card, kept, choice)


def _chosen(weights: Path, choice: _Choice) -> Path:
    """The file of weights in a folder of one's own: the one that was named, else the one that its library takes.

    Raises:
        EncoderError: it is not there, is a pickle and none was allowed, or there are several.
    """
    loader = "openclip" if (weights / CONFIG).is_file() else "transformers"
    if not (weights / CONFIG).is_file() and not (weights / "config.json").is_file():
        describe(weights)  # says what is missing
    names = (choice.file,) if choice.file else import_module(f"kpl.encoders.{loader}").WEIGHTS
    return weight_file(weights, names, allow_pickle=choice.allow_pickle, by_name=bool(choice.file))


def _keep_file(path: Path, architecture: str, choice: _Choice) -> EncoderCard:
    """Keep the model of an architecture of OpenCLIP's whose weights are one file on this machine."""
    config = architecture_config(architecture)
    file = weight_file(path.parent, (path.name,), allow_pickle=choice.allow_pickle, by_name=True)
    name = re.sub(r"[^\w.-]+", "-", file.name.partition(".")[0]).lstrip("-.") or "own"
    known = {"name": name, "title": f"weights of a {architecture}", **UNKNOWN}
    entry = _of_architecture(known | {"head": "softmax"}, architecture)
    kept = kept_folder(name)
    with working_folder(kept, wait=True) as work:
        (work / "weights").mkdir()
        shutil.copyfile(file, work / "weights" / file.name)
        (work / "weights" / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        as_safetensors(work / "weights", [file.name])
        return _finished(work, describe(work, entry), kept, choice)


def _finished(work: Path, card: EncoderCard, kept: Path, choice: _Choice) -> EncoderCard:
    """Write the card and golden vectors of what was copied, test it, and put it in its place."""
    write_card(work, card)
    make_golden(work, card, trust_remote_code=choice.trust_remote_code)
    card = _tested(work, choice)
    put(work, kept)
    return card


def _text_repositories(entry: CatalogueEntry, weights: Path) -> list[str]:
    """The repositories that a text tower needs too: those of the entry, and the one that the model's own files name."""
    named = [source.hub_id for source in entry.sources[1:]]
    if entry.loader == "openclip" and not named:
        named = [second_repository(weights)]
    return [hub_id for hub_id in named if hub_id]


def _need_library(entry: CatalogueEntry) -> None:
    library = _LIBRARY.get(entry.loader)
    if library and find_spec(library) is None:
        raise MissingExtraError(f"encoder {entry.name!r}", entry.loader)


def _fetch_encoder(listing: Listing, work: Path, choice: _Choice) -> tuple[HubSource, ...]:
    """Fetch a repository that is an encoder's folder already, card and golden vectors included."""
    wanted = [name for name in listing.files if not name.startswith(".")]
    snapshot = fetch(listing, wanted, progress=choice.progress)
    for name in wanted:
        _place(snapshot.folder / name, work / name)
    return (HubSource(hub_id=listing.hub_id, revision=listing.revision),)


def _make_encoder(entry: CatalogueEntry, listing: Listing, work: Path, choice: _Choice) -> None:
    """Fetch a model as its authors published it, describe it, and make its golden vectors."""
    _need_library(entry)
    weights = choose_weights(
        listing.hub_id, list(listing.files), entry.loader, file=choice.file, allow_pickle=choice.allow_pickle
    )
    words = [] if choice.file else _words(listing, choice)  # a configuration there may be of another model
    sources = [_place_all(listing, "weights", [*words, *weights], work, choice)]
    if choice.file or (entry.architecture and CONFIG not in listing.files and entry.loader == "openclip"):
        told = architecture_config(entry.architecture) if choice.file else built_in(entry.architecture, entry.tag)[1]
        (work / "weights" / CONFIG).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    for hub_id in _text_repositories(entry, work / "weights"):
        text = list_files(hub_id)
        sources.append(_place_all(text, "text", _words(text, choice), work, choice))
    as_safetensors(work / "weights", weights)
    entry = entry.model_copy(update={"sources": tuple(sources)})
    if choice.progress:
        choice.progress("describing and testing", 0, 1)
    card = describe(work, entry, trust_remote_code=choice.trust_remote_code)
    write_card(work, card)
    make_golden(work, card, trust_remote_code=choice.trust_remote_code)


def _words(listing: Listing, choice: _Choice) -> list[str]:
    """Everything at the top of a repository but weights; code only if it is trusted."""
    patterns = (*_WORDS, *(("*.py",) if choice.trust_remote_code else ()))
    return [name for name in listing.files if "/" not in name and any(fnmatch(name, p) for p in patterns)]


def _place_all(listing: Listing, folder: str, names: Sequence[str], work: Path, choice: _Choice) -> HubSource:
    snapshot = fetch(listing, names, progress=choice.progress)
    for name in names:
        if not (work / folder / name).exists():
            _place(snapshot.folder / name, work / folder / name)
    return HubSource.model_validate({"hub_id": listing.hub_id, "revision": listing.revision, "folder": folder})


def _place(source: Path, target: Path) -> None:
    """Put a file of the hub's cache into the encoder's folder without a second copy where the disk allows it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def _tested(work: Path, choice: _Choice) -> EncoderCard:
    """Load what is about to be kept as a user would, and test it."""
    encoder = load_encoder(str(work), device="cpu", trust_remote_code=choice.trust_remote_code)
    passes_tests(encoder, work)
    return encoder.card
