"""A language model in this process, by llama.cpp."""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path
from typing import Any

from kpl.authoring.calls import Answer, Request
from kpl.errors import LanguageModelError, from_extra

_CONTEXT = 8192
"""Tokens of question and answer together, or fewer where the model was trained on fewer."""
_ANSWER = 4096
"""Tokens of an answer: a small model may never come to an end by itself."""
_SPARE = 128
"""Tokens that the model's own layout of a conversation may take."""


class LlamaFile:
    """Asks a model in a GGUF file, one request at a time.

    Raises:
        LanguageModelError: the file is missing or not a model that llama.cpp reads.
        MissingExtraError: llama-cpp-python is not installed.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise LanguageModelError(f"{path}: not a file: give the .gguf file of a model, or a server's address")
        with from_extra("llm-local", "asking a language model in this process"):
            import llama_cpp
        try:
            # Its own way of being quiet lets warnings through, in the middle of the progress.
            self._deaf = llama_cpp.llama_log_callback(lambda _level, _text, _data: None)
            llama_cpp.llama_log_set(self._deaf, ctypes.c_void_p(0))
            self._context = min(_CONTEXT, _trained_context(llama_cpp, path))
            self._model: Any = llama_cpp.Llama(model_path=str(path), n_ctx=self._context, verbose=False)
        except (ValueError, OSError, RuntimeError) as error:
            raise LanguageModelError(f"{path}: llama.cpp cannot read it ({error}): is it a whole GGUF file?") from error
        self._one = threading.Lock()  # llama.cpp answers one at a time

    def answer(self, request: Request) -> Answer:
        """Answer a request, held to the form of its answer by a grammar.

        Raises:
            LanguageModelError: a question that leaves no room for an answer, or llama.cpp fails.
        """
        with self._one:
            return self._answer(request)

    def _answer(self, request: Request) -> Answer:
        asked = len(self._model.tokenize(f"{request.system}\n{request.prompt}".encode()))
        room = min(_ANSWER, self._context - asked - _SPARE)
        if room < _SPARE:
            raise LanguageModelError(
                f"the question has {asked} tokens and the model takes {self._context} with its answer: "
                "give fewer --sources, or a model that reads more"
            )
        messages = [{"role": "system", "content": request.system}, {"role": "user", "content": request.prompt}]
        options: dict[str, Any] = {} if request.temperature is None else {"temperature": request.temperature}
        if request.seed is not None:
            options["seed"] = request.seed + request.sample
        form = {"type": "json_object", "schema": request.form}
        try:
            data = self._model.create_chat_completion(
                messages, **{"response_format": form, "max_tokens": room, **options, **request.extra}
            )
        except (ValueError, RuntimeError) as error:
            raise LanguageModelError(f"llama.cpp refuses the request ({error})") from error
        except TypeError as error:
            if not request.extra:
                raise
            raise LanguageModelError(f"--extra: llama.cpp does not take it ({error}): leave it out") from error
        choice, usage = data["choices"][0], data["usage"]
        return Answer(
            text=choice["message"]["content"] or "",
            finished=choice.get("finish_reason"),
            prompt_tokens=usage["prompt_tokens"],
            answer_tokens=usage["completion_tokens"],
        )

    def close(self) -> None:
        """Free the memory of the model, unless an answer is under way, as it may be after Ctrl-C; none comes later."""
        if self._one.acquire(blocking=False):
            self._model.close()


def _trained_context(llama_cpp: Any, path: Path) -> int:  # noqa: ANN401 - a module without types
    """Read how many tokens a model was trained to take; beyond them it writes nonsense."""
    head = llama_cpp.Llama(model_path=str(path), vocab_only=True, verbose=False)
    facts = head.metadata
    head.close()
    stated = str(facts.get(f"{facts.get('general.architecture')}.context_length", ""))
    return int(stated) if stated.isdigit() and int(stated) > 0 else _CONTEXT
