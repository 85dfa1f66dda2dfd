"""What all answers of the service have in common, and what they say of units."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


def example(**values: Any) -> ConfigDict:  # noqa: ANN401 - JSON
    """Return what adds an example to a model."""
    return ConfigDict(json_schema_extra={"examples": [values]})


class Said(BaseModel):
    """What goes over the wire; the docstrings of its fields are their descriptions."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class UnitsInfo(Said):
    """What is decided on where it has several pictures, one entry each."""

    model_config = example(
        kind=["series", "image"], patient=["0b5e" * 8, None], instances=[24, 1],
        key_instance=["unit-0001#011", "a.png"],
        pool="top-5", other="mean", by_other=["", ""],
    )  # fmt: skip

    kind: list[str]
    """image, series, volume or clip."""
    instances: list[int]
    """Pictures of it that were read: slices, frames."""
    patient: list[str | None]
    """A keyed hash of the patient's number; null where the files say none."""
    key_instance: list[str]
    """Name of the picture that speaks loudest for its class."""
    pool: str
    """How what is said of the pictures becomes what is said of the unit."""
    other: str
    """Another way of that."""
    by_other: list[str]
    """Key of the class by the other way, where that is another; else empty."""
