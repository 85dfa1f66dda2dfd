"""The run folder: what `kpl classify` leaves behind, complete or not there at all.

predictions.csv      image, label, confidence, margin, runner_up, one probability column per class; in a multi-label run
                     image, labels (joined by "|"), one probability column per class
predictions/         the same in Parquet, a file a shard of the features, not rounded, where that was asked for instead
scores.npy           (n, C) float32, what predictions.csv rounds: log odds whose softmax is the probabilities; in a
                     multi-label run the log odds of each class being there
instances.csv        where units have several pictures (slices, frames): what is said of each
units.csv            pseudonyms of patient, study, series, instance and path of medical files
evidence.csv         with --explain: the sentences for and against each prediction
run.json             plan, versions, content hashes, counts, what was set aside, warnings; same inputs, same bytes
log.json             command line, times, machine: what differs from run to run
knowledge.json       the knowledge as it was used
texts.safetensors    features of the prompts, one array a class, of the class names, and the text proxies made of them;
                     in a multi-label run the prompts of absence in their place
thumbnails.safetensors  small pictures for the report, WebP, by row; absent when the run was given features
report.html          what came out, to look at; `kpl report` writes it again
corrections.jsonl    what people said of the pictures with `kpl correct`, a line each
features/            the image features, as `kpl embed` writes them
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from kpl.bounded import read_bounded
from kpl.errors import AlreadyThereError, OutputError
from kpl.files import new_folder, write_file
from kpl.proxies.retrieval import TextProxies

RUN_FILE = "run.json"
KNOWLEDGE_FILE = "knowledge.json"
FEATURES_FOLDER = "features"
PREDICTIONS_TABLE, PREDICTIONS_FOLDER = "predictions.csv", "predictions"
TISSUE_FOLDER = "tissue"
TEXTS_FILE = "texts.safetensors"
CORRECTIONS_FILE = "corrections.jsonl"
RUN_FILES = (
    RUN_FILE, KNOWLEDGE_FILE, TEXTS_FILE, PREDICTIONS_TABLE, "scores.npy", "evidence.csv", "thumbnails.safetensors",
    "instances.csv", "units.csv", "levels.csv", "log.json", "report.html", CORRECTIONS_FILE,
)  # fmt: skip
"""What a run folder holds beside its features."""


def is_run(path: str | Path) -> bool:
    """Say whether a folder holds a finished run: its `run.json` says so."""
    try:
        summary = json.loads(read_bounded(Path(path) / RUN_FILE))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(summary, dict) and "kpl_run" in summary


def save_texts(
    folder: Path,
    descriptions: list[NDArray[np.float32]],
    names: NDArray[np.float32],
    text: TextProxies | None = None,
    *,
    of_descriptions: bool = True,
    absent: list[NDArray[np.float32]] | None = None,
) -> None:
    """Write the text features of a run, and the text proxies with what they were made of, or those of absence."""
    arrays: dict[str, NDArray[Any]] = {f"class-{c:05d}": rows for c, rows in enumerate(descriptions)}
    arrays["names"] = names
    if text is not None:
        arrays["proxies"] = text.proxies
        if of_descriptions:
            arrays |= {f"chosen-{c:05d}": rows.astype(np.int64) for c, rows in enumerate(text.chosen)}
    arrays |= {f"absent-{c:05d}": rows for c, rows in enumerate(absent or [])}
    write_file(folder / TEXTS_FILE, save({name: np.ascontiguousarray(rows) for name, rows in arrays.items()}))


def without_folders(argument: str) -> str:
    """Return a word of a command line with the last part of a path alone: a run folder is passed on.

    Example:
        >>> [without_folders(word) for word in ("/data/smith/scans/", "--out=../runs/first", "hf:lab/name", "-k")]
        ['scans', '--out=first', 'hf:lab/name', '-k']
    """
    option, value = re.fullmatch(r"(--[\w-]+=?|-\w)?(.*)", argument, re.DOTALL).groups(default="")  # type: ignore[union-attr]  # fits any
    if value.startswith(("hf:", "openclip:")):  # an encoder by name
        return argument
    return option + (value.replace("\\", "/").rstrip("/").rpartition("/")[2] or value)


def write_log(folder: Path, seconds: dict[str, float]) -> None:
    """Write `log.json`: the command without the folders that it names, the seconds of its stages, and the machine."""
    log = {
        "command": [without_folders(word) for word in sys.argv],
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",  # platform() starts a program
        "processors": os.cpu_count(),
    }
    (folder / "log.json").write_text(json.dumps(log, indent=2) + "\n", encoding="utf-8")


def copy_run(source: Path, out: Path, *, overwrite: bool) -> None:
    """Write a run's files into another folder, whole or not at all; what else lies beside them stays.

    Raises:
        OutputError: as `new_run_folder`.
    """
    with new_run_folder(out, overwrite=overwrite) as work:
        for name in RUN_FILES:
            if (source / name).exists():
                shutil.copyfile(source / name, work / name)
        for name in (FEATURES_FOLDER, TISSUE_FOLDER, PREDICTIONS_FOLDER):
            if (source / name).exists():
                shutil.copytree(source / name, work / name, dirs_exist_ok=True)


@dataclass(frozen=True)
class Place:
    """The folder of a run; a temporary one goes with its `Place`."""

    path: Path


@contextmanager
def run_folder(
    out: str | Path | None,
    *,
    overwrite: bool,
    same: Callable[[Path, dict[str, Any]], bool] | None = None,
    finish: Callable[[Path], object] | None = None,
) -> Iterator[tuple[Path, Place]]:
    """Give a working folder, and the place where the run is when the block ends well.

    Args:
        out: as in `new_run_folder`; None for a temporary folder, which goes with its `Place`.
        overwrite, same: as in `new_run_folder`.
        finish: called with the whole run before it gets its name, to write more into it.

    Raises:
        OutputError: as `new_run_folder`.
    """
    if out is not None:
        with new_run_folder(Path(out), overwrite=overwrite, same=same) as work:
            given = Path(out)
            yield work, Place(given if given.parent.is_dir() else given.resolve())  # new/../run, where there is no new
            if finish:
                finish(work)
        return
    place = Place(Path(mkdtemp(prefix="kpl-run-")))
    weakref.finalize(place, shutil.rmtree, place.path, ignore_errors=True)
    yield place.path, place
    if finish:
        finish(place.path)


@contextmanager
def new_run_folder(
    out: Path, *, overwrite: bool, same: Callable[[Path, dict[str, Any]], bool] | None = None
) -> Iterator[Path]:
    """Give a working folder beside `out` that takes its place when the block ends well; one process at a time.

    Interrupted or failed, `out` is untouched; features in the working folder stay, so that the same command goes on
    from them.

    Args:
        out: the run folder.
        overwrite: an earlier run there is replaced.
        same: says of an earlier run, by its folder and its `run.json`, whether it is the one that is asked for.

    Raises:
        AlreadyThereError: that run is there.
        OutputError: `out` exists (a run may be replaced with `overwrite`, anything else never), another process writes
            it, or it cannot be written.
    """
    with new_folder(out, keep=(FEATURES_FOLDER,)) as work:
        kept = not overwrite or (out / CORRECTIONS_FILE).exists()  # what people said is never replaced
        if kept and same and is_run(out) and same(out, json.loads((out / RUN_FILE).read_text("utf-8"))):
            raise AlreadyThereError(out)
        _refuse_loss(out, overwrite=overwrite)
        yield work


def _refuse_loss(out: Path, *, overwrite: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if not overwrite:
        raise OutputError(f"{str(out)!r} exists: give another --out, or replace that run with --overwrite")
    if (out / CORRECTIONS_FILE).exists():
        raise OutputError(
            f"{str(out)!r} holds corrections that people made: it is not replaced. Give another --out, or move its "
            f"{CORRECTIONS_FILE} away first"
        )
    if not is_run(out) and not _is_empty_folder(out):
        raise OutputError(f"{str(out)!r} exists and is no run of KPL: it is not replaced; give another --out")


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
