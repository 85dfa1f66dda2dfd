"""From picture records to a feature folder: decoded ahead in threads, encoded in batches, written shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings.done import Done, Header, index_of, read_seen, total_contents, write_seen
from kpl.embeddings.encoding import encode_pictures
from kpl.embeddings.folder import FeatureFolder, is_feature_folder
from kpl.embeddings.layout import INDEX_NAME, json_bytes
from kpl.embeddings.lots import Listed, Lots
from kpl.embeddings.making import SHARD_SIZE, SHRINK_FACTOR, Making
from kpl.embeddings.parts import Part, embed_part, join_parts
from kpl.embeddings.rows import unit_rows
from kpl.embeddings.shards import Shards
from kpl.embeddings.stores import StoredFeatures, is_store, stored
from kpl.embeddings.target import check_folder, copy_others, drop_surplus, make_folder
from kpl.encoders.protocol import Encoder
from kpl.errors import InputError, PictureError
from kpl.files import put, working_folder, write_file
from kpl.images import (
    Asked,
    Instance,
    Pictures,
    SetAside,
    Unit,
    decode,
    decode_many,
    default_workers,
    find_pictures,
    load_instance,
    ordered_map,
    picture_bytes,
    reader_of,
)
from kpl.progress import Counted, counted


def embed_pictures(
    records: Sequence[Instance],
    encoder: Encoder,
    out: str | Path,
    *,
    units: Sequence[Unit] = (),
    asked: Asked | None = None,
    batch_size: int | None = None,
    shard_size: int = SHARD_SIZE,
    dtype: Literal["float32", "float16"] = "float32",
    set_aside: Sequence[SetAside] = (),
    workers: int | None = None,
    overwrite: bool = False,
    verify: bool = False,
    progress: Counted | None = None,
) -> FeatureFolder:
    """Embed pictures into a feature folder; called again after an interruption, go on where it stopped.

    They are written beside the folder and take its place when all are there; until then it is as it was, or not there.
    A shard that is there is kept when its pictures have the same ids, groups and sizes and times of change, or contents
    (SHA-256 of the files), and the encoder and settings are the same; of other shards the rows are taken over whose
    content is known. A picture that cannot be read is set aside with its reason and stops nothing.

    Args:
        records: the pictures, ids all different, those of a unit one behind the other.
        encoder: turns pictures into (n, d) unit rows.
        out: folder to write.
        units: what the pictures make up; a picture that stands for itself need not be named.
        asked: how the readers read them, kept with the features.
        batch_size: pictures the encoder gets at once, at most; None takes the encoder's own `call_size`, else 32.
        shard_size: pictures a shard; an interruption costs at most the work on one shard.
        dtype: how features are stored.
        set_aside: files that were set aside before, to be listed in the folder with the others.
        workers: threads that read and decode, by default one a core and at most eight.
        overwrite: allow replacing the features of other pictures, settings or encoders.
        verify: compare contents, not sizes and times of change, before a shard is kept.
        progress: called after every batch.

    Returns:
        The finished folder, opened.

    Raises:
        InputError: no record, two with one id, or not one picture that can be read.
        OutputError: the folder must not or cannot be written.
        EncoderError: the encoder broke its contract.
    """
    lots = Listed(list(records), shard_size, units, set_aside, asked)
    how = Making(encoder, dtype, batch_size, workers, verify)
    return embed_lots(lots, how, out, overwrite=overwrite, progress=progress)


def embed_lots(
    lots: Lots, how: Making, out: str | Path, *, overwrite: bool = False, progress: Counted | None = None
) -> FeatureFolder:
    """Embed pictures lot by lot as `embed_pictures` does, in this process.

    Args:
        lots: the pictures.
        how: the encoder and all that decides how it is used.
        out, overwrite, progress: as for `embed_pictures`.

    Raises:
        InputError, OutputError, EncoderError: as `embed_pictures`.
    """
    out, header = Path(out), how.header(lots)
    with working_folder(out, keep=("features", "done")) as work:
        fresh, receipts = work / "features", work / "done"
        job = how.shards(fresh, out, header.plan, receipts)
        if whole := _as_it_is(out, header, job, lots):
            return whole
        check_folder(out, header, lots.ids(), overwrite=overwrite)
        try:
            make_folder(receipts)
            folder, shards = _embed(lots, header, job, progress)
        except BaseException:
            with suppress(OSError):
                fresh.rmdir()  # nothing in it to go on from
            raise
        copy_others(out, fresh)
        write_seen(out, shards)  # of other files than those there, until the next line, and so not believed
        put(fresh, out)
    return FeatureFolder(out, folder.index, reused=folder.reused)


def _as_it_is(out: Path, header: Header, job: Shards, lots: Lots) -> FeatureFolder | None:
    """Open the folder that is there, if nothing in it would change."""
    if not is_feature_folder(out) or not (shards := job.untouched(lots.lots(range(lots.count)))):
        return None
    index = index_of(header, shards, out)
    if (out / INDEX_NAME).read_bytes() != json_bytes(index):
        return None
    if shards != list(read_seen(out).values()):
        write_seen(out, shards)
    return FeatureFolder(out, index, reused=index.rows)


def _embed(lots: Lots, header: Header, job: Shards, progress: Counted | None) -> tuple[FeatureFolder, list[Done]]:
    folder, shards = job.out, []
    make_folder(folder)
    for lot in lots.lots(range(lots.count)):
        shards.append(job.make(lot, partial(counted, progress, lot.start, lots.total)))
    index = index_of(header, shards, folder)
    drop_surplus(folder, len(shards))
    write_file(folder / INDEX_NAME, json_bytes(index))
    return FeatureFolder(folder, index, reused=job.reused.total()), shards


def embed_to(
    lots: Lots, how: Making, out: str | Path, *, overwrite: bool = False, progress: Counted | None = None
) -> FeatureFolder | StoredFeatures:
    """Embed pictures as `embed_lots` does, into a folder or to the address of one in a store.

    Args:
        lots, how, out, overwrite, progress: as for `embed_lots`.

    Raises:
        InputError, OutputError, EncoderError: as `embed_pictures`.
    """
    if not is_store(out):
        return embed_lots(lots, how, out, overwrite=overwrite, progress=progress)
    done = embed_part(lots, how, out, Part(0, 1), overwrite=overwrite, progress=progress)
    made = stored(str(out)) if done.joined else join_parts(out)
    return StoredFeatures(made.index, done.reused)


def embed_in_place(
    records: Sequence[Instance],
    encoder: Encoder,
    folder: Path,
    *,
    old: Path | None = None,
    units: Sequence[Unit] = (),
    asked: Asked | None = None,
    batch_size: int | None = None,
    shard_size: int = SHARD_SIZE,
    dtype: Literal["float32", "float16"] = "float32",
    set_aside: Sequence[SetAside] = (),
    workers: int | None = None,
    progress: Counted | None = None,
) -> FeatureFolder:
    """Embed pictures as `embed_pictures` does, but within a folder that nobody else sees; whole shards in it are kept.

    Args:
        records, encoder, units, asked, batch_size, shard_size, dtype, set_aside, workers, progress: as for
            `embed_pictures`.
        folder: a working folder of the caller, there or not; what it holds of other pictures goes.
        old: a feature folder whose shards, or rows of the same content, are taken over.

    Returns:
        The finished folder, opened.

    Raises:
        InputError, OutputError, EncoderError: as `embed_pictures`.
    """
    lots = Listed(list(records), shard_size, units, set_aside, asked)
    how = Making(encoder, dtype, batch_size, workers)
    header = how.header(lots)
    return _embed(lots, header, how.shards(folder, old, header.plan), progress)[0]


def embed_picture(picture: Pictures, encoder: Encoder) -> NDArray[np.float32]:
    """Embed one picture, read and brought to unit length as `embed_pictures` and a feature folder do it.

    Args:
        picture: a file by its path, or a picture in memory, see `kpl.images.find_given`.
        encoder: turns pictures into (n, d) unit rows.

    Returns:
        (1, d), equal to the picture's row in a folder up to what the encoder makes of another batch.

    Raises:
        PictureError: the file cannot be read.
        EncoderError: the encoder broke its contract.
    """
    pixels = decode(picture_bytes(picture), shrink_to=SHRINK_FACTOR * encoder.card.image_size)
    return unit_rows(encode_pictures([pixels], encoder), "the picture")


def embed_unit(path: str | Path, encoder: Encoder, asked: Asked | None = None) -> NDArray[np.float32]:
    """Embed what a file shows: a picture, or each slice or frame that is read of the one unit in it.

    Args:
        path: a picture; a medical file; or a folder, of one series for example.
        encoder: turns pictures into (n, d) unit rows.
        asked: of the readers.

    Returns:
        (m, d), one row for a picture; slices that cannot be read are left out.

    Raises:
        PictureError: nothing of it can be read.
        InputError: it holds no unit, or several.
        EncoderError: the encoder broke its contract.
    """
    path = Path(path)
    if not path.is_dir() and not _is_medical(path):
        return embed_picture(path, encoder)
    units = find_pictures(path, asked).units
    if len(units) > 1:
        raise InputError(f"{len(units)} pictures or units: give one, or classify them")
    read = list(decode_many(units[0].instances, shrink_to=SHRINK_FACTOR * encoder.card.image_size))
    pixels = [each for _, each in read if not isinstance(each, PictureError)]
    if not pixels:
        raise PictureError(str(read[0][1]))
    return np.concatenate([unit_rows(encode_pictures([each], encoder), "the picture") for each in pixels])


def _is_medical(path: Path) -> bool:
    try:
        return reader_of(path) not in (None, "picture")
    except OSError:  # whoever reads it says why
        return False


def hash_pictures(records: Sequence[Instance], encoder: Encoder) -> str:
    """Hash ids and contents of pictures as the index of their features would say it; nothing is embedded.

    Args:
        records: the pictures.
        encoder: of the features; it decides how large a picture is read.

    Returns:
        SHA-256, hexadecimal: `Index.pictures_sha256`.
    """

    def read(record: Instance) -> tuple[str | None, bool]:
        sha256, pixels, _ = load_instance(record, shrink_to=SHRINK_FACTOR * encoder.card.image_size)
        return sha256, not isinstance(pixels, PictureError)

    workers = default_workers()
    with closing(ordered_map(read, records, workers=workers, look_ahead=workers)) as pictures:
        places = enumerate(zip(records, pictures, strict=True))
        return total_contents((at, each.id, each.unit, sha256) for at, (each, (sha256, good)) in places if good)
