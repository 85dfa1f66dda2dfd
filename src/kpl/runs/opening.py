"""Opening a finished run, of whichever kind it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from kpl.embeddings import open_features
from kpl.errors import FeaturesError
from kpl.knowledge import KnowledgeBase, load_knowledge
from kpl.runs.folder import FEATURES_FOLDER, KNOWLEDGE_FILE, RUN_FILE, TEXTS_FILE
from kpl.runs.multi_label import MultiLabelRun
from kpl.runs.run import Run
from kpl.runs.single_label import SingleLabelRun
from kpl.runs.summary import check_rows, read_summary


def open_run(path: str | Path) -> SingleLabelRun | MultiLabelRun:
    """Open a finished run.

    Raises:
        FeaturesError: it is no finished run, a file of it is damaged, or it was made by an earlier version.
    """
    path = Path(path)
    summary = read_summary(path)
    try:
        texts = load_file(path / TEXTS_FILE)
    except (OSError, ValueError, SafetensorError) as error:
        raise FeaturesError(
            f"{str(path)!r} is no finished run of `kpl classify` (its {TEXTS_FILE} cannot be read)"
        ) from error
    knowledge = load_knowledge(path / KNOWLEDGE_FILE)
    try:
        if summary["plan"]["knowledge"] != knowledge.content_hash():
            raise FeaturesError(f"{str(path)!r}: its {KNOWLEDGE_FILE} was changed after the run: classify again")
        descriptions, names = _rows(texts, "class", knowledge), texts["names"]
    except (KeyError, TypeError) as error:
        raise FeaturesError(f"{str(path)!r}: its {RUN_FILE} or {TEXTS_FILE} is damaged: classify again") from error
    features = open_features(path / FEATURES_FOLDER)
    for name, rows in texts.items():
        if not name.startswith("chosen-"):
            check_rows(path, name, rows, features.d)
    shared = (path, summary, knowledge, features, descriptions, names)
    kept = "absent-00000" if summary.get("multi_label") else "proxies"
    if kept not in texts:
        what = "texts of absence" if summary.get("multi_label") else "text proxies"
        raise FeaturesError(f"{str(path)!r} was made by an earlier version, which kept no {what}: classify again")
    try:
        if summary.get("multi_label"):
            summary["thresholds"] = summary.get("thresholds") or summary["plan"].get("thresholds") or {}
            if set(summary["thresholds"]) < {entry.key for entry in knowledge.classes}:
                raise KeyError("thresholds")
            return MultiLabelRun(*shared, absent=_rows(texts, "absent", knowledge))
        chosen = _rows(texts, "chosen", knowledge) if "chosen-00000" in texts else None
        for own, rows in zip(chosen or (), descriptions, strict=False):
            if own.ndim != 1 or own.dtype.kind != "i" or not len(own) or not 0 <= own.min() <= own.max() < len(rows):
                raise KeyError("chosen")
        if len(texts["proxies"]) != len(knowledge.classes) or len(names) != len(knowledge.classes):
            raise KeyError("proxies")
    except KeyError as error:
        raise FeaturesError(f"{str(path)!r}: its {RUN_FILE} or {TEXTS_FILE} is damaged: classify again") from error
    return SingleLabelRun(*shared, text_proxies=texts["proxies"], chosen=chosen)


def _rows(texts: Mapping[str, NDArray[Any]], kind: str, knowledge: KnowledgeBase) -> list[NDArray[Any]]:
    return [texts[f"{kind}-{c:05d}"] for c in range(len(knowledge.classes))]


def open_single_label(run: str | Path | Run) -> SingleLabelRun:
    """Open a run that gives each picture one label.

    Raises:
        FeaturesError: it is no finished run, a multi-label run, or damaged.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    if not isinstance(opened, SingleLabelRun):
        raise FeaturesError(
            f"{str(opened.path)!r} is a multi-label run, which gives a picture several labels: this needs one label"
        )
    return opened
