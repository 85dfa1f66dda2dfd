"""What `/classify` answers."""

from __future__ import annotations

from kpl.server.said import Said, example


class ModelSite(Said):
    """How far the pictures that a model was asked about since the start lie from those that it learnt from."""

    model_config = example(pictures=40, shift=0.41, far_from=0.17, spread=1.3, prior=0.2, far=True)

    pictures: int
    """How many were asked about."""
    shift: float
    """How far they lie from the means of their classes, all to one side; 1 is as far as a picture is on average."""
    far_from: float
    """The shift from which on it is beyond chance."""
    spread: float
    """How far they scatter around the means, squared; 1 is as the pictures learnt from do."""
    prior: float
    """Half the summed differences of the class shares, 0 to 1."""
    far: bool
    """Whether the shift is beyond chance: believe nothing of the answers without labels to check them."""


class ModelInfo(Said):
    """A fitted model that `/classify` uses."""

    model_config = example(
        name="cells", encoder="mini", method="kpl", classes=["disc", "box"], learnt_from=400, site=None
    )

    name: str
    """By which `/classify` is told to use it."""
    encoder: str
    """Name of the encoder that reads the pictures."""
    method: str
    """Name of the method that was fitted."""
    classes: list[str]
    """Keys of the classes, in order."""
    learnt_from: int
    """Number of pictures, none of them labelled, that it was fitted on."""
    site: ModelSite | None
    """How far the pictures asked about are from these; null for fewer than ten."""


class OneShotAnswer(Said):
    """What a fitted model says of one picture, or of one unit of medical files; `error` says why there is nothing."""

    model_config = example(
        name="a.png", files=[0], kind="image", instances=1, key_instance=None, patient=None, notes=[], label="disc",
        confidence=0.91, unlike=0.3, probabilities={"disc": 0.91, "box": 0.09}, error=None,
    )  # fmt: skip

    name: str
    """Of a picture as it was sent; units of medical files, and files left out beside them, have numbers."""
    files: list[int]
    """Places of the files that it was made of, in what was sent, from 0."""
    kind: str
    """image, series, volume or clip."""
    instances: int
    """Pictures of it that were read: slices or frames."""
    key_instance: int | None
    """Which of these, from 0, speaks loudest for the label; null for a single picture."""
    patient: str | None
    """A keyed hash of the patient's number; null where the files name nobody."""
    notes: list[str]
    """What to know of how it was read, in sentences."""
    label: str | None
    """Key of the class, or "none of these" if asked for; null where the picture cannot be read."""
    confidence: float | None
    """Probability of the likeliest class; null where the picture cannot be read."""
    unlike: float | None
    """How unlike all classes it is, from 1 on none of these; null where it cannot be read, or the model's method knows
    no distance from its classes."""
    probabilities: dict[str, float]
    """Of every class by its key; empty where the picture cannot be read."""
    error: str | None
    """Why the picture cannot be read, in one sentence; null where it can."""
