"""Files from a model hub, through `huggingface_hub`: into its cache, at one commit, each checked by its hash.

`HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` mean what they mean everywhere else. Whatever goes wrong
becomes one sentence that says what to do.
"""

from __future__ import annotations

import difflib
import errno
import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kpl.errors import EncoderError, KplError
from kpl.progress import Progress

_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_READ: Final = 1 << 20
_HTTP: Final = ("httpx", "httpx2", "httpcore", "requests", "urllib3")
"""What raises when a connection fails, by the version of huggingface_hub."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the hub describes it.

    Attributes:
        size: bytes; None when only the cache was asked.
        sha256: of its bytes, for large files.
        git: git's SHA-1 of it, for small ones.
    """

    size: int | None = None
    sha256: str | None = None
    git: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit: its files by path, and the local folder when only the cache was asked."""

    hub_id: str
    revision: str
    files: Mapping[str, RemoteFile]
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Files of a repository that are here.

    Attributes:
        folder: of huggingface_hub's cache; it may hold more than was fetched now.
        revision: the commit, 40 hexadecimal digits.
        files: paths in the folder.
    """

    hub_id: str
    revision: str
    folder: Path
    files: tuple[str, ...]


def list_files(hub_id: str, *, revision: str | None = None, known: Sequence[str] = ()) -> Listing:
    """Ask which files a repository has and which commit that is; with `HF_HUB_OFFLINE=1` the cache is asked.

    Args:
        hub_id: ORGANISATION/NAME.
        revision: a branch, tag or commit; None for the main branch.
        known: hub ids to suggest from when there is no such repository.

    Raises:
        EncoderError: no such repository or revision, no access, no connection, or offline and not in the cache.
    """
    if not _HUB_ID.fullmatch(hub_id):
        raise EncoderError(f"{hub_id!r} is no repository of a model hub: write ORGANISATION/NAME")
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import OfflineModeIsEnabled

    with _explained(hub_id, revision, known):
        try:
            info = HfApi().model_info(hub_id, revision=revision, files_metadata=True)
        except OfflineModeIsEnabled:
            folder = Path(snapshot_download(hub_id, revision=revision, local_files_only=True, allow_patterns=[]))
            there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
            return Listing(hub_id, folder.name, dict.fromkeys(there, RemoteFile()), folder)
    files = {
        item.rfilename: RemoteFile(item.size, item.lfs.sha256 if item.lfs else None, item.blob_id)
        for item in info.siblings or ()
    }
    return Listing(hub_id, str(info.sha), files)


def fetch(listing: Listing, files: Sequence[str], *, progress: Progress | None = None) -> Snapshot:
    """Fetch files into huggingface_hub's cache; what is there already is not fetched again.

    A connection that breaks is taken up again where it broke. After an interruption the same call goes on with the
    first file that is not finished.

    Args:
        listing: of `list_files`; its commit is the one that is fetched.
        files: paths of the listing.
        progress: told the repository, the bytes that are here, and all bytes.

    Raises:
        EncoderError: no access, no connection, no space, or a file that does not have the hub's size or hash.
    """
    if listing.folder is not None:
        return Snapshot(listing.hub_id, listing.revision, listing.folder, tuple(files))
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    def cached(name: str) -> bool:
        return isinstance(try_to_load_from_cache(listing.hub_id, name, revision=listing.revision), str)

    sizes = {name: listing.files[name].size or 0 for name in files}
    _check_space(listing.hub_id, sum(size for name, size in sizes.items() if not cached(name)))
    meter = _Meter(listing.hub_id, sum(sizes.values()), progress)
    paths: dict[str, Path] = {}
    with _explained(listing.hub_id, listing.revision), _quiet():
        for name in files:
            fresh = not cached(name)
            paths[name] = Path(
                hf_hub_download(listing.hub_id, name, revision=listing.revision, tqdm_class=meter.bar_class())
            )
            if fresh:
                _check_hash(listing, name, paths[name])
            meter.finished(sizes[name])
    first, path = next(iter(paths.items()))
    folder = path.parents[len(Path(first).parts) - 1]
    return Snapshot(listing.hub_id, listing.revision, folder, tuple(files))


class _Meter:
    """Bytes of all files of a repository, from the bars that huggingface_hub draws for each."""

    def __init__(self, stage: str, total: int, progress: Progress | None) -> None:
        self._stage, self._total, self._progress = stage, total, progress
        self._finished = self._current = 0

    def finished(self, size: int) -> None:
        self._finished, self._current = self._finished + size, 0
        self._tell()

    def add(self, count: float) -> None:
        self._current += int(count)
        self._tell()

    def _tell(self) -> None:
        if self._progress:
            self._progress(self._stage, min(self._finished + self._current, self._total), self._total)

    def bar_class(self) -> type[Any]:
        """A class with the face of a tqdm bar that draws nothing and tells this meter."""
        meter = self
        from huggingface_hub.utils import tqdm

        class Bar(tqdm):  # type: ignore[misc] # its library is not looked at where types are checked
            def __init__(self, *args: object, **options: object) -> None:
                # a second bar counts the same bytes before they are put together
                self._counts = "downloading bytes" not in str(options.get("desc", ""))
                super().__init__(*args, **{**options, "disable": True})

            def update(self, n: float | None = 1) -> None:
                if self._counts:
                    meter.add(n or 0)

        return Bar


def _check_space(hub_id: str, needed: int) -> None:
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    there = next(path for path in (cache, *cache.parents) if path.exists())
    if needed > (free := shutil.disk_usage(there).free):
        raise EncoderError(_no_space(hub_id, f"{needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free"))


def _no_space(hub_id: str, why: str) -> str:
    from huggingface_hub import constants

    return (
        f"{hub_id}: no space for its files in {constants.HF_HUB_CACHE} ({why}): "
        "make room there, or name a folder on another disk with HF_HOME"
    )


def _check_hash(listing: Listing, name: str, path: Path) -> None:
    """Compare a fetched file with the hub's hash; a file that differs is taken out of the cache again."""
    told = listing.files[name]
    if told.sha256:
        digest, expected = hashlib.sha256(), told.sha256
    elif told.git:
        digest, expected = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False), told.git
    else:
        return
    with path.open("rb") as file:
        while block := file.read(_READ):
            digest.update(block)
    if digest.hexdigest() != expected:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise EncoderError(
            f"{listing.hub_id}: {name} arrived with hash {digest.hexdigest()[:12]}, the hub says {expected[:12]}; "
            "it was thrown away: pull again, and if it happens again ask whoever runs the proxy or mirror between"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep huggingface_hub's own notices of a connection that is taken up again off the terminal."""
    from huggingface_hub.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


@contextmanager
def _explained(hub_id: str, revision: str | None, known: Sequence[str] = ()) -> Iterator[None]:
    """Turn whatever huggingface_hub raises into one sentence."""
    try:
        yield
    except KplError:
        raise
    except Exception as error:
        if message := _explain(error, hub_id, revision, known):
            raise EncoderError(message) from error
        raise


def _explain(error: Exception, hub_id: str, revision: str | None, known: Sequence[str]) -> str | None:
    from huggingface_hub import constants, get_token
    from huggingface_hub import errors as hub

    site = constants.ENDPOINT.rstrip("/")
    token = f"make a token with read access at {site}/settings/tokens and give it in HF_TOKEN"
    if isinstance(error, hub.GatedRepoError):
        accept = f"sign in and accept its terms at {site}/{hub_id}"
        if get_token() is None:
            return f"{hub_id} is gated and there is no token: {accept}, then {token}"
        return f"{hub_id} is gated and the account of this token has not been let in: {accept}, then pull again"
    if isinstance(error, hub.RepositoryNotFoundError):
        near = difflib.get_close_matches(hub_id, sorted(set(known) - {hub_id}), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        private = "ask for access with this token's account" if get_token() else token
        return (
            f"the hub at {site} shows no repository {hub_id!r}: {hint}Check the spelling; if it is private, {private}"
        )
    if isinstance(error, hub.RevisionNotFoundError):
        return f"{hub_id} has no revision {revision!r}: leave --revision out for the newest, or see {site}/{hub_id}"
    cause = error.__cause__
    if isinstance(error, hub.LocalEntryNotFoundError) and isinstance(cause, Exception) and not constants.HF_HUB_OFFLINE:
        return _explain(cause, hub_id, revision, known)  # why nothing but the cache was left
    if isinstance(error, hub.LocalEntryNotFoundError | hub.OfflineModeIsEnabled):
        return (
            f"{hub_id} is not in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE forbids to fetch it: unset "
            "HF_HUB_OFFLINE, or carry a bundle here that `kpl encoders bundle` makes on a machine with internet"
        )
    if isinstance(error, hub.FileMetadataError):
        return f"{hub_id}: what answers at {site} is no model hub: look at HF_ENDPOINT, or at the proxy between"
    if isinstance(error, hub.HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return f"{hub_id}: the hub refused the token ({status}): {token}"
        return f"{hub_id}: the hub at {site} answered {status}: wait a little and pull again; finished files are kept"
    return _explain_transport(error, hub_id, site)


def _explain_transport(error: Exception, hub_id: str, site: str) -> str | None:
    """Broken connections and full disks, whichever library underneath says so."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _no_space(hub_id, error.strerror or "the disk is full")
    if "Consistency check failed" in str(error):
        return f"{hub_id}: a file arrived cut short: pull again; finished files are kept, this one starts anew"
    if isinstance(error, ConnectionError) or type(error).__module__.partition(".")[0] in _HTTP:
        what = str(error) or type(error).__name__
        return (
            f"{hub_id}: no connection to the hub at {site} ({what}): check the network, proxy or HF_ENDPOINT and pull "
            "again; finished files are kept. A machine without internet takes a bundle (`kpl encoders bundle`)"
        )
    return None
