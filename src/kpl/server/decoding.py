"""Pictures from strangers are decoded in processes of their own, which are ended when they take too long.

A worker gets bytes and gives bytes, length first: nothing that a broken decoder could send back is ever unpickled.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import queue
import signal
import struct
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpl.errors import PictureError
from kpl.images import decode
from kpl.server.limits import Limits
from kpl.server.refusals import Busy
from kpl.server.studies import Files, How, plan_units, read_instance

THUMBNAIL_SIDE = 160
"""Pixels of the longer side."""

_PIXELS, _FILES, _UNITS, _INSTANCE, _REFUSED = b"P", b"F", b"U", b"I", b"E"
_HEAD = struct.Struct("<cII")  # what is asked, the side to shrink to, pixels allowed
_SIZES = struct.Struct("<II")
_PLANNED_AT_ONCE = 100  # files whose headers are read within the time for one picture


@dataclass(frozen=True)
class Kept:
    """A picture as the service keeps it, both files written by KPL itself.

    Attributes:
        png: the picture, shrunken to what its encoder can see.
        thumbnail: a JPEG of at most `THUMBNAIL_SIDE` pixels.
    """

    png: bytes
    thumbnail: bytes


def _kept(answer: bytes) -> Kept:
    first, second = _SIZES.unpack_from(answer, 1)
    body = answer[1 + _SIZES.size :]
    if len(body) != first + second:
        raise PictureError("damaged: its data cannot be decoded")
    return Kept(body[:first], body[first:])


class Decoders:
    """A few processes that decode, each with a time limit a picture."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._idle: queue.Queue[_Worker] = queue.Queue()
        self._closed = False
        for _ in range(limits.workers):
            self._idle.put(_Worker(limits.worker_bytes))

    def keep(self, data: bytes, shrink_to: int) -> Kept:
        """Decode a picture and write it anew.

        Args:
            data: the file.
            shrink_to: see `kpl.images.decode`.

        Raises:
            PictureError: it cannot be read, or not within the limits.
            Busy: all processes are at work for too long.
        """
        return _kept(self._ask(_FILES, data, shrink_to))

    def plan(self, files: Files, how: How) -> dict[str, Any]:
        """Put medical files together to units by their headers; see `kpl.server.studies.plan_units`.

        Raises:
            PictureError: it takes too long, or stops the process.
            Busy: all processes are at work for too long.
        """
        seconds = self._limits.decode_seconds * (1 + len(files) / _PLANNED_AT_ONCE)
        found: dict[str, Any] = json.loads(self._ask(_UNITS, json.dumps([list(files), how]).encode(), 0, seconds)[1:])
        return found

    def instance(self, files: Files, how: How, unit: int, place: int | None, shrink_to: int) -> Kept:
        """Read one instance of a unit that these files make up, or a slide small, and write it anew.

        See `kpl.server.studies.read_instance`; errors as in `keep`.
        """
        seconds = self._limits.decode_seconds * (1 + len(files) / _PLANNED_AT_ONCE)
        asked = json.dumps([list(files), how, unit, place]).encode()
        return _kept(self._ask(_INSTANCE, asked, shrink_to, seconds))

    def pixels(self, data: bytes, shrink_to: int) -> NDArray[np.uint8]:
        """Decode a picture to (height, width, 3); arguments and errors as in `keep`."""
        answer = self._ask(_PIXELS, data, shrink_to)
        height, width = _SIZES.unpack_from(answer, 1)
        values = np.frombuffer(answer, dtype=np.uint8, offset=1 + _SIZES.size)
        if values.size != height * width * 3:
            raise PictureError("damaged: its data cannot be decoded")
        return values.reshape(height, width, 3)

    def close(self) -> None:
        """End all processes that are idle; the others end when they are given back."""
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().end()

    def _ask(self, what: bytes, data: bytes, shrink_to: int, seconds: float | None = None) -> bytes:
        if len(data) > self._limits.file_bytes:
            raise PictureError(
                f"file of {len(data) >> 20} MiB: at most {self._limits.file_bytes >> 20} MiB are taken here; leave it "
                "where it is, and read it there with kpl classify: kpl serve --run RUN shows the result"
            )
        if not data:
            raise PictureError("empty file (0 bytes)")
        try:
            worker = self._idle.get(timeout=2 * self._limits.decode_seconds)
        except queue.Empty as error:
            raise Busy("all decoders are at work: try again in a moment") from error
        answer = None
        message = _HEAD.pack(what, shrink_to, self._limits.pixels) + data
        try:
            for _ in range(2):  # a process may be ended by what is not the picture's doing, so another is asked
                worker = self._living(worker)
                answer = worker.ask(message, seconds or self._limits.decode_seconds)
                if answer is not None:
                    break
            began = worker.ready
        finally:
            worker = self._living(worker)
            if self._closed:
                worker.end()
            else:
                self._idle.put(worker)
        if answer is None and not began:
            raise Busy("the decoders do not start: try again in a moment")
        if answer is None:
            raise PictureError("stops the decoder, twice: it needs too much memory, or is made to do harm")
        if answer[:1] != what or len(answer) < 1 + _SIZES.size:
            reason = answer[1:].decode("utf-8", "replace") if answer[:1] == _REFUSED else "damaged"
            raise PictureError(reason[:300])
        return answer

    def _living(self, worker: _Worker) -> _Worker:
        """Return a worker, or another in its place where it has died."""
        if worker.alive or self._closed:
            return worker
        worker.end()
        return _Worker(self._limits.worker_bytes)


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, memory: int) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(target=work, args=(theirs, memory), daemon=True)
        self._process.start()
        theirs.close()
        self.ready = False
        self.alive = True

    def ask(self, message: bytes, seconds: float) -> bytes | None:
        """Send a picture and wait for the answer; None from a process that died of it, or was ended meanwhile."""
        try:
            if not self.ready:
                self._wait_until_ready()
            started = time.monotonic()
            self._pipe.send_bytes(message)
            if not self._pipe.poll(max(0.0, seconds - (time.monotonic() - started))):
                self.alive = False
                return _REFUSED + f"takes longer than {seconds:g} s to decode".encode()
            return self._pipe.recv_bytes()
        except (OSError, EOFError):
            self.alive = False
            return None

    def _wait_until_ready(self) -> None:
        """The first start of a process imports what it needs, which is no picture's fault."""
        if not self._pipe.poll(60) or self._pipe.recv_bytes() != b"ready":
            raise EOFError
        self.ready = True

    def end(self) -> None:
        """Kill the process and close the pipe."""
        self.alive = False
        if self._process.is_alive():
            self._process.kill()
        self._process.join(5)
        self._pipe.close()


def work(pipe: Connection, memory: int) -> None:
    """Decode what comes through the pipe until it closes: the whole life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends its workers
    logging.disable()  # what decoders complain of is answered to who sent it
    _limit_memory(memory)
    pipe.send_bytes(b"ready")
    while True:
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        pipe.send_bytes(_answer(message))


def _limit_memory(memory: int) -> None:
    if os.name == "posix":
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(message: bytes) -> bytes:
    what, shrink_to, allowed = _HEAD.unpack_from(message)
    try:
        if what == _UNITS:
            planned: bytes = plan_units(*json.loads(message[_HEAD.size :]))
            return _UNITS + planned
        if what == _INSTANCE:
            picture = read_instance(*json.loads(message[_HEAD.size :]), shrink_to=shrink_to, max_pixels=allowed)
        else:
            picture = decode(message[_HEAD.size :], shrink_to=shrink_to, max_pixels=allowed)
        if what == _PIXELS:
            return _PIXELS + _SIZES.pack(*picture.shape[:2]) + picture.tobytes()
        png, small = io.BytesIO(), io.BytesIO()
        image = Image.fromarray(picture)
        image.save(png, "PNG", compress_level=1)
        image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        image.save(small, "JPEG", quality=80)
        return bytes(what) + _SIZES.pack(png.tell(), small.tell()) + png.getvalue() + small.getvalue()
    except PictureError as error:
        return _REFUSED + str(error).encode("utf-8", "replace")
    except (MemoryError, ValueError, OSError):  # one row of a million pixels has no thumbnail
        return _REFUSED + b"damaged, or of a shape that cannot be shown"
