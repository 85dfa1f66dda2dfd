"""Features in an object store: s3://, gs:// and whatever else fsspec reads, whole objects, the list of all last.

    URL/images-00000.npy, .json    as in a folder, each one object
    URL/index.json                 removed before one of these changes, written when all are there
    .NAME.parts/parts.json         beside it, while it is made: what the parts have in common
    .NAME.parts/done/00000.json    what is done of a shard, after its two objects
    .NAME.seen                     the same of all, when they are joined: what a later run goes on from

A store has no locks and renames nothing; it puts an object there whole, or not. A shard is made in a folder here and
sent, so that a stopped process leaves no half, and whoever comes after it sees what is done.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Final

from pydantic import ValidationError

from kpl.embeddings.done import Done, Header, Seen, index_of, pictures_seen
from kpl.embeddings.layout import INDEX_NAME, Index, is_own_file, json_bytes, shard_names
from kpl.embeddings.lots import Lot, Lots
from kpl.embeddings.making import Making
from kpl.embeddings.shards import Shards, receipt_name
from kpl.embeddings.target import check_folder
from kpl.errors import AlreadyThereError, FeaturesError, InputError, KplError, MissingExtraError, OutputError
from kpl.images import SetAside
from kpl.progress import silent

_AT_ONCE: Final = 256  # small objects that are read together


def is_store(place: object) -> bool:
    """Say whether a place is an object store's address rather than a path.

    Example:
        >>> is_store("s3://bucket/features"), is_store("features"), is_store(Path("s3:/bucket"))
        (True, False, False)
    """
    return isinstance(place, str) and "://" in place and "/" not in place.partition("://")[0]


class Store:
    """A folder of objects.

    Raises:
        MissingExtraError: fsspec, or what it needs for this kind of store, is not installed.
        InputError: no kind of store is called so, or the address has no folder.
        OutputError: the store refuses or does not answer, here and in all that is asked of it.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if "/" not in self.url.partition("://")[2]:
            raise InputError(f"{url!r} names no folder in a bucket: write s3://BUCKET/FOLDER")
        try:
            from fsspec.core import url_to_fs

            with self._telling():
                self._fs, root = url_to_fs(self.url)
        except ImportError as error:
            if "fsspec" in str(error) or self.url.startswith("s3"):
                raise MissingExtraError(f"reading and writing {self.url!r}", "cloud") from error
            raise InputError(f"{self.url!r}: {error}, beside the extra cloud") from error
        self._root = root.rstrip("/")
        above, _, self._name = self._root.rpartition("/")
        self._beside = f"{above}/.{self._name}"

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Say in one line what the store or its library refused."""
        try:
            yield
        except (KplError, ImportError):
            raise
        except Exception as error:  # each library has a tree of its own
            if isinstance(error, ValueError) and "Protocol not known" in str(error):
                raise InputError(f"{self.url!r}: no kind of store is called so; s3:// is, for example") from error
            said = (str(error).splitlines() or [""])[0].rstrip(". ") or type(error).__name__
            raise OutputError(f"{self.url!r} cannot be read or written: {said}. Mend that, run it again") from error

    def _path(self, name: str) -> str:
        return f"{self._beside}{name}" if name.startswith(".") else f"{self._root}/{name}"

    def read(self, name: str) -> bytes | None:
        """Return an object; a name that begins with a point is beside the folder. None where it is not there."""
        with self._telling():
            try:
                return bytes(self._fs.cat_file(self._path(name), start=0))  # with a start no size is asked for first
            except FileNotFoundError:
                return None

    def read_many(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """Yield small objects, some read together."""
        for start in range(0, len(names), _AT_ONCE):
            paths = [self._path(name) for name in names[start : start + _AT_ONCE]]
            with self._telling():
                found = self._fs.cat_ranges(paths, [0] * len(paths), [None] * len(paths), on_error="return")
                for got in found:
                    if isinstance(got, Exception) and not isinstance(got, FileNotFoundError):
                        raise got
            yield from (None if isinstance(got, Exception) else bytes(got) for got in found)

    def sizes(self, below: str = "") -> dict[str, int]:
        """Return the objects of the folder, or of one beside it, with their bytes, as they are now."""
        with self._telling():
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._path(below).rstrip("/"), detail=True)
            except FileNotFoundError:
                return {}
        return {path.rpartition("/")[2]: int(about["size"]) for path, about in found.items()}

    def send(self, name: str, data: bytes) -> None:
        """Put an object there, whole."""
        with self._telling():
            self._fs.pipe_file(self._path(name), data)

    def fetch(self, names: Iterable[str], folder: Path) -> None:
        """Bring objects into a folder here."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            with self._telling():
                self._fs.get_file(self._path(name), str(folder / name))

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects, those that are there."""
        for name in names:
            with self._telling():
                try:
                    self._fs.rm_file(self._path(name))
                except FileNotFoundError:
                    continue

    def remove_beside(self, name: str) -> None:
        """Remove all below a name beside the folder."""
        with self._telling():
            self._fs.invalidate_cache()
            if self._fs.exists(self._path(name)):
                self._fs.rm(self._path(name), recursive=True)


@dataclass(frozen=True)
class StoredFeatures:
    """What was made in a store: what its list says, and how many rows were there already."""

    index: Index
    reused: int

    @property
    def n(self) -> int:
        """Pictures that have features."""
        return self.index.rows

    @property
    def d(self) -> int:
        """Columns."""
        return self.index.dim

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Files that have no features, with their reasons."""
        return tuple(SetAside(item.id, item.reason) for item in self.index.set_aside)


def fetched(url: str) -> Path:
    """Bring finished features into a folder here, which goes with this process.

    Raises:
        FeaturesError: there are none, or their list is damaged.
        OutputError: as `Store`.
    """
    store, index = Store(url), stored(url).index
    place = Path(mkdtemp(prefix="kpl-features-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    store.fetch([name for shard in index.shards for name in (shard.array, shard.pictures)], place)
    (place / INDEX_NAME).write_bytes(json_bytes(index))
    return place


def stored(url: str) -> StoredFeatures:
    """Return what the list of finished features says.

    Raises:
        FeaturesError, OutputError: as `fetched`.
    """
    if (text := Store(url).read(INDEX_NAME)) is None:
        raise FeaturesError(
            f"{url!r} holds no finished features (no {INDEX_NAME}): make them with `kpl embed`, or join"
        )
    try:
        return StoredFeatures(Index.model_validate_json(text), 0)
    except ValidationError as error:
        raise FeaturesError(f"the {INDEX_NAME} of {url!r} is damaged or of another version: embed again") from error


@dataclass
class StoreShards:
    """Makes shards in a folder here and sends them; compare `Shards`, whose part it takes.

    Attributes:
        store: where they go.
        shards: makes them.
        known: of earlier, by number.
        sizes: of the objects that are there.
    """

    store: Store
    shards: Shards
    known: Callable[[int], Done | None]
    sizes: dict[str, int]

    @property
    def reused(self) -> Counter[int]:
        """By shard the rows that were there already."""
        return self.shards.reused

    def untouched(self, lots: Iterable[Lot]) -> list[Done] | None:
        """Return what is done of these lots, if nothing is to be made of any."""
        found = []
        for lot in lots:
            if (done := self.trusted(lot)) is None:
                return None
            found.append(done)
        return found

    def trusted(self, lot: Lot) -> Done | None:
        """Return what is done of a shard that is there, by sizes and times of its pictures, and its own sizes."""
        before, seen = self.known(lot.number), pictures_seen(lot.records)
        files = tuple(self.sizes.get(name, -1) for name in shard_names(lot.number))
        if before is None or seen is None or self.shards.verify:
            return None
        same = (before.planned, before.seen, before.files) == (self.shards.planned(lot), seen, files)
        return before.model_copy(update={"plan": self.shards.plan}) if same else None

    def make(self, lot: Lot, tell: Callable[[int], None] = silent) -> Done:
        """Bring one shard about: kept by what is known of it, or by its contents, or made here and sent."""
        done = self.trusted(lot)
        if done is not None:
            self.shards.reused[lot.number] = done.rows
            tell(len(lot.records))
        else:
            with TemporaryDirectory(prefix="kpl-shard-") as work:
                done = self._made(lot, tell, Path(work))
        self.store.send(f".parts/done/{receipt_name(lot.number)}", json_bytes(done))
        return done

    def _made(self, lot: Lot, tell: Callable[[int], None], work: Path) -> Done:
        names, out, old = shard_names(lot.number), work / "new", work / "old"
        out.mkdir()
        old.mkdir()
        if all(name in self.sizes for name in names):
            self.store.fetch(names, old)
        done = replace(self.shards, out=out, old=old).make(lot, tell)
        contents = [(out / name).read_bytes() for name in names]
        for name, data in zip(names, contents, strict=True):
            if not (old / name).exists() or (old / name).read_bytes() != data:
                if self.sizes.pop(INDEX_NAME, None) is not None:  # from here on it is not what the list says
                    self.store.remove([INDEX_NAME])
                self.store.send(name, data)
                self.sizes[name] = len(data)
        return done.model_copy(update={"files": tuple(map(len, contents))})


class StoreParts:
    """The parts of features in a store; compare `Parts`, whose part it takes."""

    def __init__(self, url: str) -> None:
        self.out, self.store = url, Store(url)

    def header(self) -> Header | None:
        """Return what the parts have in common; None where none was begun."""
        text = self.store.read(".parts/parts.json")
        return None if text is None else Header.model_validate_json(text)

    def begin(self, header: Header, of: int) -> None:
        """Say what is made, or find that others have begun the same.

        Raises:
            OutputError: parts of something else are there, or nothing can be written.
        """
        there = self.header()
        if there is not None and there.plan != header.plan and not header.overwrite:
            raise OutputError(
                f"parts of other pictures, encoder or settings are there for {self.out!r}: give them as they were, or "
                "--overwrite to begin anew"
            )
        if there is None or there.plan != header.plan:
            self.store.send(".parts/parts.json", json_bytes(header.model_copy(update={"parts": of})))

    def check(self, header: Header, lots: Lots, *, overwrite: bool) -> None:
        """Make sure that what is there may be replaced, as `check_folder`."""
        begun = self.header()
        if overwrite or (begun is not None and begun.plan == header.plan):
            return
        lists = [name for name in self.store.sizes() if is_own_file(name) and name.endswith(".json")]
        if lists:
            with TemporaryDirectory(prefix="kpl-lists-") as place:
                self.store.fetch(lists, Path(place))
                check_folder(Path(place), header, lots.ids(), overwrite=False, called=self.out)

    def shards(self, how: Making, header: Header) -> StoreShards:
        """Return what makes shards here."""
        seen = self._seen()

        def known(number: int) -> Done | None:
            return self._receipt(self.store.read(f".parts/done/{receipt_name(number)}")) or seen.get(number)

        return StoreShards(self.store, how.shards(Path(), None, header.plan), known, self.store.sizes())

    def is_finished(self, header: Header) -> bool:
        """Say whether all is joined, and of these very pictures as they were planned."""
        seen = {done.plan for done in self._seen().values()}
        return seen == {header.plan} and self.header() is None and self.store.read(INDEX_NAME) is not None

    def missing(self, header: Header) -> list[int]:
        """Count what is not there, by names alone."""
        there = self.store.sizes(".parts/done")
        return [number for number in range(header.shards) if receipt_name(number) not in there]

    def join(self, *, verify: bool, tell: Callable[[int, int], None]) -> StoredFeatures:
        """Check every shard, write the list of all and note down what is done; as `join_parts`."""
        header, sizes = self.header(), self.store.sizes()
        if header is None:
            if INDEX_NAME in sizes:
                raise AlreadyThereError(self.out)
            raise InputError(
                f"no parts of {self.out!r} are there: make them first with kpl embed SCANS --out {self.out} "
                "--part 0/N to N-1/N"
            )
        found = header.checked(
            self._receipts(header), self.out, lambda done: self._is_whole(done, sizes, verify=verify), tell
        )
        index = self._index(header, found)
        if (INDEX_NAME not in sizes) or self.store.read(INDEX_NAME) != json_bytes(index):
            self.store.send(INDEX_NAME, json_bytes(index))
        whole = {INDEX_NAME, *(name for done in found for name in shard_names(done.number))}
        self.store.remove(name for name in sizes if is_own_file(name) and name not in whole)
        self.store.send(".seen", json_bytes(Seen(shards=tuple(found))))
        self.store.remove_beside(".parts")
        return StoredFeatures(index, 0)

    def _index(self, header: Header, shards: Sequence[Done]) -> Index:
        with TemporaryDirectory(prefix="kpl-lists-") as place:
            if any(done.units for done in shards):  # pictures that stand for themselves, among units elsewhere
                self.store.fetch([shard_names(done.number)[1] for done in shards if done.units is None], Path(place))
            return index_of(header, shards, Path(place))

    def _is_whole(self, done: Done, sizes: dict[str, int], *, verify: bool) -> bool:
        names = shard_names(done.number)
        if tuple(sizes.get(name, -1) for name in names) != done.files:
            return False
        if not verify:
            return True
        hashes = [hashlib.sha256(self.store.read(name) or b"").hexdigest() for name in names]
        return hashes == [done.array_sha256, done.pictures_sha256]

    def _receipts(self, header: Header) -> Iterator[Done | None]:
        names = [f".parts/done/{receipt_name(number)}" for number in range(header.shards)]
        return map(self._receipt, self.store.read_many(names))

    def _seen(self) -> dict[int, Done]:
        try:
            text = self.store.read(".seen")
            return {} if text is None else {done.number: done for done in Seen.model_validate_json(text).shards}
        except ValidationError:
            return {}

    @staticmethod
    def _receipt(text: bytes | None) -> Done | None:
        try:
            return None if text is None else Done.model_validate_json(text)
        except ValidationError:
            return None
