"""An encoder in one artefact, to be carried to a machine without internet.

A bundle is an encoder's folder with `SHA256SUMS` beside its card: every file with its hash, in the format that
`sha256sum -c` reads. It is kept as a folder, or as one zip file (stored, not compressed) whose name ends in `.kplenc`.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO, Final

from kpl.encoders.files import PICKLES
from kpl.encoders.store import read_card
from kpl.errors import AlreadyThereError, EncoderError, OutputError
from kpl.files import locked, make_way, new_folder, put, working_folder
from kpl.home import home
from kpl.progress import Progress

ENDING: Final = ".kplenc"
SUMS: Final = "SHA256SUMS"
_CARD: Final = "card.json"
_BLOCK: Final = 1 << 20
_LIST_BYTES: Final = 4 << 20
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # no time in a bundle: the same encoder gives the same bytes


def write_bundle(folder: Path, out: Path, *, overwrite: bool = False, progress: Progress | None = None) -> int:
    """Copy an encoder's folder into one bundle.

    Args:
        folder: an encoder's folder, with its card.
        out: a new file whose name ends in `.kplenc`, or a new folder.
        overwrite: replace a bundle that is there.
        progress: told "bundle", the bytes that are written, and all bytes.

    Returns:
        The bytes of its files.

    Raises:
        AlreadyThereError: `out` is this very bundle.
        OutputError: `out` is there already.
        EncoderError: a file does not have the hash that the card says.
    """
    names = _files_of(folder)
    total = sum((folder / name).stat().st_size for name in names)
    with working_folder(out) as work:
        _refuse_loss(folder, names, out, overwrite=overwrite)
        made = work / "bundle"
        write = _write_zip if out.suffix == ENDING else _write_folder
        write(folder, names, made, _Meter("bundle", total, progress))
        put(made, out)
    return total


def _refuse_loss(folder: Path, names: list[str], out: Path, *, overwrite: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    ours = out.suffix == ENDING if out.is_file() else (out / SUMS).is_file() and (out / _CARD).is_file()
    if ours and not overwrite:
        meter = _Meter("hashes", 0, None)
        sums = {}
        for name in names:
            with (folder / name).open("rb") as source:
                sums[name] = meter.copy(source, None)
        if _sums_of(out) == _sums_text(sums.items()):
            raise AlreadyThereError(out)
    if not overwrite or not ours:
        mend = "replace that bundle with --overwrite" if ours else "it is no bundle, so it is not replaced"
        raise OutputError(f"{str(out)!r} exists: give another --out; {mend}")


def _sums_of(bundle: Path) -> bytes | None:
    """The list of a bundle as its bytes; None where it cannot be read."""
    try:
        if bundle.is_dir():
            return (bundle / SUMS).read_bytes()
        with zipfile.ZipFile(bundle) as file:
            return _read_list(file, bundle)
    except (
        OSError,
        zipfile.BadZipFile,
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        EncoderError,
    ):
        return None


def _files_of(folder: Path) -> list[str]:
    """Every file of an encoder's folder but the sums, the card first, then by name."""
    if not (folder / _CARD).is_file():
        raise EncoderError(
            f"{str(folder)!r} is no encoder's folder: it has no {_CARD}; make one with kpl encoders pull"
        )
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = {path.as_posix() for path in found if not any(part.startswith((".", "__")) for part in path.parts)}
    return [_CARD, *sorted(names - {_CARD, SUMS})]


class _Meter:
    def __init__(self, stage: str, total: int, progress: Progress | None) -> None:
        self._stage, self._total, self._progress, self._done = stage, total, progress, 0

    def copy(self, source: IO[bytes], target: IO[bytes] | None) -> str:
        """Copy to the end; return the hash of what was copied."""
        digest = hashlib.sha256()
        while block := source.read(_BLOCK):
            digest.update(block)
            if target is not None:
                target.write(block)
            self._done += len(block)
            if self._progress:
                self._progress(self._stage, self._done, self._total)
        return digest.hexdigest()


def _sums_text(sums: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{digest}  {name}\n" for name, digest in sums).encode()


def _check_card(folder: Path, sums: dict[str, str]) -> None:
    for name, expected in read_card(folder).files.items():
        if sums.get(name) != expected:
            raise EncoderError(
                f"{str(folder)!r}: {name} is missing or does not have the hash of the card: pull the encoder again"
            )


def _write_zip(folder: Path, names: list[str], partial: Path, meter: _Meter) -> None:
    sums: dict[str, str] = {}
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as bundle:
        for name in names:
            entry = zipfile.ZipInfo(name, _EPOCH)
            with (folder / name).open("rb") as source, bundle.open(entry, "w", force_zip64=True) as target:
                sums[name] = meter.copy(source, target)
        bundle.writestr(zipfile.ZipInfo(SUMS, _EPOCH), _sums_text(sums.items()))
    _check_card(folder, sums)


def _write_folder(folder: Path, names: list[str], partial: Path, meter: _Meter) -> None:
    sums: dict[str, str] = {}
    for name in names:
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("rb") as source, (partial / name).open("wb") as target:
            sums[name] = meter.copy(source, target)
    (partial / SUMS).write_bytes(_sums_text(sums.items()))
    _check_card(folder, sums)


def _read_sums(text: bytes, where: Path) -> dict[str, str]:
    sums: dict[str, str] = {}
    for line in text.decode("utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        parts = PurePosixPath(name).parts
        if len(digest) != 64 or not parts or {"..", "/"} & set(parts) or "\\" in name or ":" in name:
            raise EncoderError(f"{str(where)!r}: its list of hashes holds {line[:80]!r}: not a bundle of KPL")
        sums[name] = digest
    if _CARD not in sums:
        raise EncoderError(f"{str(where)!r}: its list of hashes names no {_CARD}: not a bundle of KPL")
    return sums


def _read_list(bundle: zipfile.ZipFile, path: Path) -> bytes:
    """Read the list of hashes, once it is sure that nothing in the bundle unpacks to more than the bundle itself."""
    entries = bundle.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size for entry in entries):
        raise EncoderError(f"{str(path)!r} holds files that are compressed: a bundle of KPL stores them as they are")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise EncoderError(f"{str(path)!r} says that it holds more than its own size: not a bundle of KPL")
    if (size := bundle.getinfo(SUMS).file_size) > _LIST_BYTES:
        raise EncoderError(
            f"{str(path)!r}: its list of hashes has {size >> 20} MiB, at most {_LIST_BYTES >> 20} are read"
        )
    return bundle.read(SUMS)


def sum_files(folder: Path) -> dict[str, str]:
    """The hashes that a bundle's folder lists; empty where there is no list.

    Raises:
        EncoderError: the list is not one.
    """
    path = folder / SUMS
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        text = file.read(_LIST_BYTES + 1)
    if len(text) > _LIST_BYTES:
        raise EncoderError(f"{str(path)!r} is longer than {_LIST_BYTES >> 20} MiB: no list of hashes")
    return _read_sums(text, path)


def check_sums(folder: Path, *, progress: Progress | None = None) -> int:
    """Compare the files of a bundle's folder with its list of hashes; return how many there are.

    Raises:
        EncoderError: a file is missing or differs.
    """
    sums = sum_files(folder)
    total = sum(path.stat().st_size for name in sums if (path := folder / name).is_file())
    meter = _Meter("hashes", total, progress)
    for name, expected in sums.items():
        try:
            with (folder / name).open("rb") as file:
                found = meter.copy(file, None)
        except OSError as error:
            raise EncoderError(f"{str(folder / name)!r} is missing from the bundle: copy the bundle again") from error
        if found != expected:
            raise EncoderError(_differs(folder, name, found, expected))
    return len(sums)


def _differs(bundle: Path, name: str, found: str, expected: str) -> str:
    return (
        f"{str(bundle)!r}: {name} has hash {found[:12]}, its list says {expected[:12]}: "
        "it was damaged on the way or changed: copy the bundle again"
    )


def read_bundle(path: Path, folder: Path, *, progress: Progress | None = None) -> None:
    """Unpack a `.kplenc` file into an empty folder. Only what its list of hashes names is written, and compared.

    Raises:
        EncoderError: not a bundle, cut short, damaged, or with paths that lead out of it.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            sums = _read_sums(_read_list(bundle, path), path)
            entries = {entry.filename: entry for entry in bundle.infolist() if entry.filename != SUMS}
            if sorted(entries) != sorted(sums) or any(stat.S_ISLNK(e.external_attr >> 16) for e in entries.values()):
                raise EncoderError(f"{str(path)!r} holds other files than its list of hashes: not a bundle of KPL")
            meter = _Meter("unpacking", sum(entry.file_size for entry in entries.values()), progress)
            for name, expected in sums.items():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with bundle.open(entries[name]) as source, target.open("xb") as file:
                    found = meter.copy(source, file)
                if found != expected:
                    raise EncoderError(_differs(path, name, found, expected))
    except (zipfile.BadZipFile, EOFError, KeyError, NotImplementedError, RuntimeError, ValueError) as error:
        raise EncoderError(
            f"{str(path)!r} is no bundle, or a damaged one ({error}): copy it again, or make it again with "
            "kpl encoders bundle"
        ) from error


def unpacked(path: Path, *, progress: Progress | None = None) -> Path:
    """The folder of a bundle: itself, or for a `.kplenc` file a copy below `$KPL_HOME`, unpacked once.

    Raises:
        EncoderError: not a bundle, or a damaged one.
    """
    if path.is_dir():
        return path
    if path.suffix in (*PICKLES, ".safetensors"):
        raise EncoderError(
            f"{str(path)!r} is weights alone: say of what, kpl encoders pull {path} --architecture NAME, with "
            "OpenCLIP's name of the model; or give the folder that has its configuration too"
        )
    try:
        with zipfile.ZipFile(path) as bundle:
            digest = hashlib.sha256(_read_list(bundle, path)).hexdigest()
    except (zipfile.BadZipFile, EOFError, KeyError, NotImplementedError, RuntimeError, ValueError) as error:
        raise EncoderError(
            f"{str(path)!r} is no bundle, or a damaged one ({error}): copy it again, or make it again with "
            "kpl encoders bundle"
        ) from error
    folder = home() / "unpacked" / digest[:32]
    if not (folder / _CARD).is_file():
        make_way(folder.parent)
        with locked(folder, wait=True):
            if not (folder / _CARD).is_file():  # by another meanwhile
                with new_folder(folder) as work:
                    read_bundle(path, work, progress=progress)
    return folder
