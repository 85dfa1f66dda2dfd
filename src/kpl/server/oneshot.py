"""Pictures that are classified at once by a fitted model: those of several requests go through the encoder together.

Medical files of one request are put together to units, as a session does it.
"""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import encoder_identity, unit_rows
from kpl.encoders import Encoder
from kpl.errors import EncoderError, PictureError
from kpl.images import decode, ordered_map
from kpl.images.formats import PICTURE_SUFFIXES
from kpl.proxies.arrays import Floats, log_odds, softmax
from kpl.proxies.site import Arrivals
from kpl.runs import Model, Site
from kpl.runs.warnings import UNLIKE
from kpl.server.decoding import Decoders
from kpl.server.limits import Limits
from kpl.server.refusals import Busy
from kpl.server.studies import Files, How, hold_medical, how_of
from kpl.server.zips import is_zip

_TOGETHER = 16
_SECONDS = 60.0
_FEW = 10  # pictures of which nothing is said
_ZIP = "a zip archive: send the files in it, or begin a session"
_SLIDE = "a whole slide, whose tiles are too many to read at once: use `kpl classify`"


@dataclass(frozen=True)
class Answer:
    """What is said of one picture, or of one unit of medical files.

    Attributes:
        name: of a picture the user's; units and files that are left out beside them have numbers.
        files: places of the files that it was made of, in what was sent.
        said: probabilities (C,), or why there are none.
        unlike: how unlike all classes it is, from 1 on none of these; None of a model that knows no distance.
        kind: see `kpl.images.Unit`.
        instances: slices or frames that were read.
        key: of these the one that speaks loudest for the likeliest class.
        patient: a keyed hash, of medical files that say whose they are.
        notes: what to know of how it was read.
    """

    name: str
    files: tuple[int, ...]
    said: Floats | str
    unlike: float | None = None
    kind: str = "image"
    instances: int = 1
    key: int = 0
    patient: str | None = None
    notes: tuple[str, ...] = ()


@dataclass
class _Asked:
    picture: NDArray[np.uint8]
    answer: Future[tuple[Floats, float]]
    """Log probabilities (C,) up to a constant, and the distance from the nearest class; NaN where none is known."""


class OneShot:
    """One fitted model, its encoder, and the thread that uses them."""

    def __init__(self, model: Model, decoders: Decoders, limits: Limits) -> None:
        self.model = model
        self._limits = limits
        self.encoder: Encoder = model.loaded_encoder()
        self.identity = encoder_identity(self.encoder)
        self._decoders = decoders
        self._arrived = Arrivals(model.method.moments_, model.seen) if model.seen else None
        self._counting = threading.Lock()
        self._queue: queue.Queue[_Asked | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="kpl-one-shot", daemon=True)
        self._thread.start()

    def classify(self, files: Sequence[tuple[str, BinaryIO]], folder: Path) -> list[Answer]:
        """Say what files show, each by itself; medical ones are put together to units.

        Args:
            files: what the user calls each, and its bytes.
            folder: private; medical files lie in it for as long as this takes.

        Returns:
            In the order of the first files that they are made of; a file that cannot be read has its reason.

        Raises:
            Busy: it took too long, or the server stops.
        """
        lock, stems = threading.Lock(), dict[str, int]()
        found: list[Answer] = []
        held: list[tuple[int, str, str]] = []
        with tempfile.TemporaryDirectory(prefix="one-shot-", dir=folder) as place:

            def taken(item: tuple[int, tuple[str, BinaryIO]]) -> Answer | tuple[int, str, str]:
                at, (name, file) = item
                data = file.read(self._limits.file_bytes + 1)
                with lock:
                    fits = len(data) <= self._limits.file_bytes
                    path = hold_medical(name, data, f"{place}/", stems) if fits else None
                return Answer(name, (at,), *self._picture(data)) if path is None else (at, name, str(path))

            work = ordered_map(taken, enumerate(files), workers=self._limits.workers, look_ahead=8)
            for each in work:
                (found if isinstance(each, Answer) else held).append(each)  # type: ignore[arg-type]  # each to its own
            found += self._units(sorted(held, key=lambda each: each[1]))
        return _without_names(sorted(found, key=lambda answer: min(answer.files)), beside=bool(held))

    @property
    def _how(self) -> How:
        return how_of(self.model.knowledge.task, self.encoder.card)

    def _picture(self, data: bytes) -> tuple[Floats | str, float | None]:
        if is_zip(data):
            return _ZIP, None
        try:
            picture = self._decoders.pixels(data, 3 * self.encoder.card.image_size)
        except PictureError as error:
            return str(error), None
        logits, distances = self._asked([picture])
        return softmax(logits)[0], _unlike(distances[0])

    def _units(self, held: list[tuple[int, str, str]]) -> list[Answer]:
        """Put medical files, each with its place in the request, together to units, and say what these show."""
        if not held:
            return []
        files: Files = [(name, path) for _, name, path in held]
        try:
            told = self._decoders.plan(files, self._how)
        except PictureError as error:
            return [Answer("", (at,), str(error)) for at, _, _ in held]
        found = [Answer("", (held[item["file"]][0],), item["reason"]) for item in told["set_aside"]]
        for number, unit in enumerate(told["units"]):
            own = tuple(held[at][0] for at in dict.fromkeys(unit["files"]))
            found.append(self._unit(unit, number, files, own))
        return found

    def _unit(self, told: dict[str, Any], number: int, files: Files, own: tuple[int, ...]) -> Answer:
        if told["kind"] == "slide":
            return Answer("", own, _SLIDE)
        pictures, left = [], []
        for place in range(len(told["frames"])):
            try:
                kept = self._decoders.instance(files, self._how, number, place, 3 * self.encoder.card.image_size)
                pictures.append(decode(kept.png))
            except PictureError as error:
                left.append(str(error))
        if not pictures:
            return Answer("", own, left[0])
        rows, distances = self._asked(pictures)
        said = softmax(self.model.pooled(rows))[0]
        notes = (*told["notes"], *([f"{len(left)} of its pictures cannot be read: {left[0]}"] if left else []))
        key = int(log_odds(rows)[:, said.argmax()].argmax())
        unlike = _unlike(-self.model.pooled(-distances[:, None], apart=True)[0, 0])
        return Answer("", own, said, unlike, told["kind"], len(rows), key, told["patient"], notes)

    def _asked(self, pictures: list[NDArray[np.uint8]]) -> tuple[Floats, Floats]:
        """Return the log probabilities (n, C) of pictures, each row up to a constant, and their distances (n,)."""
        lot = [_Asked(picture, Future()) for picture in pictures]
        for asked in lot:
            self._queue.put(asked)
        try:
            said, distances = zip(*(asked.answer.result(timeout=_SECONDS) for asked in lot), strict=True)
            return np.stack(said), np.array(distances)
        except TimeoutError as error:
            raise Busy("the encoder has too much to do: try again in a moment") from error

    @property
    def site(self) -> Site | None:
        """How far the pictures that were asked about lie from those that the model learnt from; None for too few."""
        if self._arrived is None:
            return None
        with self._counting:
            moved = self._arrived.moved()
        return None if moved is None or moved.pictures < _FEW else Site.of(moved)

    def close(self) -> None:
        """Answer what was asked, then stop."""
        self._queue.put(None)
        self._thread.join(_SECONDS)

    def _run(self) -> None:
        last = False
        while not last:
            lot: list[_Asked] = []
            item = self._queue.get()
            while item is not None:
                lot.append(item)
                if len(lot) == _TOGETHER:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            last = item is None
            self._answer(lot)

    def _answer(self, lot: list[_Asked]) -> None:
        try:
            for asked, own in zip(lot, self._said(lot) if lot else (), strict=True):
                asked.answer.set_result(own)
        except Exception as error:  # whoever asked hears of it; the thread must go on
            for asked in lot:
                asked.answer.set_exception(error)

    def _said(self, lot: list[_Asked]) -> list[tuple[Floats, float]]:
        pictures = [asked.picture for asked in lot]
        features = self.encoder.encode_images(pictures)
        if features.shape != (len(pictures), self.encoder.card.dim):
            raise EncoderError(f"encoder {self.encoder.card.name!r} gave features of shape {features.shape}")
        rows, method = np.asarray(unit_rows(features, "the picture"), np.float64), self.model.method
        logits, distances = method.logits(rows), method.distances(rows)
        if self._arrived:
            with self._counting:
                self._arrived.add(rows, logits.argmax(axis=1))
        known = np.full(len(rows), np.nan) if distances is None else distances
        return list(zip(logits, known.tolist(), strict=True))


def _unlike(distance: float) -> float | None:
    return None if np.isnan(distance) else float(distance) / UNLIKE


def _without_names(answers: list[Answer], *, beside: bool) -> list[Answer]:
    """Give units numbers, and so what could not be read beside them: medical files may be called by a person."""
    found, units, left = [], 0, 0
    for answer in answers:
        own = answer.name and (not isinstance(answer.said, str) or _is_picture(answer.name) or not beside)
        if not own and isinstance(answer.said, str):
            left += 1
            found.append(replace(answer, name=f"file-{left:04d}"))
        elif not own:
            units += 1
            found.append(replace(answer, name=f"unit-{units:04d}"))
        else:
            found.append(answer)
    return found


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in PICTURE_SUFFIXES
