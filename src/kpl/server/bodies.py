"""What a client sends as JSON, as the OpenAPI document states it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from kpl.knowledge import KnowledgeBase
from kpl.report import How
from kpl.server.schemas import Said, example

__all__ = ["Begin", "Choice", "Draw", "Move", "Share", "Start"]

Share = Annotated[float, Field(ge=0.1, le=1, description="Side of a window, as a share of the picture's shorter side.")]
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


class Start(_Asked):
    """Start to classify."""

    model_config = example(k=5)

    k: Retrieved | None = None
    """Descriptions retrieved per class; left out, what was asked for before of the same classes, else KPL's own."""


class Move(_Asked):
    """Look at the pictures with other settings; features stay as they are."""

    model_config = example(k=5, prior={"disc": 2, "box": 1})

    k: Retrieved | None = None
    """Descriptions retrieved per class; left out, what is in use."""
    prior: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None
    """A share for each class key; they are made to sum to one. Left out, the estimated prior."""


class Draw(_Asked):
    """Map where a picture shows a class, by what the text says of the class."""

    model_config = example(class_index=0, how="hiding")

    class_index: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Place of the class; left out, the class that the picture went to."""
    how: How | None = None
    """By the encoder's patches; by hiding parts of the picture one by one; or by windows, each of which is looked at by
    itself, for pictures that show more than the encoder was made for. Left out, what suits the encoder."""
    window: Share = 0.5
