"""A run in the form that other tools read: tables, folders of pictures, Label Studio, FiftyOne, Hugging Face."""

from __future__ import annotations

import filecmp
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from kpl.curation.joining import joined
from kpl.curation.structured import Said, as_reports
from kpl.errors import AlreadyThereError, InputError, OutputError, UnknownNameError, from_extra
from kpl.evaluation import NONE_OF_THESE
from kpl.files import put, working_folder
from kpl.runs import MultiLabelRun, Run, SingleLabelRun
from kpl.runs.corrections import UNSURE, read_corrections, settled
from kpl.runs.predictions import JOINT
from kpl.runs.tables import csv_bytes
from kpl.runs.thumbnails import find_again
from kpl.runs.units import UNITS_FILE

NO_LABEL = "no-label"
Made = Mapping[PurePosixPath, Path | bytes]
"""What an export is made of: place in it to a file to copy, or to what a file holds; empty for a single file."""


@dataclass(frozen=True)
class Labelled:
    """What is exported of one picture.

    Attributes:
        image: its id.
        labels: class keys: what people settled on, else what the run says.
        predicted: class keys that the run says.
        confidence: of the run's likeliest class; None in a multi-label run.
        corrected: whether people settled its label; `NONE_OF_THESE` leaves it without one.
    """

    image: str
    labels: tuple[str, ...]
    predicted: tuple[str, ...]
    confidence: float | None
    corrected: bool


@dataclass(frozen=True)
class Exported:
    """What was written: the place, the pictures in it, and those that could not be found or are others now."""

    path: Path
    pictures: int
    missing: tuple[str, ...]
    told: tuple[str, ...] = ()


def export(
    run: Run,
    to: str,
    out: str | Path,
    *,
    pictures: str | Path | None = None,
    source: str | Path | None = None,
    table: str | Path | None = None,
) -> Exported:
    """Write a run for another tool; labels that people corrected stand in the place of predictions.

    Args:
        run: of either kind; folders of pictures and FiftyOne take one label a picture.
        to: of `FORMATS`.
        out: the file or folder to make; nothing that exists is replaced.
        pictures: where the pictures are; formats that copy them need it. Only the very pictures of the run are copied.
        source: where the DICOM studies are, for reports that belong to them.
        table: of the user's: CSV and Parquet become its rows, with what the run says of each; see `joined`.

    Raises:
        UnknownNameError: no such format.
        InputError: the format needs what is missing, or cannot hold this run.
        AlreadyThereError: `out` is this very export.
        OutputError: `out` is something else, or cannot be written.
        MissingExtraError: Parquet, or DICOM, needs an extra.
    """
    if to not in (known := (*FORMATS, REPORTS)):
        raise UnknownNameError("format", to, known)
    out = Path(out)
    taken = OutputError(f"{str(out)!r} exists: export to another name, or move it away")
    if os.path.lexists(out) and (not out.exists() or out.is_dir() != (to in (*COPYING, REPORTS))):
        raise taken
    _refuse(run, to, pictures, source, table)
    rows = list(_labelled(run))
    missing: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    plan: Made
    if source is not None:
        plan, count, missing = as_reports(run, list(_said(run)), Path(source))
    elif table is not None:
        columns, told = joined(run, table, _columns(rows))
        plan, count = TABLES[to](columns), len(set(columns["kpl_image"]))
    elif pictures is None:
        plan, count = FORMATS[to](run, rows, {}), len(rows)
    else:
        if out.is_dir() and not _files(out) <= set(FORMATS[to](run, rows, {row.image: out for row in rows})):
            raise taken  # before a picture is read
        found, missing = _located(run, Path(pictures))
        if not found:
            raise InputError(f"none of the run's pictures is in {str(pictures)!r}: say where they are with --pictures")
        plan, count = FORMATS[to](run, rows, found), len(found)
    with working_folder(out) as work:
        if os.path.lexists(out):
            raise AlreadyThereError(out) if _is_made(plan, out) else taken
        for name, content in plan.items():
            target = work / "made" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, target)
            else:
                target.write_bytes(content)
        put(work / "made", out)
    return Exported(out, count, missing, told)


def _refuse(
    run: Run, to: str, pictures: str | Path | None, source: str | Path | None, table: str | Path | None
) -> None:
    """Refuse what a format needs and was not given, what it has no use for, and runs that it cannot hold."""
    if (to == REPORTS) != (source is not None):
        raise InputError(
            f"the format {to!r} tells of studies that the run does not know: say where they are with --source"
            if source is None
            else f"the format {to!r} reads no studies: leave --source out"
        )
    if to in PICTURES and not run.pooling.plain:
        raise InputError(
            f"the format {to!r} shows one picture a label, and this run decides about units of several: try csv"
        )
    if to == "label-studio" and (run.path / UNITS_FILE).exists():
        raise InputError(f"the format {to!r} shows pictures by their files, and opens no medical ones: try csv")
    if (to in COPYING) != (pictures is not None):
        needs = "copies the pictures: say where they are with --pictures" if pictures is None else (
            "copies no pictures: leave --pictures out"
        )  # fmt: skip
        raise InputError(f"the format {to!r} {needs}")
    if to in ONE_LABEL and not isinstance(run, SingleLabelRun):
        raise InputError(f"the format {to!r} takes one label a picture, and this run gives several: try csv")
    if table is not None and to not in TABLES:
        raise InputError(f"the format {to!r} is no table, and takes none: leave --table out, or export to csv")


def _files(folder: Path) -> set[PurePosixPath]:
    """Return what lies in a folder, however deep."""
    return {PurePosixPath(path.relative_to(folder).as_posix()) for path in folder.rglob("*") if not path.is_dir()}


def _is_made(plan: Made, out: Path) -> bool:
    """Say whether a plan was carried out there already; nothing is written to find that out."""
    if out.is_dir() and _files(out) != set(plan):
        return False
    return all(
        filecmp.cmp(content, out / name, shallow=False)
        if isinstance(content, Path)
        else (out / name).read_bytes() == content
        for name, content in plan.items()
    )


def _labelled(run: Run) -> Iterator[Labelled]:
    if isinstance(run, MultiLabelRun):
        for each in run.predictions:
            yield Labelled(each.id, each.labels, each.labels, None, corrected=False)
        return
    assert isinstance(run, SingleLabelRun)  # noqa: S101 - the two kinds there are
    agreed = settled(read_corrections(run))[0]
    for said in run.predictions:
        word = agreed.get(said.id, UNSURE)
        predicted = () if said.label in (None, NONE_OF_THESE) else (said.label,)
        labels = predicted if word == UNSURE else () if word == NONE_OF_THESE else (word,)
        yield Labelled(said.id, labels, predicted, said.confidence, corrected=word != UNSURE)


def _said(run: Run) -> Iterator[Said]:
    """Give what a report says of each unit; the answer of the run stays beside what people settled on."""
    for row, each in zip(_labelled(run), run, strict=True):
        told = {key: each.probabilities[key] for key in row.predicted}
        yield Said(row.image, told, row.labels if row.corrected else None)


def _located(run: Run, folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return where each picture is that is still what was classified, and those that are not there."""
    there = find_again(
        folder, [(picture.id, picture.sha256) for picture in run.features.pictures()], run.features.asked
    )
    if any(instance.reading is not None for instance in there.values()):
        raise InputError("medical files say whose they are, and are not copied: try csv, or parquet")
    found = {image: instance.path for image, instance in there.items()}
    return found, tuple(image for image in run.ids if image not in found)


def _columns(rows: Sequence[Labelled]) -> dict[str, list[Any]]:
    return {
        "image": [row.image for row in rows],
        "label": [JOINT.join(row.labels) for row in rows],
        "predicted": [JOINT.join(row.predicted) for row in rows],
        "confidence": [row.confidence for row in rows],
        "corrected": [row.corrected for row in rows],
    }


def _csv(_run: Run, rows: Sequence[Labelled], _found: Mapping[str, Path]) -> Made:
    return _csv_of(_columns(rows))


def _csv_of(columns: dict[str, list[Any]]) -> Made:
    columns = {name: list(map(_cell, values)) for name, values in columns.items()}
    return _alone(csv_bytes(list(columns), zip(*columns.values(), strict=True)))


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6f}" if isinstance(value, float) else "" if value is None else str(value)


def _parquet(_run: Run, rows: Sequence[Labelled], _found: Mapping[str, Path]) -> Made:
    return _parquet_of(_columns(rows))


def _parquet_of(columns: dict[str, list[Any]]) -> Made:
    with from_extra("parquet", "writing Parquet"):
        import pyarrow
        from pyarrow import parquet
    made = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), made)
    return _alone(made.getvalue())


def _label_studio(run: Run, rows: Sequence[Labelled], _found: Mapping[str, Path]) -> Made:
    """Tasks with predictions, and annotations where people corrected, for a labelling interface of `Choices`."""
    version = f"kpl {run.method_name}"

    def result(labels: Sequence[str]) -> list[dict[str, Any]]:
        told = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": list(labels)}}
        return [told] if labels else []

    tasks = []
    for row in rows:
        score = {} if row.confidence is None else {"score": round(row.confidence, 6)}
        task: dict[str, Any] = {
            "data": {"image": f"/data/local-files/?d={quote(row.image)}", "kpl_image": row.image},
            "predictions": [{"model_version": version, "result": result(row.predicted), **score}],
        }
        if row.corrected:
            task["annotations"] = [{"result": result(row.labels)}]
        tasks.append(task)
    return _alone((json.dumps(tasks, indent=1, ensure_ascii=False) + "\n").encode())


def _fiftyone(run: Run, rows: Sequence[Labelled], found: Mapping[str, Path]) -> Made:
    """`FiftyOneImageClassificationDataset`: data/, and labels.json by the stem of each file."""
    labels: dict[str, Any] = {}
    names = _file_names(rows)
    made: dict[PurePosixPath, Path | bytes] = {}
    for row in rows:
        if row.image in found:
            name = names[row.image]
            made[PurePosixPath("data", name)] = found[row.image]
            labels[PurePosixPath(name).stem] = None if not row.labels else {
                "label": run.keys.index(row.labels[0]),
                "confidence": row.confidence,
                "attributes": {"corrected": row.corrected},
            }  # fmt: skip
    told = json.dumps({"classes": list(run.keys), "labels": labels}, indent=1, ensure_ascii=False)
    return made | {PurePosixPath("labels.json"): (told + "\n").encode()}


def _imagefolder(_run: Run, rows: Sequence[Labelled], found: Mapping[str, Path]) -> Made:
    """`datasets.load_dataset("imagefolder", data_dir=...)`: the pictures, and metadata.jsonl beside them."""
    names = _file_names(rows)
    made: dict[PurePosixPath, Path | bytes] = {}
    lines = []
    for row in rows:
        if row.image in found:
            name = names[row.image]
            made[PurePosixPath("train", name)] = found[row.image]
            told = {"file_name": name, "label": JOINT.join(row.labels), "confidence": row.confidence}
            lines.append(json.dumps(told | {"corrected": row.corrected, "image_id": row.image}, ensure_ascii=False))
    return made | {PurePosixPath("train", "metadata.jsonl"): ("\n".join(lines) + "\n").encode()}


def _folders(_run: Run, rows: Sequence[Labelled], found: Mapping[str, Path]) -> Made:
    """A folder a class, as most training code reads them; what has no class lies in `no-label`."""
    names = _file_names(rows)
    return {
        PurePosixPath(_safe(row.labels[0] if row.labels else NO_LABEL), names[row.image]): found[row.image]
        for row in rows
        if row.image in found
    }


def _alone(content: bytes) -> Made:
    """Return the plan of a single file."""
    return {PurePosixPath(): content}


def _file_names(rows: Sequence[Labelled]) -> dict[str, str]:
    """Return a file name of each picture, all in one folder; no two have one stem.

    Example:
        >>> rows = [Labelled(image, (), (), None, corrected=False) for image in ("ward a/1.png", "1.png", "1.jpg")]
        >>> list(_file_names(rows).values())
        ['ward a-1.png', '1.png', '1-2.jpg']
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for row in rows:
        name, dot, suffix = row.image.replace("/", "-").rpartition(".")
        wanted = stem = _safe(name if dot else suffix)
        count = 1
        while stem.casefold() in taken:
            count += 1
            stem = f"{wanted}-{count}"
        taken.add(stem.casefold())
        names[row.image] = stem + (f".{_safe(suffix)}" if dot else "")
    return names


def _safe(name: str) -> str:
    """Return a name that leads nowhere else and that every file system takes."""
    kept = "".join(c if c.isalnum() or c in " ._-()" else "_" for c in name)
    return kept[-200:] if kept.strip(" .") else "_"


Writer = Callable[[Run, Sequence[Labelled], Mapping[str, Path]], Made]
FORMATS: dict[str, Writer] = {
    "csv": _csv,
    "parquet": _parquet,
    "label-studio": _label_studio,
    "folders": _folders,
    "imagefolder": _imagefolder,
    "fiftyone": _fiftyone,
}
"""Name to what writes it."""
REPORTS = "dicom-sr"
"""The format that is written by `kpl.curation.structured`."""
TABLES: dict[str, Callable[[dict[str, list[Any]]], Made]] = {"csv": _csv_of, "parquet": _parquet_of}
"""That may take the rows of a table of the user's."""
COPYING = frozenset({"folders", "imagefolder", "fiftyone"})
PICTURES = COPYING | {"label-studio"}
"""That show a picture by its file."""
ONE_LABEL = frozenset({"folders", "fiftyone"})
