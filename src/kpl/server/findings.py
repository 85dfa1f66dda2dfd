"""The routes of a finished run of several labels a picture: which classes are there, and why."""

from __future__ import annotations

import numpy as np

from kpl.report import explain_classes
from kpl.server.api import Mine, Place
from kpl.server.document import HERE, guarded, problems
from kpl.server.opened import OpenedFindings
from kpl.server.refusals import Gone
from kpl.server.said import Said, example
from kpl.server.sessions import Session, check_place

_FOUND = problems(404, 422)
router = guarded()
_SENTENCE = {"text": "a bright rim", "against": "an even grey", "chance": 0.8, "share": 0.1}


class Findings(Said):
    """Which classes each picture of a run has."""

    model_config = example(
        classes=["edema", "mass"], names=["Edema", "Mass"], thresholds=[0.5, 0.4],
        probabilities=[[0.9, 0.1], [0.2, 0.3]], present=[[0], []], warnings=[],
    )  # fmt: skip

    classes: list[str]
    """Keys of the classes, in order."""
    names: list[str]
    """Their names, in the same order."""
    thresholds: list[float]
    """From which probability on each is there."""
    probabilities: list[list[float]]
    """Of each class, one entry a picture in the order of their places."""
    present: list[list[int]]
    """Places of the classes that a picture has, the likeliest first, one entry a picture."""
    warnings: list[str]
    """What to know before believing it, in sentences."""


class FoundSentence(Said):
    """One description's part in whether a class is there."""

    model_config = example(**_SENTENCE)

    text: str
    """The sentence."""
    against: str
    """What it is held against."""
    chance: float
    """Probability of the class by this pair alone."""
    share: float
    """Its exact part of the margin; above zero it speaks for presence."""


class Found(Said):
    """Why a picture has a class, or has it not."""

    model_config = example(
        name="Edema", present=True, probability=0.9, threshold=0.5, margin=2.2, sentences=[_SENTENCE]
    )

    name: str
    """Of the class."""
    present: bool
    """What the run says."""
    probability: float
    """Of the class."""
    threshold: float
    """From which probability on it is there."""
    margin: float
    """Logarithm of the probability's odds over the threshold's: the sum of the shares."""
    sentences: list[FoundSentence]
    """Those that speak for presence first."""


@router.get(f"{HERE}/findings", tags=["predictions"], responses=_FOUND)
def findings(session: Mine) -> Findings:
    """What a finished run of several labels a picture says of each."""
    opened = _opened(session)
    said = opened.run.predictions
    order = np.argsort(-said.probabilities, axis=1, kind="stable")
    return Findings.model_construct(
        classes=opened.keys,
        names=list(opened.run.class_names),
        thresholds=opened.run.thresholds.tolist(),
        probabilities=said.probabilities.round(4).tolist(),
        present=[row[there[row]].tolist() for row, there in zip(order, said.present, strict=True)],
        warnings=opened.warnings(),
    )


@router.get(f"{HERE}/pictures/{{place}}/findings", tags=["predictions"], responses=_FOUND)
def found_in(session: Mine, place: Place) -> list[Found]:
    """Why each class is there in a picture, or is not; those that are come first, the likeliest first."""
    opened = _opened(session)
    check_place(place, len(opened.ids))
    _, classes = explain_classes(opened.run, opened.ids[place])
    return [Found.model_validate({**vars(each), "name": each.class_name}, from_attributes=True) for each in classes]


def _opened(session: Session) -> OpenedFindings:
    if not isinstance(session.opened, OpenedFindings):
        raise Gone("what is looked at gives each picture one label: ask for its predictions")
    return session.opened
