"""Choose the thresholds of a multi-label run by a few labelled pictures, and keep them as a file for a later run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kpl.bounded import read_bounded
from kpl.errors import InputError, LabelsError
from kpl.evaluation import OperatingRule, Reading, ThresholdReport, choose_thresholds, unit_told
from kpl.files import write_file
from kpl.runs.multi_label import MultiLabelRun
from kpl.runs.opening import open_run
from kpl.runs.run import Run


class ThresholdsFile(BaseModel):
    """What `kpl calibrate` writes of a multi-label run: thresholds, what they are for, and how good they were."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kpl_thresholds: Literal[1] = 1
    encoder: str
    knowledge: str
    pool: str | None = None
    """How the scores of a unit's pictures were pooled; None where every picture stands for itself."""
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]]
    rule: str
    """What they were chosen for, in words."""
    labelled: int
    folds: int
    unit: str = ""
    """What was held out, in words."""
    before: dict[str, float]
    after: dict[str, float]

    def for_run(self, *, encoder: str, knowledge: str, pool: str | None) -> dict[str, float]:
        """Return class key to threshold for a run with this plan.

        Raises:
            InputError: they were chosen for another encoder, knowledge or pool.
        """
        for what, own, asked in (
            ("encoder", self.encoder, encoder),
            ("knowledge", self.knowledge, knowledge),
            ("pooling", self.pool, pool),
        ):
            if own != asked:
                raise InputError(
                    f"the thresholds are for {what} {own}, not for {asked}: run kpl calibrate on a run of this {what}"
                )
        return self.thresholds


@dataclass(frozen=True)
class ChosenThresholds:
    """Thresholds as they were written, each class by itself, and what the labels gave cause to say.

    Attributes:
        file: as it was written.
        report: of each class.
        before: class key to the threshold that the run had.
        notices: which columns were taken, and what was left out.
        unit: what was held out, in words: "25 patients by 'patient_id', 240 images".
    """

    file: ThresholdsFile
    report: ThresholdReport
    before: dict[str, float]
    notices: tuple[str, ...]
    unit: str


def calibrate_multi_label(
    target: str | Path | Run,
    *,
    labels: str | Path,
    out: str | Path,
    rule: OperatingRule | None = None,
    reading: Reading | None = None,
) -> ChosenThresholds:
    """Choose the thresholds of a multi-label run by a few labelled pictures, and write them.

    Args:
        target: a run folder of `kpl classify --multi-label`.
        labels: as for `evaluate`; ten pictures or more.
        out: the file to write.
        rule: the sensitivity or specificity that each class is to reach; None takes the largest sum of both.
        reading: which columns of a table of labels are which, and what cells mean, where that is not plain.

    Raises:
        FeaturesError, LabelsError: a target or labels that cannot be used.
        OutputError: the file cannot be written.
    """
    run = target if isinstance(target, Run) else open_run(target)
    if not isinstance(run, MultiLabelRun):
        raise LabelsError("a run of one label a picture has no thresholds of this kind: use kpl.calibrate")
    truth = run.labels(labels, reading=reading)
    report = choose_thresholds(
        truth.present, run.predictions.probabilities, run.thresholds.tolist(), groups=truth.groups, rule=rule
    )
    before = dict(zip(run.keys, run.thresholds.tolist(), strict=True))
    file = ThresholdsFile(
        encoder=run.plan["encoder"],
        knowledge=run.plan["knowledge"],
        pool=run.plan.get("pool"),
        thresholds={key: each.threshold for key, each in zip(run.keys, report.classes, strict=True)},
        rule="sensitivity + specificity" if rule is None else f"{rule.reach} of {rule.value:g}",
        labelled=report.n,
        folds=report.folds,
        unit=unit_told(report.n, report.units),
        before=report.mean("before"),
        after=report.mean("after"),
    )
    write_file(Path(out), (file.model_dump_json(indent=1) + "\n").encode())
    stay = [key for key, each in zip(run.keys, report.classes, strict=True) if each.positives in (0, each.n)]
    kept = f"the labels show one side only of {', '.join(stay)}, whose thresholds stay" if stay else ""
    notices = [each for each in (truth.said, *truth.notices, kept) if each]
    return ChosenThresholds(file, report, before, tuple(notices), unit_told(report.n, report.units, truth.group_column))


def load_thresholds(path: str | Path) -> ThresholdsFile:
    """Read what `calibrate_multi_label` wrote.

    Raises:
        InputError: the file cannot be read, or holds no thresholds.
    """
    try:
        return ThresholdsFile.model_validate_json(read_bounded(Path(path)))
    except OSError as error:
        raise InputError(f"cannot read the thresholds {str(path)!r}: {error.strerror}") from error
    except ValidationError as error:
        raise InputError(
            f"{str(path)!r} holds no thresholds of `kpl calibrate` on a multi-label run: make it again"
        ) from error
