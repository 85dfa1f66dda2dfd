"""What `/classify` answers."""

from __future__ import annotations

from kpl.server.schemas import Said, example

__all__ = ["OneShotAnswer"]


class OneShotAnswer(Said):
    """What a fitted model says of one picture, or of one unit of medical files; `error` says why there is nothing."""

    model_config = example(
        name="a.png", files=[0], kind="image", instances=1, key_instance=None, patient=None, notes=[], label="disc",
        confidence=0.91, probabilities={"disc": 0.91, "box": 0.09}, error=None,
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
    """Key of the class; null where the picture cannot be read."""
    confidence: float | None
    """Probability of that class; null where the picture cannot be read."""
    probabilities: dict[str, float]
    """Of every class by its key; empty where the picture cannot be read."""
    error: str | None
    """Why the picture cannot be read, in one sentence; null where it can."""
