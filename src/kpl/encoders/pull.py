"""Get an encoder: fetch the repositories it is made of, describe it, make its golden vectors, test it, keep it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from kpl.encoders.bundles import check_sums, unpacked
from kpl.encoders.catalogue import catalogue
from kpl.encoders.checking import passes_tests
from kpl.encoders.golden import make_golden
from kpl.encoders.hub import Listing, fetch, list_files
from kpl.encoders.openclip import built_in, second_repository
from kpl.encoders.protocol import CatalogueEntry, EncoderCard, HubSource
from kpl.encoders.registry import describe, load_encoder, parse_spec
from kpl.encoders.store import kept_folder, read_card, write_card
from kpl.encoders.weights import as_safetensors, choose_weights
from kpl.errors import EncoderError, InputError, MissingExtraError
from kpl.files import new_folder
from kpl.progress import Progress

__all__ = ["pull"]

_CARD: Final = "card.json"
_WORDS: Final = ("*.json", "*.txt", "*.model", "*.jinja", "LICEN[CS]E*", "NOTICE*", "README*")
"""Configuration, tokenizer, preprocessing and licence: everything but weights."""
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


def pull(
    spec: str,
    *,
    revision: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
    progress: Progress | None = None,
    announce: Announce = lambda _: None,
) -> EncoderCard:
    """Get an encoder and keep it under its name, with the commits it came from, its hashes and golden vectors.

    Args:
        spec: as for `load_encoder`. A bundle or an encoder's folder is copied; anything else comes from the hub.
        revision: branch, tag or commit of the main repository; None for the newest.
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
    choice = _Choice(allow_pickle, trust_remote_code, progress, announce)
    if found.entry is None:
        if found.folder is not None and found.folder.parent == Path(__file__).parent:
            raise InputError(f"encoder {spec!r} comes with the package: there is nothing to pull")
        return _keep_bundle(found.folder or Path(spec), choice)
    entry = found.entry
    if entry.remote_code and not trust_remote_code:
        raise EncoderError(
            f"encoder {spec!r} runs Python code of its repository {entry.sources[0].hub_id} with all your rights: read "
            "that code first, then say --trust-remote-code"
        )
    announce(f"{entry.title}. {entry.terms[0].upper()}{entry.terms[1:]}.")
    hub_id = entry.sources[0].hub_id if entry.sources else built_in(entry.architecture, entry.tag)[0]
    known = [source.hub_id for other in catalogue().values() for source in other.sources]
    listing = list_files(hub_id, revision=revision, known=known)
    with new_folder(kept_folder(entry.name), wait=True) as work:
        if _CARD in listing.files and any(name.startswith("weights/") for name in listing.files):
            sources = _fetch_encoder(listing, work, choice)
            entry_card = read_card(work).model_copy(update={"name": entry.name, "sources": sources})
            write_card(work, entry_card)
        else:
            _make_encoder(entry, listing, work, choice)
        return _tested(work, choice)


def _keep_bundle(path: Path, choice: _Choice) -> EncoderCard:
    """Keep a copy of a bundle or of an encoder's folder."""
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
    with new_folder(kept_folder(card.name), wait=True) as work:
        shutil.copytree(folder, work, dirs_exist_ok=True)
        _tested(work, choice)
    return card


def _keep_own(folder: Path, choice: _Choice) -> EncoderCard:
    """Keep a copy of a folder of one's own, with a card and golden vectors made for it."""
    name = re.sub(r"[^\w.-]+", "-", folder.resolve().name).lstrip("-.") or "own"
    described = describe(folder, trust_remote_code=choice.trust_remote_code)
    choice.announce(f"{described.title}. {described.terms[0].upper()}{described.terms[1:]}.")
    with new_folder(kept_folder(name), wait=True) as work:
        shutil.copytree(folder, work if (folder / "weights").is_dir() else work / "weights", dirs_exist_ok=True)
        card = describe(work, trust_remote_code=choice.trust_remote_code).model_copy(update={"name": name})
        write_card(work, card)
        make_golden(work, card, trust_remote_code=choice.trust_remote_code)
        return _tested(work, choice)


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
    weights = choose_weights(listing.hub_id, list(listing.files), entry.loader, allow_pickle=choice.allow_pickle)
    sources = [_place_all(listing, "weights", [*_words(listing, choice), *weights], work, choice)]
    if entry.loader == "openclip" and entry.architecture and "open_clip_config.json" not in listing.files:
        config = json.dumps(built_in(entry.architecture, entry.tag)[1], indent=2)
        (work / "weights" / "open_clip_config.json").write_text(config + "\n", encoding="utf-8")
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
