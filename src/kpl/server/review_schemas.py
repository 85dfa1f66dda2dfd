"""What the service answers about corrections, as the OpenAPI document states it."""

from __future__ import annotations

from kpl.server.said import Said, example


class RunInfo(Said):
    """A finished run that a session may look at."""

    model_config = example(
        name="ward-3",
        title="200 pictures by kpl with mini",
        knowledge="blood cells",
        pictures=200,
        classes=10,
        several=False,
    )

    name: str
    """By which a session asks for it."""
    title: str
    """What was run."""
    knowledge: str
    """Name of the task."""
    pictures: int
    """Number of pictures, or of units of several."""
    classes: int
    """Number of classes."""
    several: bool
    """Whether it gives a picture several labels: such a run has findings in the place of predictions."""


class Corrected(Said):
    """What a reader said of a picture."""

    model_config = example(place=0, label="lymphocyte", final=False)

    place: int
    """Of the picture in the session."""
    label: str
    """Key of a class, "none of these", or "unsure"."""
    final: bool
    """Whether it settles what readers disagreed on."""


class OwnCorrections(Said):
    """What one reader said, the oldest first."""

    model_config = example(corrections=[])

    corrections: list[Corrected]
    """One for each picture; two where the reader also settled it."""


class ToRead(Said):
    """What to look at."""

    model_config = example(places=[4, 0])

    places: list[int]
    """Of pictures, that which tells most first."""


class Pair(Said):
    """How far two readers agree."""

    model_config = example(one="A", other="B", pictures=20, kappa=0.81)

    one: str
    """A reader."""
    other: str
    """Another one."""
    pictures: int
    """That both judged and were sure of."""
    kappa: float | None
    """Cohen's; null where it is not defined."""


class Disputed(Said):
    """A picture that readers disagree on."""

    model_config = example(place=0, name="a.png", said={"A": "lymphocyte", "B": "monocyte"})

    place: int
    """Of the picture in the session."""
    name: str
    """Its name."""
    said: dict[str, str]
    """Reader to what they said."""


class Readers(Said):
    """Who read how much, how far they agree, and what is to settle."""

    model_config = example(readers={"A": 20, "B": 20}, pairs=[], to_settle=[])

    readers: dict[str, int]
    """Reader to the number of pictures that they judged."""
    pairs: list[Pair]
    """Of readers."""
    to_settle: list[Disputed]
    """Pictures on which readers disagree and nobody has had the last word."""
