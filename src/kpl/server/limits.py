"""What the service refuses: sizes, numbers, pixels, times and rates."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from kpl.errors import InputError
from kpl.images import default_workers


@dataclass(frozen=True)
class Limits:
    """Bounds of the service; everything that comes in from outside meets one of them.

    Attributes:
        body_bytes: of one upload.
        json_bytes: of any other request, which is parsed in memory.
        share: of whatever is counted at once, as much as one address may take, at least one; of connections too.
        connections: at once; the next ones are told to come again.
        silent_seconds: for the whole head of a request, for each further part of its body, for its whole body, which
            has a second more for each `slowest` bytes of it that have come, and for each further part of an answer.
        slowest: bytes a second that a body may come with.
        refused_seconds: for which a connection that is one too many is still heard, so that its answer arrives.
        file_bytes: of one picture.
        files: in one request.
        pixels: of one picture, by its header.
        pictures: in one session.
        session_bytes: that one session keeps on disk.
        sessions: at once.
        idle_seconds: after which an unused session is removed.
        workers: processes that decode.
        decode_seconds: for one picture, then its process is ended.
        worker_bytes: memory of a decoding process, where the system can limit it.
        uploads: requests that upload at once.
        queue: jobs that wait.
        pending: one-shot requests at once.
        refits: explanations that learn again, at once.
        downloads: reports and models that are written at once.
        views: pictures that the encoder reads for one map of a picture.
        rate, burst: requests a second of one address, and how many may come together.
        zip_entries, zip_bytes, zip_ratio: files in an archive, bytes they unpack to, and to how many times their size.
        classes, descriptions, sentence: of a knowledge base: classes, sentences in all, characters of one.
        shutdown_seconds: for which a stopping server waits for what it has begun.

    Raises:
        InputError: a bound that is not above zero.
    """

    body_bytes: int = 256 << 20
    json_bytes: int = 4 << 20
    share: float = 0.5
    connections: int = 256
    silent_seconds: float = 20.0
    slowest: int = 64 << 10
    refused_seconds: float = 2.0
    file_bytes: int = 64 << 20
    files: int = 500
    pixels: int = 60_000_000
    pictures: int = 20_000
    session_bytes: int = 8 << 30
    sessions: int = 32
    idle_seconds: float = 3600.0
    workers: int = field(default_factory=lambda: min(4, default_workers()))
    decode_seconds: float = 10.0
    worker_bytes: int = 4 << 30
    uploads: int = 8
    queue: int = 8
    pending: int = 32
    refits: int = 2
    downloads: int = 2
    views: int = 400
    rate: float = 500.0
    burst: int = 1000
    zip_entries: int = 20_000
    zip_bytes: int = 2 << 30
    zip_ratio: int = 200
    classes: int = 500
    descriptions: int = 20_000
    sentence: int = 1000
    shutdown_seconds: int = 60

    def __post_init__(self) -> None:
        """Refuse a bound without a meaning."""
        for entry in fields(self):
            if getattr(self, entry.name) <= 0:
                raise InputError(f"the limit {entry.name} must be above zero, got {getattr(self, entry.name)}")

    def each(self, total: int) -> int:
        """Return how many of so many one address may have at once."""
        return max(1, int(self.share * total))
