"""What goes over the wire, as the OpenAPI document states it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from kpl.report import How

__all__ = [
    "Begin",
    "Choice",
    "Classified",
    "Draw",
    "EncoderInfo",
    "EvidenceInfo",
    "Health",
    "JobInfo",
    "LeftOut",
    "MapCost",
    "ModelInfo",
    "Move",
    "NearPicture",
    "OneShotAnswer",
    "PackInfo",
    "PictureNames",
    "Predictions",
    "Problem",
    "SentenceInfo",
    "SessionInfo",
    "Share",
    "Start",
    "Uploaded",
]


class _Asked(BaseModel):
    """A body that a client sends: a key that is not known must not pass as silence."""

    model_config = ConfigDict(extra="forbid")


Share = Annotated[float, Field(ge=0.1, le=1, description="Side of a window, as a share of the picture's shorter side.")]


class Problem(BaseModel):
    """Why a request was not done: what failed, what is allowed, what to do next."""

    detail: str


class Health(BaseModel):
    """The service is there."""

    status: str
    version: str


class EncoderInfo(BaseModel):
    """An encoder that is known by name."""

    name: str
    title: str
    intended_use: str
    limits: str
    licence: str
    modalities: list[str]
    here: bool
    """Whether its files are here."""


class PackInfo(BaseModel):
    """A knowledge pack: one that comes with KPL, or the user's own of that name."""

    name: str
    own: bool
    version: int | None
    title: str
    modality: str | None
    classes: int
    descriptions: int


class ModelInfo(BaseModel):
    """A fitted model that `/classify` uses."""

    name: str
    encoder: str
    method: str
    classes: list[str]
    learnt_from: int


class Begin(_Asked):
    """Begin a session."""

    encoder: Annotated[str, Field(max_length=200)] = "mini"


class Choice(_Asked):
    """Knowledge: the name of a pack, or a knowledge base as a knowledge file says it. One of the two."""

    pack: Annotated[str, Field(max_length=200)] | None = None
    knowledge: dict[str, Any] | None = None


class Start(_Asked):
    """Start to classify."""

    k: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Descriptions retrieved per class; left out, what was asked for before of the same classes, else KPL's own."""


class Move(_Asked):
    """Look at the pictures with other settings; features stay as they are."""

    k: Annotated[int, Field(ge=1, le=100_000)] | None = None
    prior: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None
    """A share for each class key; they are made to sum to one. Left out, the estimated prior."""


class LeftOut(BaseModel):
    """A file that was not taken."""

    name: str
    reason: str


class Uploaded(BaseModel):
    """What became of an upload."""

    added: list[int]
    """Places of the pictures, from 0."""
    left_out: list[LeftOut]


class SessionInfo(BaseModel):
    """A session."""

    id: str
    encoder: str
    pictures: int
    left_out: list[LeftOut]
    classes: list[str]
    classified: int
    """Pictures that have a prediction."""


class PictureNames(BaseModel):
    """Names of some pictures, from place `first` on."""

    first: int
    names: list[str]


class JobInfo(BaseModel):
    """A job: queued, running, done, failed or cancelled."""

    id: str
    state: str
    stage: str
    done: int
    total: int
    error: str


class Classified(BaseModel):
    """One method's word on the pictures, a column each."""

    label: list[int]
    """Place of the class."""
    confidence: list[float]
    runner_up: list[int]
    share: list[float]
    """Of the pictures, one a class."""


class Predictions(BaseModel):
    """What KPL and the text proxies say with the settings in use."""

    classes: list[str]
    names: list[str]
    k: int
    most: int
    """Descriptions of the class that has most."""
    prior: list[float]
    estimated_prior: list[float]
    by_hand: bool
    """Whether the prior in use was set by hand."""
    kpl: Classified
    text: Classified
    warnings: list[str]


class SentenceInfo(BaseModel):
    """One description's part in a decision."""

    class_index: int
    index: int
    text: str
    text_share: float
    """Its exact part of the text margin."""
    text_excess: float
    """Its share less that of the average picture; above zero speaks for the winner."""
    proxy_effect: float | None
    """By how much the margin of KPL falls when it learns without it; null where that was not asked."""
    winner_without: int | None
    """The class that the picture then goes to; null where that was not asked."""


class NearPicture(BaseModel):
    """A picture of the session that is like another one."""

    place: int
    name: str
    cosine: float


class EvidenceInfo(BaseModel):
    """Why a picture went to its class."""

    place: int
    name: str
    winner: int
    runner_up: int
    text_margin: float
    proxy_margin: float
    text_label: int
    sentences: list[SentenceInfo]
    nearest_winner: list[NearPicture]
    """The nearest other pictures that went to the same class."""
    nearest_runner_up: list[NearPicture]
    """The nearest pictures that went to the runner-up."""


class MapCost(BaseModel):
    """What a map of a picture takes."""

    how: How
    choices: list[How]
    """What the encoder allows, what suits it best first."""
    views: int
    """Pictures that the encoder reads for it."""
    seconds: float
    """About how long that takes."""


class Draw(_Asked):
    """Map where a picture shows a class, by what the text says of the class."""

    class_index: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Place of the class; left out, the class that the picture went to."""
    how: How | None = None
    """By the encoder's patches; by hiding parts of the picture one by one; or by windows, each of which is looked at by
    itself, for pictures that show more than the encoder was made for. Left out, what suits the encoder."""
    window: Share = 0.5


class OneShotAnswer(BaseModel):
    """What a fitted model says of one picture; `error` says why there is nothing."""

    name: str
    label: str | None
    confidence: float | None
    probabilities: dict[str, float]
    error: str | None
