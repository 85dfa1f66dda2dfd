"""What a client sends as JSON, as the OpenAPI document states it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from kpl.evaluation import Reading
from kpl.knowledge import KnowledgeBase
from kpl.report import How
from kpl.server.said import Said, example

SIDE = "Side of a window, as a share of the picture's shorter side."
Share = Annotated[float, Field(ge=0.1, le=1, description=SIDE)]
Retrieved = Annotated[int, Field(ge=1, le=100_000)]


class _Asked(Said):
    """A body that a client sends: a key that is not known must not pass as silence."""

    model_config = ConfigDict(extra="forbid")


class _AsInAFile:
    """Stated as a knowledge file is, and read by what reads knowledge files, whose messages say where it is wrong."""

    @classmethod
    def __get_pydantic_json_schema__(cls, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Hand out the schema of knowledge files."""
        return handler(KnowledgeBase.__pydantic_core_schema__)


class Begin(_Asked):
    """Begin a session."""

    model_config = example(encoder="mini")

    encoder: Annotated[str, Field(max_length=200)] = "mini"
    """Name of an encoder that is here, see `GET /api/encoders`."""
    run: Annotated[str, Field(max_length=200)] | None = None
    """Name of a finished run to look at, see `GET /api/runs`; then the encoder is the run's own."""


class Choice(_Asked):
    """Knowledge: the name of a pack, or a knowledge base as a knowledge file says it. One of the two."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"pack": "blood-cells"},
                {
                    "knowledge": {
                        "kpl_knowledge": 2,
                        "task": {"name": "shapes"},
                        "classes": [
                            {"key": "disc", "descriptions": ["a round outline"]},
                            {"key": "box", "descriptions": ["four corners", "straight sides"]},
                        ],
                    }
                },
            ]
        }
    )

    pack: Annotated[str, Field(max_length=200)] | None = None
    """Name of a pack, see `GET /api/packs`."""
    knowledge: Annotated[dict[str, Any], _AsInAFile] | None = None
    """A knowledge base; every class needs a description."""
    insist: bool = False
    """Use it although the encoder was made for other pictures, or the knowledge does not state of which it is: what
    comes out means nothing without labels to check it. Left out, such knowledge is refused."""


class Start(_Asked):
    """Start to classify."""

    model_config = example(k=5)

    k: Retrieved | None = None
    """Descriptions retrieved per class; left out, what was asked for before of the same classes, else KPL's own."""


class Move(_Asked):
    """Look at the pictures with other settings; features stay as they are."""

    model_config = example(k=5, prior={"disc": 2, "box": 1}, least=0.6, thresholds={"box": 0.9}, other=True)

    k: Retrieved | None = None
    """Descriptions retrieved per class; left out, what is in use."""
    prior: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None
    """A share for each class key; they are made to sum to one. Left out, the estimated prior."""
    least: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    """Confidence below which a picture gets no label; left out, what is in use, at first none."""
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]] | None = None
    """The same for single classes, by their keys, in the place of `least`; left out, what is in use."""
    other: bool | None = None
    """Call pictures that are of no listed class "none of these", as `kpl classify --other` does; left out, what is in
    use, at first not."""


class Say(_Asked):
    """What a reader says of a picture."""

    model_config = example(by="Dr. A. Example", place=0, label="lymphocyte")

    by: Annotated[str, Field(min_length=1, max_length=200)]
    """Who says it."""
    place: Annotated[int, Field(ge=0, le=10**9)]
    """Of the picture."""
    label: Annotated[str, Field(min_length=1, max_length=1000)]
    """Key, name or alias of a class, "none of these", or "unsure"."""
    final: bool = False
    """Whether it settles what readers disagree on."""


class Draw(_Asked):
    """Map where a picture shows a class, by what the text says of the class."""

    model_config = example(class_index=0, how="hiding")

    class_index: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Place of the class; left out, the class that the picture went to."""
    how: How | None = None
    """By the encoder's patches; by hiding parts of the picture one by one; or by windows, each of which is looked at by
    itself, for pictures that show more than the encoder was made for. Left out, what suits the encoder."""
    window: Share = 0.5


_Title = Annotated[str, Field(max_length=1000)]


class HowRead(_Asked):
    """How a table of labels is read, where that is not plain: as the options of `kpl evaluate`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"label_column": "diagnosis"}]})

    image_column: Annotated[_Title | None, Field(description="Title of the column of images.")] = None
    image_pattern: Annotated[_Title | None, Field(description="How images are named by columns.")] = None
    label_column: Annotated[_Title | None, Field(description="Title of the column of labels.")] = None
    group_column: Annotated[_Title | None, Field(description="Title of what belongs together: patients.")] = None
    sheet: Annotated[_Title | None, Field(description="Of an Excel workbook with several.")] = None
    numbers: Annotated[
        Literal["order"] | None, Field(description="order: labels 0, 1, 2 are the classes in their order.")
    ] = None
    blank: Annotated[
        Literal["absent", "unknown"] | None, Field(description="What an empty cell says under a class.")
    ] = None
    uncertain: Annotated[Literal["ignore", "present", "absent"], Field(description="What -1 says under a class.")] = (
        "ignore"
    )
    none: Annotated[_Title | None, Field(description="The label that says that no class is there.")] = None
    readers: Annotated[
        Literal["majority", "any", "all"] | None, Field(description="What several lines of a picture say together.")
    ] = None
    reader_column: Annotated[_Title | None, Field(description="Title of the column of readers.")] = None
    ignore_unknown: Annotated[bool, Field(description="Leave out pictures whose label is no class.")] = False

    def reading(self) -> Reading:
        """Return it as the library takes it."""
        return Reading(**self.model_dump(exclude={"ignore_unknown"}))
