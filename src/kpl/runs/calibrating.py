"""Calibrate a run on a few labelled pictures, and keep the result as a file that a later run applies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kpl.bounded import read_bounded
from kpl.errors import InputError, LabelsError
from kpl.evaluation import Calibration, Reading, calibrate_by_labels, unit_told
from kpl.files import write_file
from kpl.progress import Progress
from kpl.proxies.arrays import Floats, softmax
from kpl.runs.conformal import ConformalSets, find_sets
from kpl.runs.opening import open_run
from kpl.runs.run import Run
from kpl.runs.single_label import SingleLabelRun
from kpl.runs.units import fit_on


class CalibrationFile(BaseModel):
    """What `kpl calibrate` writes: a calibration, what it is for, and what it did to labels it was not fitted on."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kpl_calibration: Literal[1] = 1
    encoder: str
    knowledge: str
    method: str
    settings: dict[str, Any]
    model: str | None = None
    """SHA-256 of the model that the run used, if it used one."""
    kind: str
    temperature: float = Field(gt=0, allow_inf_nan=False)
    bias: dict[str, float]
    labelled: int
    folds: int
    unit: str = ""
    """What was held out, in words."""
    before: dict[str, float]
    after: dict[str, float]
    sets: ConformalSets | None = None
    """Sets of classes of a stated coverage, if they were asked for."""

    def content_hash(self) -> str:
        """Return the SHA-256 (hexadecimal) of the file's content."""
        unsaid = {"sets"} if self.sets is None else set()
        return hashlib.sha256(self.model_dump_json(exclude=unsaid).encode()).hexdigest()

    def for_run(
        self,
        *,
        encoder: str,
        knowledge: str,
        method: str,
        settings: dict[str, Any],
        keys: list[str],
        model: str | None = None,
    ) -> Calibration:
        """Return the calibration for a run with this plan and these C class keys.

        Raises:
            InputError: it was made for another encoder, knowledge, method, model or settings.
        """
        wanted = {"encoder": encoder, "knowledge": knowledge, "method": method}
        for what, value in wanted.items():
            if (own := getattr(self, what)) != value:
                raise InputError(
                    f"the calibration is for {what} {own}, not for {value}: run kpl calibrate on a run of this {what}"
                )
        if self.model != model:
            own, asked = (
                f"model {each[:12]}" if each else "a method that learns from its pictures"
                for each in (self.model, model)
            )
            raise InputError(f"the calibration is for {own}, not for {asked}: run kpl calibrate on a run of this kind")
        if other := sorted(name for name in settings if self.settings.get(name) != settings[name]):
            name = other[0]
            raise InputError(
                f"the calibration is for {method} with {name} = {self.settings.get(name)}, not {settings[name]}: "
                "use the same settings, or run kpl calibrate again"
            )
        return Calibration(self.temperature, np.array([self.bias[key] for key in keys]))


@dataclass(frozen=True)
class CalibrationResult:
    """A calibration as it was written, and what the labels gave cause to say."""

    file: CalibrationFile
    notices: tuple[str, ...]
    unit: str
    """What was held out, in words: "25 patients by 'patient_id', 240 images"."""


def calibrate(
    target: str | Path | Run,
    *,
    labels: str | Path,
    out: str | Path,
    sets: float | None = None,
    ignore_unknown: bool = False,
    reading: Reading | None = None,
    progress: Progress | None = None,
) -> CalibrationResult:
    """Calibrate a run's probabilities on a few labelled pictures and write the calibration.

    The method learns anew from the run's features, without the labels; of a run that used a model, which learnt from
    other pictures, the scores are taken that the run kept.

    Args:
        target: a run folder of `kpl classify`.
        labels: as for `evaluate`; ten pictures or more.
        out: the file to write.
        sets: also find sets of classes that hold the true one with this probability, such as 0.9.
        ignore_unknown: leave pictures out whose label is no class of the knowledge.
        reading: which columns of a table of labels are which, and what cells mean, where that is not plain.
        progress: told "method" before and after learning.

    Raises:
        FeaturesError, LabelsError: a target or labels that cannot be used.
        InputError: a run with a model that is calibrated already, or kept no scores.
        OutputError: the file cannot be written.
    """
    run = target if isinstance(target, Run) else open_run(target)
    if not isinstance(run, SingleLabelRun):
        raise LabelsError("a multi-label run has a threshold a class to choose: use kpl.calibrate_multi_label")
    truth = run.labels(labels, ignore_unknown=ignore_unknown, reading=reading)
    plan = run.plan
    if progress:
        progress("method", 0, 1)
    said = _probabilities(run)
    report = calibrate_by_labels(truth.labels, said, groups=truth.groups)
    found = None if sets is None else find_sets(truth.labels, said, sets, truth.groups)
    if progress:
        progress("method", 1, 1)
    file = CalibrationFile(
        encoder=plan["encoder"],
        knowledge=plan["knowledge"],
        method=plan["method"],
        settings=plan["settings"],
        model=plan.get("model"),
        kind=report.kind,
        temperature=report.calibration.temperature,
        bias=dict(zip(run.keys, report.calibration.bias.tolist(), strict=True)),
        labelled=report.n,
        folds=report.folds,
        unit=unit_told(report.n, report.units),
        before=report.before,
        after=report.after,
        sets=found,
    )
    unsaid = {"sets"} if found is None else set()
    write_file(Path(out), (file.model_dump_json(indent=1, exclude=unsaid) + "\n").encode())
    unit = unit_told(report.n, report.units, truth.group_column)
    return CalibrationResult(file, (*([truth.said] if truth.said else []), *truth.notices), unit)


def _probabilities(run: SingleLabelRun) -> Floats:
    """What the run's method says of its pictures before any calibration, (n, C)."""
    if not run.plan.get("model"):
        method = run.fresh_method()
        method.fit(run.features, run.texts(method), weights=fit_on(method, run.features))
        return softmax(run.pooled(method.logits(run.features)))
    if run.predictions.ranking is None:
        raise InputError(f"{str(run.path)!r} kept no scores, as runs of an earlier version: classify again")
    if run.plan.get("calibration"):
        raise InputError("the scores of a run with --model are needed as they were: classify without --calibration")
    return run.predictions.probabilities


def load_calibration(path: str | Path) -> CalibrationFile:
    """Read what `calibrate` wrote.

    Raises:
        InputError: the file cannot be read, or is no calibration.
    """
    try:
        return CalibrationFile.model_validate_json(read_bounded(Path(path)))
    except OSError as error:
        raise InputError(f"cannot read the calibration {str(path)!r}: {error.strerror}") from error
    except ValidationError as error:
        raise InputError(
            f"{str(path)!r} is no calibration of `kpl calibrate` for one label a picture: make it again"
        ) from error
