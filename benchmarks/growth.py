"""How cost grows with the number of pictures: processor seconds a row of every step, a power of ten after the other.

python benchmarks/growth.py --rows 10000 100000 1000000 --json benchmarks/results/growth.json

An encoder of eight numbers stands for a real one. Of each table the last four shards are embedded from pictures, the
others are written as embedding would have left them. Then 10 000 shards are joined, and looked at once more.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kpl.embeddings import Listed, Making, Part, embed_lots, embed_part, join_parts, open_manifest
from kpl.embeddings.done import Done, files_seen
from kpl.embeddings.layout import EmbeddedPicture, Shard, json_bytes, shard_names
from kpl.embeddings.manifest import Manifest
from kpl.embeddings.parts import Parts
from kpl.embeddings.shards import receipt_name
from kpl.encoders import EncoderCard
from kpl.images import Asked, Instance
from kpl.report import write_report
from kpl.runs import classify, fit
from planning import write

CLASSES = {"red": ["red one", "red two"], "green": ["green one", "green two"], "blue": ["blue one", "blue two"]}
_SIZE = 1024
_EMBEDDED = 4  # shards that are made of pictures
_WRITTEN = 64  # shards that are written at a time


class Stub:
    """An encoder of eight numbers: of a picture its mean colour, of a sentence its first word."""

    logit_scale, logit_bias, context_length = 20.0, 0.0, 77

    def __init__(self) -> None:
        about = {"name": "mini", "title": "stub", "intended_use": "benchmarks", "limits": "knows nothing"}
        shape = {"dim": 8, "context_length": 77, "image_size": 8, "resize": "squash", "interpolation": "bicubic"}
        rest = {"licence": "Apache-2.0", "modalities": (), "loader": "onnx", "files": {"fake.bin": "0" * 64}}
        scale = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "head": "softmax", "logit_scale": 20.0}
        self.card = EncoderCard.model_validate({**about, **shape, **rest, **scale})

    def encode_images(self, pictures: Sequence[Any]) -> Any:  # noqa: ANN401 - (n, 8)
        """Return unit rows (n, 8)."""
        rows = np.zeros((len(pictures), 8), np.float32)
        rows[:, :3] = [picture.reshape(-1, 3).mean(axis=0) / 255 for picture in pictures]
        rows[:, 3] = 0.1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_texts(self, sentences: Sequence[str]) -> Any:  # noqa: ANN401 - (n, 8)
        """Return unit rows (n, 8)."""
        rows = np.full((len(sentences), 8), 0.1, np.float32)
        for row, sentence in zip(rows, sentences, strict=True):
            for at, name in enumerate(CLASSES):
                row[at] += name in sentence
            row[4:] += 0.02 * (len(sentence) % 5)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def count_tokens(self, sentence: str) -> int:
        """Words, and two more."""
        return len(sentence.split()) + 2

    def unknown_words(self, sentence: str) -> list[str]:
        """None."""
        return [] if sentence else [sentence]


@contextmanager
def timed(found: dict[str, float], step: str) -> Iterator[None]:
    """Note down the processor seconds of a step."""
    began = time.process_time()
    yield
    found[step] = time.process_time() - began


def draw(place: Path, seed: int) -> None:
    """A small picture of one colour with noise."""
    place.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 60, (8, 8, 3), np.uint8)
    noise[..., seed % 3] += 150
    Image.fromarray(noise).save(place)


def leave(manifest: Manifest, how: Making, parts: Parts, numbers: range) -> None:
    """Leave shards as embedding would have left them."""
    header = how.header(manifest)
    job = parts.shards(how, header)
    for lot in manifest.lots(numbers):
        rng = np.random.default_rng(lot.number)
        rows = rng.normal(0, 0.15, (len(lot.records), 8)).astype(np.float32)
        rows[np.arange(len(rows)), rng.integers(0, 3, len(rows))] += 1
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        looks = rng.bytes(44 * len(rows)).hex()
        pictures = tuple(
            EmbeddedPicture(
                id=each.id, group=each.group, sha256=hashlib.sha256(each.id.encode()).hexdigest(),
                look=looks[88 * at : 88 * at + 88],
            )
            for at, each in enumerate(lot.records)
        )  # fmt: skip
        array, listed = (parts.features / name for name in shard_names(lot.number))
        np.save(array, rows)
        data = array.read_bytes()
        shard = Shard(
            encoder=header.encoder, settings=header.settings, array_sha256=hashlib.sha256(data).hexdigest(),
            pictures=pictures,
        )  # fmt: skip
        listed.write_bytes(json_bytes(shard))
        done = Done.of(lot, header.plan, job.planned(lot), shard, None, files_seen(parts.features, lot.number))
        (parts.receipts / receipt_name(lot.number)).write_bytes(json_bytes(done))


def grow(rows: int, folder: Path) -> dict[str, float]:
    """Go through every step with a table of so many rows, in this process."""
    found: dict[str, float] = {}
    table, out, how = folder / "m.parquet", folder / "features", Making(Stub(), workers=1)
    write(table, rows)
    for at in range(max(0, rows - (_EMBEDDED + 1) * _SIZE), rows):
        draw(folder / f"p{at // 10_000:04d}" / f"{at:09d}.png", at)
    with timed(found, "plan"):
        manifest = _planned(table)
    parts = Parts(out)
    parts.begin(how.header(manifest), 1)
    drawn = range(max(0, manifest.count - _EMBEDDED), manifest.count)
    leave(manifest, how, parts, range(drawn.start))
    job, embedded = parts.shards(how, how.header(manifest)), 0
    with timed(found, "embed"):
        for lot in manifest.lots(drawn):
            embedded += job.make(lot).rows
    found["embed"] *= rows / embedded
    with timed(found, "join"):
        join_parts(out)
    with timed(found, "fit"):
        fit(out, knowledge=CLASSES, encoder=Stub(), out=folder / "m.kpl")
    with timed(found, "predict"):
        run = classify(out, model=folder / "m.kpl", encoder=Stub(), out=folder / "run", predictions="parquet")
    with timed(found, "report"):
        write_report(run)
    return {step: seconds / rows * 1e6 for step, seconds in found.items()} | {
        "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    }


def _planned(table: Path) -> Manifest:
    from kpl.embeddings import manifest

    vars(manifest)["LISTED_AT_MOST"] = 1  # so that small tables are read in slices too
    found = open_manifest([str(table)], Asked(), _SIZE)
    if found is None:
        raise SystemExit("the table is not read in slices")
    return found


def many_shards(folder: Path, shards: int) -> dict[str, float]:
    """Join so many shards of two pictures each, and run the same command on the finished folder."""
    found: dict[str, float] = {}
    places = [folder / "scans" / f"{at:06d}.png" for at in range(2 * shards)]
    draw(places[0], 0)
    for place in places[1:]:
        place.hardlink_to(places[0])
    time.sleep(0.1)  # what changed just now is not trusted
    lots = Listed([Instance(place.name, place) for place in places], 2)
    how = Making(Stub(), workers=1)
    embed_part(lots, how, folder / "features", Part(0, 1))
    with timed(found, "join"):
        join_parts(folder / "features")
    with timed(found, "again"):
        embed_lots(lots, how, folder / "features")
    return found


def main() -> None:
    """Measure each power in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10**4, 10**5, 10**6, 10**7])
    parser.add_argument("--hundred-million", action="store_true", help="go on to 10^8 rows: a day, and 100 GB of disk")
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        with tempfile.TemporaryDirectory() as place:
            os.environ["KPL_HOME"] = f"{place}/home"
            folder = Path(place)
            print(json.dumps(grow(given.one, folder) if given.one else many_shards(folder, given.shards)))
        return
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    found: dict[str, Any] = {"machine": machine}
    for rows in [*given.rows, *([10**8] if given.hundred_million else []), 0]:
        command = [sys.executable, __file__, "--one", str(rows), "--shards", str(given.shards)]
        said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        found[str(rows) if rows else "shards"] = told = json.loads(said.splitlines()[-1])
        print(f"{rows or given.shards:>11}", *(f"{step} {value:.2f}" for step, value in told.items()), flush=True)
        if given.json:
            given.json.parent.mkdir(parents=True, exist_ok=True)
            given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
