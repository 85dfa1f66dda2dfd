"""What `run.json` must say for a run to be opened: a file that was edited by hand is refused where it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from kpl.errors import FeaturesError
from kpl.runs.folder import RUN_FILE
from kpl.runs.warnings import further_keys

FORMAT = 1
"""Of a run folder; raised when a reader of the former could not make sense of it."""
_BYTES = 64 << 20
_SHOWN = ("pictures", "abstained", "retrieved")  # for people; nothing reads them
_Count = Annotated[int, Field(ge=0)]


class _Said(BaseModel):
    model_config = ConfigDict(strict=True)


class _Settings(_Said):
    temperature: Annotated[FiniteFloat, Field(gt=0)]
    k: Annotated[int, Field(ge=1)] | None = None


class _Plan(_Said):
    knowledge: str
    method: str
    encoder: str
    pictures: str
    settings: _Settings
    thresholds: dict[str, FiniteFloat] | None = None
    pool: Annotated[str, Field(pattern=r"^(mean|max|top-[1-9]\d{0,5}|top-[1-9]\d?%)$")] | None = None
    other: bool | None = None


class _Encoder(_Said):
    name: str
    intended_use: str
    licence: str
    logit_scale: FiniteFloat | None = None


class _Knowledge(_Said):
    name: str
    modality: str | None = None
    reviewed: _Count
    descriptions: _Count


class _SetAside(_Said):
    image: str
    reason: str


class _Unit(_Said):
    id: str
    kind: str
    instances: _Count
    notes: list[str]


class _Site(_Said):
    pictures: _Count
    shift: FiniteFloat
    far_from: FiniteFloat
    spread: FiniteFloat
    prior: FiniteFloat
    far: bool
    unlike: FiniteFloat | None = None


class _Contradicted(_Said):
    key: str
    text: str
    instead: str
    score: FiniteFloat


class _Summary(_Said):
    kpl_run: int
    multi_label: bool = False
    plan: _Plan
    plan_hash: str
    encoder: _Encoder
    knowledge: _Knowledge
    classes: dict[str, _Count]
    set_aside: list[_SetAside]
    warnings: list[str]
    other_files: _Count
    versions: dict[str, str]
    without_any: _Count | None = None
    none_of_these: _Count | None = None
    estimated_prior: dict[str, FiniteFloat] | None = None
    units: list[_Unit] | None = None
    asked: dict[str, Any] | None = None
    site: _Site | None = None
    contradicted: list[_Contradicted] | None = None
    thresholds: dict[str, FiniteFloat] | None = None


def read_summary(path: Path) -> dict[str, Any]:
    """Read what a run folder says of its run.

    Raises:
        FeaturesError: there is no such file, it does not say what a run says, or it is of a later version.
    """
    try:
        with (path / RUN_FILE).open("rb") as file:
            text = file.read(_BYTES + 1)
        if len(text) > _BYTES:
            raise ValueError("too long")
        summary: dict[str, Any] = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise FeaturesError(
            f"{str(path)!r} is no finished run of `kpl classify`: its {RUN_FILE} cannot be read"
        ) from error
    stated = summary.get("kpl_run") if isinstance(summary, dict) else None
    if isinstance(stated, int) and stated > FORMAT:
        raise FeaturesError(
            f"{str(path)!r} is a run of format {stated}, of a later version of KPL, and this one reads up to {FORMAT}: "
            "install the newest, or classify again"
        )
    try:
        _Summary.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:80] or "the file"
        raise FeaturesError(
            f"{str(path)!r}: its {RUN_FILE} was changed or is damaged ({where}: {first['msg']}): classify again"
        ) from error
    further = set(summary) - {*_Summary.model_fields, *_SHOWN}
    summary["warnings"] += further_keys(RUN_FILE, further)
    return summary


def check_rows(path: Path, name: str, rows: NDArray[Any], dim: int) -> None:
    """Refuse features of texts that are not (m, dim) finite numbers.

    Raises:
        FeaturesError: they are not.
    """
    if rows.ndim != 2 or rows.shape[1] != dim or not len(rows) or rows.dtype.kind != "f" or not np.isfinite(rows).all():
        raise FeaturesError(
            f"{str(path)!r}: its texts {name!r} are {rows.dtype} of the shape {rows.shape}, or not finite; "
            f"(m, {dim}) finite numbers are read: classify again"
        )
