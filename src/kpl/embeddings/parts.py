"""Features made in parts, by any number of processes that share a file system, and joined when all are there.

.NAME.parts    beside a feature folder NAME that is made in parts
    parts.json     what the parts have in common; a part of something else is refused
    features/      the shards, each written by whichever process it falls to
    done/          a file for each shard that is finished
    joined         the hash of the index that joining puts in its place

Nothing is locked: a shard has the same bytes whoever makes it, so two that make it at once do no harm, and a lock of a
host that died would never be given back. Joining puts the index beside the shards and the folder in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from kpl.embeddings.done import Done, Header, files_seen, index_of, read_seen, write_seen
from kpl.embeddings.files import sha256_of_file
from kpl.embeddings.folder import FeatureFolder, is_feature_folder
from kpl.embeddings.layout import INDEX_NAME, json_bytes, read_model, shard_names
from kpl.embeddings.lots import Lots
from kpl.embeddings.making import Making
from kpl.embeddings.shards import Shards, receipt_name
from kpl.embeddings.stores import StoredFeatures, StoreParts, is_store
from kpl.embeddings.target import check_folder, copy_others
from kpl.errors import AlreadyThereError, FeaturesError, InputError, OutputError
from kpl.files import locked, make_way, put, remove, write_file
from kpl.progress import Counted, counted, silent

_HEADER: Final = "parts.json"
_JOINED: Final = "joined"


@dataclass(frozen=True)
class Part:
    """One of `of` parts, counted from 0: the shards whose number leaves `number` when it is divided by `of`.

    Example:
        >>> Part.read("2/64")
        Part(number=2, of=64)
    """

    number: int
    of: int

    @classmethod
    def read(cls, text: str) -> Part:
        """Read i/n.

        Raises:
            InputError: it is not so written, or there is no such part.
        """
        first, slash, second = text.partition("/")
        if not (slash and first.isascii() and first.isdigit() and second.isascii() and second.isdigit()):
            raise InputError(f"--part {text!r} cannot be read: write I/N, such as 0/64, with I from 0 to N - 1")
        number, of = int(first), int(second)
        if not number < of:
            raise InputError(f"--part {text!r} is none of {of} parts: they are counted from 0 to {max(of - 1, 0)}")
        return cls(number, of)


@dataclass(frozen=True)
class PartDone:
    """What a part came to.

    Attributes:
        shards, rows, reused: of this part: shards, pictures with features, and how many of these were there already.
        set_aside: pictures of this part that have none.
        missing: shards of all parts that are not there yet.
        joined: the folder is finished already, and there was nothing to do.
    """

    shards: int
    rows: int
    reused: int
    set_aside: int
    missing: int
    joined: bool = False


class Parts:
    """The parts of one feature folder on the disk."""

    def __init__(self, out: Path) -> None:
        self.out = out
        place = out.resolve()
        self.folder = place.with_name(f".{place.name}.parts")
        self.features, self.receipts = self.folder / "features", self.folder / "done"

    def begin(self, header: Header, of: int) -> None:
        """Make the folders, or find that others have begun the same.

        Raises:
            OutputError: parts of something else are there, or nothing can be written.
        """
        header = header.model_copy(update={"parts": of, "replaces": self._replaced()})
        there = self.header()
        if there is not None and there.plan != header.plan and not header.overwrite:
            raise OutputError(
                f"parts of other pictures, encoder or settings are there for {str(self.out)!r}: give them as they "
                "were, or --overwrite to begin anew"
            )
        make_way(self.features)
        make_way(self.receipts)
        remove(self.folder / _JOINED)
        if there is None or there.plan != header.plan:
            write_file(self.folder / _HEADER, json_bytes(header), shared=True)

    def header(self) -> Header | None:
        """Return what the parts have in common; None where none was begun."""
        try:
            return read_model(Header, self.folder / _HEADER)
        except FeaturesError:
            if (self.folder / _HEADER).exists():
                raise
            return None

    def check(self, header: Header, lots: Lots, *, overwrite: bool) -> None:
        """Make sure that the folder may be replaced, as `check_folder`."""
        check_folder(self.out, header, lots.ids(), overwrite=overwrite)

    def shards(self, how: Making, header: Header) -> Shards:
        """Return what makes shards of the parts."""
        return how.shards(self.features, self.out, header.plan, self.receipts, shared=True)

    def is_finished(self, header: Header) -> bool:
        """Say whether the folder is joined, and of these very pictures as they were planned."""
        seen = read_seen(self.out) if not self.folder.exists() and is_feature_folder(self.out) else {}
        return {done.plan for done in seen.values()} == {header.plan}

    def _replaced(self) -> str | None:
        try:
            return sha256_of_file(self.out / INDEX_NAME)
        except OSError:
            return None

    def missing(self, header: Header) -> list[int]:
        """Count what is not there, by names alone."""
        there = {path.name for path in self.receipts.iterdir()}
        return [number for number in range(header.shards) if receipt_name(number) not in there]

    def join(self, *, verify: bool, tell: Callable[[int, int], None]) -> FeatureFolder:
        """Check every shard and put the folder in its place; as `join_parts`."""
        with locked(self.out), locked(self.folder):
            if self.out.exists() and not self.out.is_dir():
                raise OutputError(f"{str(self.out)!r} is a file: give the folder that the parts were made for")
            header = self.header()
            nothing = header is None or not self.features.is_dir()
            if is_feature_folder(self.out) and (nothing or self._is_joined()):
                remove(self.folder)  # all but this was done when an earlier join was stopped
                raise AlreadyThereError(self.out)
            if header is None or nothing:
                raise InputError(
                    f"no parts of {str(self.out)!r} are there: make them first with kpl embed SCANS --out "
                    f"{str(self.out)!r} --part 0/N to N-1/N"
                )
            if not header.overwrite and header.replaces != self._replaced():
                raise OutputError(
                    f"{str(self.out)!r} has changed since its parts were begun: run a part again with --overwrite "
                    "to replace what is there now, then join"
                )
            shards = self._checked(header, verify, tell)
            index = index_of(header, shards, self.features)
            whole = {name for done in shards for name in shard_names(done.number)}
            for path in list(self.features.iterdir()):  # of a stopped process, or of a longer list of pictures
                if path.name not in whole:
                    remove(path)
            write_file(self.features / INDEX_NAME, json_bytes(index))
            FeatureFolder(self.features, index)  # raises where the arrays are not what the index says
            copy_others(self.out, self.features)
            write_seen(self.out, shards)  # of other files than those there, until the next line, and so not believed
            write_file(self.folder / _JOINED, sha256_of_file(self.features / INDEX_NAME))
            put(self.features, self.out)  # what was there lies among the parts afterwards
            remove(self.folder)
        return FeatureFolder(self.out, index)

    def _is_joined(self) -> bool:
        """Say whether what an earlier join was about to put in its place is there."""
        try:
            return (self.folder / _JOINED).read_text() == self._replaced()
        except OSError:
            return False

    def _checked(self, header: Header, verify: bool, tell: Callable[[int, int], None]) -> list[Done]:
        """Return what is done, in order, if that is everything."""
        receipts = (self._receipt(number) for number in range(header.shards))
        return header.checked(receipts, self.out, lambda done: self._is_whole(done, verify=verify), tell)

    def _receipt(self, number: int) -> Done | None:
        try:
            return read_model(Done, self.receipts / receipt_name(number))
        except FeaturesError:
            return None

    def _is_whole(self, done: Done, *, verify: bool) -> bool:
        """Look at sizes and times of a shard's files, and into them where these have changed."""
        if done.files and done.files == files_seen(self.features, done.number) and not verify:
            return True
        try:
            hashes = [sha256_of_file(self.features / name) for name in shard_names(done.number)]
        except OSError:
            return False
        return hashes == [done.array_sha256, done.pictures_sha256]


def embed_part(
    lots: Lots, how: Making, out: str | Path, part: Part, *, overwrite: bool = False, progress: Counted | None = None
) -> PartDone:
    """Embed one part of the pictures; `join_parts` makes the folder of all parts.

    Any split gives, byte for byte, the folder of one process. A part may be run again, in any order, and twice at once:
    what is there is kept.

    Args:
        lots: all pictures, the same in every process.
        how: the encoder and all that decides how it is used, the same in every process.
        out: the folder that will be made, or its address in a store; the parts lie beside it.
        part: which.
        overwrite: replace features of other pictures that are there, or parts of them.
        progress: called after every batch, with pictures of this part.

    Raises:
        InputError: not one picture is there.
        OutputError: the parts must not or cannot be written.
        EncoderError: the encoder broke its contract.
    """
    parts, header = parts_at(out), how.header(lots, overwrite=overwrite)
    numbers, job = range(part.number, lots.count, part.of), parts.shards(how, header)
    there = job.untouched(lots.lots(numbers)) if parts.is_finished(header) else None
    if there is not None:
        rows = sum(done.rows for done in there)
        return PartDone(len(there), rows, rows, sum(len(done.set_aside) for done in there), 0, joined=True)
    parts.check(header, lots, overwrite=overwrite)
    parts.begin(header, part.of)
    total = sum(lots.size_of(number) for number in numbers)
    rows = before = aside = 0
    for lot in lots.lots(numbers):
        try:
            done = job.make(lot, partial(counted, progress, before, total))
        except OutputError as error:
            if parts.header() is None:
                raise OutputError(f"the parts of {str(out)!r} were joined meanwhile: nothing more is to do") from error
            raise
        rows, aside, before = rows + done.rows, aside + len(done.set_aside), before + len(lot.records)
    return PartDone(len(numbers), rows, job.reused.total(), aside, len(parts.missing(header)))


AnyParts = Parts | StoreParts


def parts_at(out: str | Path) -> AnyParts:
    """Return the parts of a feature folder, or of features in a store."""
    return StoreParts(str(out)) if is_store(out) else Parts(Path(out))


def join_parts(
    out: str | Path, *, verify: bool = False, progress: Counted | None = None
) -> FeatureFolder | StoredFeatures:
    """Check every part of a feature folder and put the folder in its place.

    Args:
        out: the folder that the parts were made for.
        verify: compare every file with its hash, whatever its size and time of change say.
        progress: told how many shards are checked.

    Raises:
        AlreadyThereError: it is finished, and no new parts are there.
        InputError: no part was made, or not one picture could be read.
        FeaturesError: a shard is missing or damaged: which part makes it again.
        OutputError: the folder cannot be written.
    """
    return parts_at(out).join(verify=verify, tell=progress or silent)
