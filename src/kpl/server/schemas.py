"""What the service answers, as the OpenAPI document states it."""

from __future__ import annotations

from typing import Literal

from kpl.report import How
from kpl.server.jobs import State
from kpl.server.said import Said, UnitsInfo, example

_EACH = {"label": [0, 1], "confidence": [0.91, 0.64], "runner_up": [1, 0], "share": [0.5, 0.5], "order": [0, 1]}


class Problem(Said):
    """Why a request was not done."""

    model_config = example(detail="no such session: it was ended, or not used for long; begin another")

    detail: str
    """One sentence for people: what failed, what is allowed, what to do next."""


class Health(Said):
    """The service is there."""

    model_config = example(status="ok", version="0.1.0", largest_file=67108864)

    status: Literal["ok"]
    """Nothing else is ever said."""
    version: str
    """Of KPL."""
    largest_file: int
    """Bytes of the largest picture or medical file that is taken; larger ones are for `kpl classify`."""


class EncoderInfo(Said):
    """An encoder that is known by name."""

    model_config = example(
        name="mini", title="KPL mini", intended_use="...", limits="...", licence="...", modalities=["x"], here=True
    )

    name: str
    """By which a session asks for it."""
    title: str
    """For people."""
    intended_use: str
    """What it was made for."""
    limits: str
    """What it is not made for."""
    licence: str
    """Of its weights."""
    modalities: list[str]
    """Kinds of picture that it was trained on."""
    here: bool
    """Whether its files are here, so that a session can use it."""


class PackInfo(Said):
    """A knowledge pack: one that comes with KPL, or the user's own of that name."""

    model_config = example(
        name="blood-cells",
        own=False,
        version=1,
        title="Blood cells",
        modality="blood smear",
        classes=10,
        descriptions=80,
    )

    name: str
    """By which it is chosen."""
    own: bool
    """Whether it is the user's own file of that name."""
    version: int | None
    """Its version; null where the file says none."""
    title: str
    """For people."""
    modality: str | None
    """What kind of picture it is about."""
    classes: int
    """Number of its classes."""
    descriptions: int
    """Number of its sentences in all."""


class LeftOut(Said):
    """A file that was not taken."""

    model_config = example(name="notes.txt", reason="not a picture of a known kind")

    name: str
    """The user's name for it."""
    reason: str
    """Why, in one sentence."""


class Uploaded(Said):
    """What became of an upload."""

    model_config = example(added=[0, 1], left_out=[])

    added: list[int]
    """Places of the pictures in the session, from 0; by its place a picture is asked for."""
    left_out: list[LeftOut]
    """What was sent and is no picture."""


class SessionInfo(Said):
    """A session."""

    model_config = example(
        id="0123456789abcdef0123456789abcdef", encoder="mini", pictures=2, waiting=0, left_out=[],
        classes=["disc", "box"], classified=0,
    )  # fmt: skip

    id: str
    """Secret: who knows it may use the session."""
    encoder: str
    """Name of its encoder."""
    pictures: int
    """Number of pictures, and of units of medical files that are put together."""
    waiting: int
    """Medical files that the next job puts together: slices of one series become one unit."""
    left_out: list[LeftOut]
    """The last 500 files that were not taken."""
    classes: list[str]
    """Keys of the classes; empty until knowledge is chosen."""
    classified: int
    """Pictures that have a prediction."""


class PictureNames(Said):
    """Names of some pictures, from place `first` on."""

    model_config = example(first=0, names=["a.png", "b.png"])

    first: int
    """Place of the first of them."""
    names: list[str]
    """The user's names for them, made unique."""


class JobInfo(Said):
    """How far a job is."""

    model_config = example(
        id="0123456789abcdef0123456789abcdef", state="running", stage="reading pictures", done=1, total=2, error=""
    )

    id: str
    """Secret: who knows it may cancel the job."""
    state: State
    """Once it is done, failed or cancelled, nothing more happens."""
    stage: str
    """What is being done, in words."""
    done: int
    """Steps of this stage that are done."""
    total: int
    """Steps of this stage; 0 while they are not known."""
    error: str
    """What failed, in one sentence; empty otherwise."""


class Classified(Said):
    """One method's word on the pictures, one entry a picture in the order of their places."""

    model_config = example(**_EACH)

    label: list[int]
    """Place of the class in `classes`."""
    confidence: list[float]
    """Probability of that class."""
    runner_up: list[int]
    """Place of the second class."""
    share: list[float]
    """Of the pictures that went to each class, one entry a class; those that are none of these went to none."""
    order: list[int]
    """Places of the pictures, the surest first, by exact scores: confidences are rounded."""


class Unlabelled(Said):
    """A picture that does not have the label of its likeliest class."""

    model_config = example(place=1, why="no label given")

    place: int
    """Of the picture."""
    why: str
    """In words: no label given, or none of these."""


class ContradictedInfo(Said):
    """A description that the pictures contradict."""

    model_config = example(key="disc", text="a square outline", instead="box", score=3.2)

    key: str
    """Of its class."""
    text: str
    """The sentence."""
    instead: str
    """Key of the class whose pictures support it most."""
    score: float
    """How much more it looks like one of another class; zero is the average."""


class Predictions(Said):
    """What KPL and the text proxies say with the settings in use."""

    model_config = example(
        classes=["disc", "box"], names=["disc", "box"], k=5, most=8, prior=[0.6, 0.4], estimated_prior=[0.6, 0.4],
        by_hand=False, fixed=False, unlike=None, units=None, kpl=_EACH, text=_EACH, warnings=[], contradicted=[],
        calibrated=False, least=0.0, thresholds={"box": 0.9}, unlabelled=[{"place": 1, "why": "no label given"}],
    )  # fmt: skip

    classes: list[str]
    """Keys of the classes, in order."""
    names: list[str]
    """Their names, in the same order."""
    k: int
    """Descriptions retrieved per class."""
    most: int
    """Descriptions of the class that has most."""
    prior: list[float]
    """The class prior in use, one share a class."""
    estimated_prior: list[float]
    """The class prior that was estimated from the pictures."""
    by_hand: bool
    """Whether the prior in use was set by hand."""
    fixed: bool
    """Whether it is of a finished run, whose settings stay."""
    unlike: list[float] | None
    """How unlike all classes each picture is: from 1 on it is none of these. Null where that was not asked for."""
    units: UnitsInfo | None
    """What is decided on; null where every picture stands for itself."""
    kpl: Classified
    """By Knowledge Proxy Learning: this is the result."""
    text: Classified
    """By the text proxies alone, to compare it with."""
    warnings: list[str]
    """What to know before believing it, in sentences."""
    contradicted: list[ContradictedInfo]
    """Descriptions that the pictures contradict, the worst first; none where the pictures cannot tell."""
    calibrated: bool
    """Whether the confidences were brought to what a few labels say."""
    least: float
    """Confidence below which a picture gets no label."""
    thresholds: dict[str, float]
    """The same of single classes by their keys, in the place of `least`."""
    unlabelled: list[Unlabelled]
    """Pictures that do not have the label of their class."""


class SentenceInfo(Said):
    """One description's part in a decision."""

    model_config = example(
        class_index=0, index=0, text="a round outline", text_share=0.02, text_excess=0.001, proxy_effect=None,
        winner_without=None,
    )  # fmt: skip

    class_index: int
    """Place of the class that it describes."""
    index: int
    """Its place among the descriptions of that class."""
    text: str
    """The sentence."""
    text_share: float
    """Its exact part of the text margin."""
    text_excess: float
    """Its share less that of the average picture; above zero speaks for the winner."""
    proxy_effect: float | None
    """By how much the margin of KPL falls when it learns without it; null where that was not asked."""
    winner_without: int | None
    """The class that the picture then goes to; null where that was not asked."""


class NearPicture(Said):
    """A picture of the session that is like another one."""

    model_config = example(place=1, name="b.png", cosine=0.93)

    place: int
    """Its place in the session."""
    name: str
    """The user's name for it."""
    cosine: float
    """Of the features of both."""


class SlideMap(Said):
    """What the tiles of a slide say of a class, to lie over the slide in the middle of a square of 112 units."""

    model_config = example(heat="data:image/png;base64,...", box=[0.0, 14.0, 112.0, 84.0], tiles=[[28.0, 28.0, 14.0]])

    heat: str
    """A picture as a data URI: the more opaque, the more it says of the class."""
    box: list[float]
    """Left, top, width and height of that picture."""
    tiles: list[list[float]]
    """Left, top and side of each of the tiles that are shown."""


class EvidenceInfo(Said):
    """Why a picture went to its class."""

    model_config = example(
        place=0, name="a.png", winner=0, runner_up=1, text_margin=0.02, proxy_margin=1.4, text_label=0, key=0,
        curve=[0.91], shown=[0], read="", slide=None, sentences=[], nearest_winner=[], nearest_runner_up=[],
    )  # fmt: skip

    place: int
    """Of the picture in the session."""
    name: str
    """The user's name for it."""
    winner: int
    """Place of the class that KPL gives it."""
    runner_up: int
    """Place of the second class."""
    text_margin: float
    """Cosine with the winner's text proxy minus the runner-up's: the sum of all text shares."""
    proxy_margin: float
    """KPL's score of the winner minus the runner-up's."""
    text_label: int
    """Place of the class that the text proxies alone give it."""
    key: int
    """Which of its pictures speaks loudest, from 0; 0 where it is one picture."""
    curve: list[float]
    """What each of its pictures says of the winner by itself, a probability."""
    shown: list[int]
    """Which of its pictures to look at: of a slide the loudest tiles, the key one first; of all else in order."""
    read: str
    """How it was read, in words: window or scale, and the patient's pseudonym; empty where there is nothing to say."""
    slide: SlideMap | None
    """Of a slide; null for all else, and where the places of its tiles are not known."""
    sentences: list[SentenceInfo]
    """All retrieved descriptions of both classes, those that speak for the winner first."""
    nearest_winner: list[NearPicture]
    """The nearest other pictures that went to the same class."""
    nearest_runner_up: list[NearPicture]
    """The nearest pictures that went to the runner-up."""


class MapCost(Said):
    """What a map of a picture takes."""

    model_config = example(how="hiding", choices=["hiding", "windows"], views=65, seconds=0.4)

    how: How
    """By what it would be made."""
    choices: list[How]
    """What the encoder allows, what suits it best first."""
    views: int
    """Pictures that the encoder reads for it."""
    seconds: float
    """About how long that takes."""
