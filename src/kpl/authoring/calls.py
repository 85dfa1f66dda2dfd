"""One call of a language model: what is asked, what is answered, and how it is kept on disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kpl.errors import LanguageModelError
from kpl.files import make_way, remove, write_file


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Request(_Record):
    """Everything on which an answer depends, and nothing else: not the server, not the key, not the time."""

    model: str
    system: str
    prompt: str
    form: dict[str, Any]
    """The JSON Schema of the answer, for a server that can hold a model to it."""
    temperature: float | None = None
    seed: int | None = None
    sample: int = 0
    extra: dict[str, Any] = {}
    """Further parameters for the server, as they are."""

    def address(self) -> str:
        """Return the SHA-256 (hexadecimal) of the request, under which its answer is kept.

        Example:
            >>> Request(model="m", system="", prompt="p", form={}).address()[:12]
            '0572261dce40'
        """
        said = self.model_dump(exclude=None if self.extra else {"extra"})
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


class Answer(_Record):
    """What a language model said, and what it cost."""

    text: str
    model: str | None = None
    """The model's own name for itself, which says more than the one it was asked by."""
    finished: str | None = None
    """Why it stopped: "stop", or "length" when the answer was cut."""
    prompt_tokens: int
    answer_tokens: int
    estimated: bool = False
    """The server did not count tokens: four characters were taken for one."""
    left_out: tuple[str, ...] = ()
    """Parameters that the server did not take."""
    unusable: str | None = None
    """Why nothing of it can be used; None where something can."""

    @property
    def is_cut(self) -> bool:
        """Whether it ended at the limit for answers and not of itself."""
        return self.finished == "length"


class Call(_Record):
    """A request with its answer, when it was asked (UTC, ISO 8601) and how long it took."""

    request: Request
    answer: Answer
    asked: str
    seconds: float


class Unusable(_Record):
    """A note that nothing usable came to a request, and why: a replay then knows as much as the run that it repeats."""

    request: Request
    reason: str
    asked: str


_R = TypeVar("_R", Call, Unusable)


class LanguageModel(Protocol):
    """Anything that answers a request: a server, a model in this process, a script in a test."""

    def answer(self, request: Request) -> Answer:
        """Answer a request; called from several threads at once.

        Raises:
            LanguageModelError: no answer is to be had.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class KeptCalls:
    """A folder of calls whose answers can be used, one JSON file each, named by what was asked.

    Of an answer that cannot be used a note is kept beside them, without its words, until one comes that can.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, request: Request) -> Call | None:
        """Return the kept call of a request, or None.

        Raises:
            LanguageModelError: a kept call is damaged.
        """
        return _read(self._path(request), Call, request)

    def find_note(self, request: Request) -> Unusable | None:
        """Return the note that nothing usable came to a request, or None.

        Raises:
            LanguageModelError: the note is damaged.
        """
        return _read(self._note_path(request), Unusable, request)

    def keep(self, call: Call) -> None:
        """Write a call, whole or not at all.

        Raises:
            OutputError: the disk refuses.
        """
        self._write(self._path(call.request), call)
        remove(
            self._note_path(call.request)
        )  # if it comes back when the power fails, it is not asked: a call goes first

    def note(self, call: Call) -> None:
        """Write why the answer of a call cannot be used.

        Raises:
            OutputError: the disk refuses.
        """
        reason = call.answer.unusable or ""
        self._write(self._note_path(call.request), Unusable(request=call.request, reason=reason, asked=call.asked))

    def _write(self, path: Path, record: BaseModel) -> None:
        make_way(self.folder)
        write_file(path, json.dumps(record.model_dump(), indent=1, ensure_ascii=False) + "\n")

    def _path(self, request: Request) -> Path:
        return self.folder / f"{request.address()}.json"

    def _note_path(self, request: Request) -> Path:
        return self.folder / f"{request.address()}.unusable"


def _read(path: Path, kind: type[_R], request: Request) -> _R | None:
    """Read a record of a request; None if there is none."""
    try:
        record = kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, OSError) as error:
        raise LanguageModelError(f"{path}: this kept call is damaged: remove the file to ask again") from error
    if record.request != request:
        raise LanguageModelError(f"{path}: this kept call is of another request: remove the file to ask again")
    return record
