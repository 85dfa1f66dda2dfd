"""What the service answers about scores, as the OpenAPI document states it."""

from __future__ import annotations

from kpl.server.said import Said, example

_FIGURES = {"figures": {"accuracy": 0.9, "auroc": None}, "intervals": {"accuracy": [0.8, 0.95], "auroc": None}}


class Figures(Said):
    """How good something is on the labelled pictures."""

    model_config = example(**_FIGURES)

    figures: dict[str, float | None]
    """Of each metric by its name; null where it does not exist."""
    intervals: dict[str, tuple[float, float] | None]
    """Of 95 %, the lower end and the upper; null where there is none."""


class ClassFigures(Figures):
    """How good a run of several labels a picture is on one class, at its threshold."""

    model_config = example(**_FIGURES, positives=3, n=12, threshold=0.5)

    positives: int
    """Labelled pictures that have the class."""
    n: int
    """Pictures of which the labels say whether they have it."""
    threshold: float
    """From which probability on the run says that it is there."""


class LevelFigures(Said):
    """How good the result is on the groups of one level above the classes, whose probabilities are summed."""

    model_config = example(level=1, names=["round", "box"], labelled=12, methods={"kpl": _FIGURES}, majority=_FIGURES)

    level: int
    """1 for the outermost."""
    names: list[str]
    """The groups, and the classes that have none there by their keys."""
    labelled: int
    """Pictures whose label names a class, or a group of this level or below it."""
    methods: dict[str, Figures]
    """As of the classes."""
    majority: Figures
    """Of always naming the commonest group."""


class ScoresInfo(Said):
    """What labels say of the result."""

    model_config = example(
        labelled=12, unit="12 images", methods={"kpl": _FIGURES}, classes={}, majority=_FIGURES, chance=0.5,
        levels=[], notices=[], truth=[0, None],
    )  # fmt: skip

    labelled: int
    """Pictures with a label that was scored."""
    unit: str
    """What the intervals are over: the patients, or the pictures."""
    methods: dict[str, Figures]
    """By Knowledge Proxy Learning, and by the text proxies alone; where there are several labels the means."""
    classes: dict[str, ClassFigures]
    """Of several labels a picture, each class by its key; empty where each has one."""
    majority: Figures
    """Of always naming the commonest class."""
    chance: float
    """Accuracy of guessing evenly."""
    levels: list[LevelFigures]
    """Where the classes form a tree. Where every label names a group, the other figures are of the innermost level that
    labels name, and it is not among these."""
    notices: list[str]
    """Which columns were taken, what was left out, and what stands against the result, in sentences."""
    truth: list[int | None]
    """Of each picture or unit the class that its label names, by its place; null for none."""


_HELD_OUT = {"nll": 0.8, "ece": 0.2, "brier": 0.4, "accuracy": 0.85}


class CalibrationInfo(Said):
    """What a few labels made of the confidences."""

    model_config = example(
        kind="temperature", temperature=1.8, unit="40 images", before=_HELD_OUT, after=_HELD_OUT, notices=["40 labels"]
    )

    kind: str
    """What fitted best to labels that were held out: none, temperature, or temperature+prior."""
    temperature: float
    """Above one takes confidence away."""
    unit: str
    """What was held out."""
    before: dict[str, float]
    """Of labels that were held out, as it was: nll, ece, brier, accuracy."""
    after: dict[str, float]
    """The same by calibrations that had not seen them."""
    notices: list[str]
    """Which columns were taken, and what was left out, in sentences."""
