"""A run as structured reports of DICOM: TID 1500, one document a study, one group of measurements a unit.

A report says the class, by the code that the knowledge gives it or else by one of its own scheme, the probability, and
by what algorithm; its source image is the picture that speaks loudest. It is partial, preliminary and unverified. The
run knows no patient: whose the study is says the source file, so that a report can be made only where that lies.
The same run and files give the same bytes: UIDs are made of what is said, the time is that of the run.
"""

from __future__ import annotations

import io
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from kpl.errors import InputError, PictureError, from_extra
from kpl.images import Instance
from kpl.images.dicom_study import study_of
from kpl.images.hushed import ignore_warnings_of
from kpl.runs import Run
from kpl.runs.folder import CORRECTIONS_FILE

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SCHEME: Final = "99KPL"
"""Codes that no public scheme has: the classes of a knowledge file, by their keys."""
_MEANING: Final = 64  # characters that DICOM gives to what a code means
_NO_ANSWER: Final = "no class of the knowledge"


@dataclass(frozen=True)
class Said:
    """What is said of one unit.

    Attributes:
        unit: its id.
        classes: class keys of the run's answer, each with its probability; empty where it gives none.
        settled: class keys that people settled on, empty for none of these; None where they did not.
    """

    unit: str
    classes: Mapping[str, float]
    settled: tuple[str, ...] | None


def as_reports(run: Run, said: Sequence[Said], source: Path) -> tuple[dict[PurePosixPath, bytes], int, tuple[str, ...]]:
    """Write a report for each study.

    Args:
        run: finished.
        said: of each unit, in the order of the run.
        source: where the studies are.

    Returns:
        File name to its bytes, how many units are in them, and the units whose files are not there, or are others now.

    Raises:
        MissingExtraError: the extra is not installed.
        InputError: no unit's file is there, or none is DICOM.
    """
    with from_extra("dicom-out", "writing reports of DICOM"):
        import highdicom  # noqa: F401 - asked before the studies are read
    ignore_warnings_of(r"highdicom|pydicom")  # they quote names that are written in an unusual way
    logging.getLogger("highdicom").setLevel(logging.CRITICAL)
    found = run.found_again(source, range(run.n))
    studies: dict[tuple[str, str], list[tuple[Said, Instance, Dataset]]] = {}
    missing, others, reason = [], 0, ""
    for row, each in enumerate(said):
        if row not in found:
            missing.append(each.unit)
            continue
        try:
            whose = study_of(found[row].path)
        except PictureError as error:
            others, reason = others + 1, str(error)
            missing.append(each.unit)
            continue
        key = (whose.StudyInstanceUID, whose.PatientID)
        studies.setdefault(key, []).append((each, found[row], whose))
    if not studies and others:
        raise InputError(f"the source files cannot carry a report of DICOM: {reason}; export to csv instead")
    if not studies:
        raise InputError(
            f"no file of the run is in {str(source)!r}, or all are others now: say where its studies are with --source"
        )
    writer = _Writer(run)
    width = max(4, len(str(len(studies))))
    made = {
        PurePosixPath(f"study-{number:0{width}d}.dcm"): writer.document(parts)
        for number, parts in enumerate(studies.values(), start=1)
    }
    return made, len(said) - len(missing), tuple(missing)


class _Writer:
    """Writes the documents of a run."""

    def __init__(self, run: Run) -> None:
        from highdicom.sr import AlgorithmIdentification, CodedConcept

        self.run = run
        self._kpl = version("knowledge-proxy-learning")
        knowledge = run.knowledge
        self._version = knowledge.content_hash()[:12]
        self._codes = {
            entry.key: CodedConcept(entry.code.value, entry.code.scheme, _text(entry.code.meaning))
            if entry.code
            else CodedConcept(_text(entry.key), SCHEME, _text(entry.name), self._version)
            for entry in knowledge.classes
        }
        self._none = CodedConcept("none", SCHEME, _NO_ANSWER)
        plan = run.plan
        self._algorithm = AlgorithmIdentification(
            name=f"KPL, method {run.method_name}",
            version=self._kpl,
            parameters=[
                f"encoder {plan['encoder']}",
                f"knowledge {_plain(knowledge.task.name)}, SHA-256 {knowledge.content_hash()}",
                f"run {run.summary['plan_hash']}",
            ],
        )
        self._trust = "calibrated" if plan.get("calibration") else "not calibrated"
        files = [run.predictions_file, run.path / CORRECTIONS_FILE]
        self._when = datetime.fromtimestamp(max(each.stat().st_mtime for each in files if each.exists()))

    def document(self, parts: Sequence[tuple[Said, Instance, Dataset]]) -> bytes:
        """Return the report of a study as a file."""
        from highdicom.coding_schemes import CodingSchemeIdentificationItem
        from highdicom.sr import (
            ComprehensiveSR,
            DeviceObserverIdentifyingAttributes,
            MeasurementReport,
            ObservationContext,
            ObserverContext,
        )
        from pydicom.sr.codedict import codes

        whose, plan_hash = parts[0][2], self.run.summary["plan_hash"]
        observer = DeviceObserverIdentifyingAttributes(
            uid=_uid("device", self._kpl, self.run.plan["encoder"]), name="KPL", model_name="KPL"
        )
        content = MeasurementReport(
            observation_context=ObservationContext(
                observer_device_context=ObserverContext(
                    observer_type=codes.DCM.Device, observer_identifying_attributes=observer
                )
            ),
            procedure_reported=codes.SCT.ImagingProcedure,
            imaging_measurements=[self._group(*part) for part in parts],
        )
        evidence = {each.SOPInstanceUID: each for _, _, each in parts}
        told = [(each.unit, sorted(each.classes.items()), each.settled) for each, _, _ in parts]
        day, time = self._when.date(), self._when.time()
        made = ComprehensiveSR(
            evidence=list(evidence.values()),
            content=content,
            series_instance_uid=_uid("series", whose.StudyInstanceUID, whose.PatientID, plan_hash),
            series_number=1,
            sop_instance_uid=_uid("report", plan_hash, whose.PatientID, *evidence, repr(told), str(self._when)),
            instance_number=1,
            manufacturer="KPL",
            manufacturer_model_name="KPL",
            software_versions=self._kpl,
            series_description="KPL: classes, not verified",
            specific_character_set="ISO_IR 192",
            content_date=day,
            content_time=time,
            coding_schemes=[
                CodingSchemeIdentificationItem(SCHEME, name="Classes of a knowledge file of KPL, by their keys")
            ],
        )
        made.InstanceCreationDate, made.InstanceCreationTime = made.ContentDate, made.ContentTime
        for equipment in made.ContributingEquipmentSequence:
            equipment.pop("ContributionDateTime", None)
        buffer = io.BytesIO()
        made.save_as(buffer)
        return buffer.getvalue()

    def _group(self, said: Said, instance: Instance, whose: Dataset) -> Any:  # noqa: ANN401 - of a library without types
        """Return the measurement group of a unit."""
        from highdicom.sr import (
            CodedConcept,
            Measurement,
            MeasurementsAndQualitativeEvaluations,
            QualitativeEvaluation,
            SourceImageForMeasurementGroup,
            TrackingIdentifier,
        )
        from pydicom.sr.codedict import codes

        by_model = CodedConcept("class", SCHEME, "Class, by the algorithm")
        by_people = CodedConcept("settled", SCHEME, "Class, settled by people")
        evaluations = [
            QualitativeEvaluation(name, self._codes[key] if key else self._none)
            for name, keys in ((by_people, said.settled), (by_model, tuple(said.classes)))
            if keys is not None
            for key in keys or ("",)
        ]
        measurements = [
            Measurement(
                name=CodedConcept("probability", SCHEME, _text(f"Probability, {self._trust}: {self._name(key)}")),
                value=round(probability, 6),
                unit=codes.UCUM.NoUnits,
            )
            for key, probability in said.classes.items()
        ]
        frames = None if instance.frame is None else [instance.frame + 1]  # a tile of a slide has a place instead
        return MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(
                uid=_uid("unit", self.run.summary["plan_hash"], whose.StudyInstanceUID, said.unit),
                identifier=_text(said.unit),
            ),
            algorithm_id=self._algorithm,
            qualitative_evaluations=evaluations,
            measurements=measurements or None,
            source_images=[SourceImageForMeasurementGroup(whose.SOPClassUID, whose.SOPInstanceUID, frames)],
        )

    def _name(self, key: str) -> str:
        return self.run.class_names[self.run.keys.index(key)]


def _uid(*parts: str) -> str:
    """Return a UID made of what it stands for, so that the same report has the same wherever it is written."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, chr(0).join(('kpl', *parts))).int}"


def _text(text: str) -> str:
    """Return what an element of DICOM may hold of a text: printable, without its sign between values, not too long.

    Example:
        >>> _text("small\\\\large")
        'small/large'
    """
    return _plain(text)[:_MEANING].strip() or "-"


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() and c != "\\" else "/" if c == "\\" else " " for c in text)
