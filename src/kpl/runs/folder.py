"""The run folder: what `kpl classify` leaves behind, complete or not there at all.

predictions.csv      image, label, confidence, margin, runner_up, one probability column per class; in a multi-label run
                     image, labels (joined by "|"), one probability column per class
scores.npy           (n, C) float32, what predictions.csv rounds: log odds whose softmax is the probabilities; in a
                     multi-label run the log odds of each class being there
evidence.csv         with --explain: the sentences for and against each prediction
run.json             plan, versions, content hashes, counts, what was set aside, warnings; same inputs, same bytes
log.json             command line, times, machine: what differs from run to run
knowledge.json       the knowledge as it was used
texts.safetensors    features of the prompts, one array a class, of the class names, and the text proxies made of them;
                     in a multi-label run the prompts of absence in their place
thumbnails.safetensors  small pictures for the report, WebP, by row; absent when the run was given features
report.html          what came out, to look at; `kpl report` writes it again
features/            the image features, as `kpl embed` writes them
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from kpl.embeddings import FeatureFolder, open_features
from kpl.errors import FeaturesError, OutputError
from kpl.files import new_folder, write_file
from kpl.knowledge import KnowledgeBase, load_knowledge
from kpl.proxies.retrieval import TextProxies

__all__ = [
    "FEATURES_FOLDER",
    "KNOWLEDGE_FILE",
    "RUN_FILE",
    "RUN_FILES",
    "Run",
    "is_run",
    "new_run_folder",
    "open_run",
    "save_texts",
    "write_log",
]

RUN_FILE = "run.json"
KNOWLEDGE_FILE = "knowledge.json"
FEATURES_FOLDER = "features"
_TEXTS = "texts.safetensors"
RUN_FILES = (
    RUN_FILE, KNOWLEDGE_FILE, _TEXTS, "predictions.csv", "scores.npy", "evidence.csv", "thumbnails.safetensors",
    "log.json", "report.html",
)  # fmt: skip
"""What a run folder holds beside its features."""


@dataclass(frozen=True)
class Run:
    """A finished run, opened.

    Attributes:
        path: the folder.
        summary: what `run.json` says.
        knowledge: as it was used.
        features: of the images, a re-iterable source of chunks.
        descriptions: per class (m_c, d).
        names: (C, d) features of the class-name prompts.
        text_proxies: (C, d) that the method began from; None in a multi-label run.
        chosen: per class the indices of the descriptions in its text proxy; None where the method reads other texts.
        absent: per class (m_c, d) or (1, d), what is seen when it is not there; None but in a multi-label run.
    """

    path: Path
    summary: dict[str, Any] = field(repr=False)
    knowledge: KnowledgeBase = field(repr=False)
    features: FeatureFolder = field(repr=False)
    descriptions: list[NDArray[np.float32]] = field(repr=False)
    names: NDArray[np.float32] = field(repr=False)
    text_proxies: NDArray[np.float64] | None = field(default=None, repr=False)
    chosen: list[NDArray[np.intp]] | None = field(default=None, repr=False)
    absent: list[NDArray[np.float32]] | None = field(default=None, repr=False)

    @property
    def predictions_file(self) -> Path:
        """Where the predictions are."""
        return self.path / "predictions.csv"


def is_run(path: str | Path) -> bool:
    """Say whether a folder holds a finished run: its `run.json` says so."""
    try:
        summary = json.loads((Path(path) / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(summary, dict) and "kpl_run" in summary


def open_run(path: str | Path) -> Run:
    """Open a finished run.

    Raises:
        FeaturesError: it is no finished run, or a file of it is damaged.
    """
    path = Path(path)
    try:
        summary = json.loads((path / RUN_FILE).read_text(encoding="utf-8"))
        texts = load_file(path / _TEXTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise FeaturesError(
            f"{str(path)!r} is no finished run of `kpl classify` (its {RUN_FILE} or {_TEXTS} cannot be read)"
        ) from error
    knowledge = load_knowledge(path / KNOWLEDGE_FILE)
    try:
        if summary["plan"]["knowledge"] != knowledge.content_hash():
            raise FeaturesError(f"{str(path)!r}: its {KNOWLEDGE_FILE} was changed after the run: classify again")
        descriptions = [texts[f"class-{c:05d}"] for c in range(len(knowledge.classes))]
        names = texts["names"]
        chosen = [texts[f"chosen-{c:05d}"] for c in range(len(descriptions))] if "chosen-00000" in texts else None
        absent = [texts[f"absent-{c:05d}"] for c in range(len(descriptions))] if "absent-00000" in texts else None
    except (KeyError, TypeError) as error:
        raise FeaturesError(f"{str(path)!r}: its {RUN_FILE} or {_TEXTS} is damaged: classify again") from error
    return Run(
        path=path,
        summary=summary,
        knowledge=knowledge,
        features=open_features(path / FEATURES_FOLDER),
        descriptions=descriptions,
        names=names,
        text_proxies=texts.get("proxies"),
        chosen=chosen,
        absent=absent,
    )


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
    write_file(folder / _TEXTS, save({name: np.ascontiguousarray(rows) for name, rows in arrays.items()}))


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


@contextmanager
def new_run_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a working folder beside `out` that takes its place when the block ends well; one process at a time.

    Interrupted or failed, `out` is untouched; features in the working folder stay, so that the same command goes on
    from them.

    Raises:
        OutputError: `out` exists (a run may be replaced with `overwrite`, anything else never), another process writes
            it, or it cannot be written.
    """
    with new_folder(out, keep=(FEATURES_FOLDER,)) as work:
        _refuse_loss(out, overwrite=overwrite)
        yield work


def _refuse_loss(out: Path, *, overwrite: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if not overwrite:
        raise OutputError(f"{str(out)!r} exists: give another --out, or replace that run with --overwrite")
    if not is_run(out) and not _is_empty_folder(out):
        raise OutputError(f"{str(out)!r} exists and is no run of KPL: it is not replaced; give another --out")


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
