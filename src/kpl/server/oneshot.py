"""Pictures that are classified at once by a fitted model: those of several requests go through the encoder together."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import encoder_identity, unit_rows
from kpl.encoders import Encoder
from kpl.errors import EncoderError, PictureError
from kpl.proxies.arrays import Floats
from kpl.runs import Model
from kpl.server.decoding import Decoders
from kpl.server.refusals import Busy
from kpl.server.zips import is_zip

__all__ = ["OneShot"]

_TOGETHER = 16
_SECONDS = 60.0


@dataclass
class _Asked:
    picture: NDArray[np.uint8]
    answer: Future[Floats]


class OneShot:
    """One fitted model, its encoder, and the thread that uses them."""

    def __init__(self, model: Model, decoders: Decoders) -> None:
        self.model = model
        self.encoder: Encoder = model.loaded_encoder()
        self.identity = encoder_identity(self.encoder)
        self._decoders = decoders
        self._queue: queue.Queue[_Asked | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="kpl-one-shot", daemon=True)
        self._thread.start()

    def classify(self, data: bytes) -> Floats:
        """Return the probability of each class, (C,), for the bytes of one picture.

        Raises:
            PictureError: it cannot be read.
            Busy: it took too long, or the server stops.
        """
        if is_zip(data):
            raise PictureError(
                "a zip archive: pictures only are classified at once; send those in it, or begin a session"
            )
        picture = self._decoders.pixels(data, 3 * self.encoder.card.image_size)
        asked = _Asked(picture, Future())
        self._queue.put(asked)
        try:
            return asked.answer.result(timeout=_SECONDS)
        except TimeoutError as error:
            raise Busy("the encoder has too much to do: try again in a moment") from error

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
            for asked, row in zip(lot, self._probabilities(lot) if lot else (), strict=True):
                asked.answer.set_result(row)
        except Exception as error:  # whoever asked hears of it; the thread must go on
            for asked in lot:
                asked.answer.set_exception(error)

    def _probabilities(self, lot: list[_Asked]) -> Floats:
        pictures = [asked.picture for asked in lot]
        features = self.encoder.encode_images(pictures)
        if features.shape != (len(pictures), self.encoder.card.dim):
            raise EncoderError(f"encoder {self.encoder.card.name!r} gave features of shape {features.shape}")
        return self.model.method.predict_proba(unit_rows(features, "the picture"))
