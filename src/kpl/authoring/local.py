"""A language model in this process, by llama.cpp."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from kpl.authoring.calls import Answer, Request
from kpl.errors import LanguageModelError, MissingExtraError

__all__ = ["LlamaFile"]

_CONTEXT = 8192  # tokens of question and answer together


class LlamaFile:
    """Asks a model in a GGUF file, one request at a time.

    Raises:
        LanguageModelError: the file is missing or not a model that llama.cpp reads.
        MissingExtraError: llama-cpp-python is not installed.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise LanguageModelError(f"{path}: not a file: give the .gguf file of a model, or a server's address")
        try:
            import llama_cpp
        except ImportError as error:
            raise MissingExtraError("asking a language model in this process", "llm-local") from error
        try:
            self._model: Any = llama_cpp.Llama(model_path=str(path), n_ctx=_CONTEXT, verbose=False)
        except (ValueError, OSError, RuntimeError) as error:
            raise LanguageModelError(f"{path}: llama.cpp cannot read it ({error}): is it a whole GGUF file?") from error
        self._one = threading.Lock()  # llama.cpp answers one at a time

    def answer(self, request: Request) -> Answer:
        """Answer a request, held to the form of its answer by a grammar.

        Raises:
            LanguageModelError: llama.cpp refuses, for example a question longer than its context.
        """
        messages = [{"role": "system", "content": request.system}, {"role": "user", "content": request.prompt}]
        options: dict[str, Any] = {} if request.temperature is None else {"temperature": request.temperature}
        if request.seed is not None:
            options["seed"] = request.seed + request.sample
        form = {"type": "json_object", "schema": request.form}
        with self._one:
            try:
                data = self._model.create_chat_completion(messages, response_format=form, **options)
            except (ValueError, RuntimeError) as error:
                raise LanguageModelError(f"llama.cpp refuses the request ({error})") from error
        choice, usage = data["choices"][0], data["usage"]
        return Answer(
            text=choice["message"]["content"] or "",
            finished=choice.get("finish_reason"),
            prompt_tokens=usage["prompt_tokens"],
            answer_tokens=usage["completion_tokens"],
        )

    def close(self) -> None:
        """Free the memory of the model."""
        self._model.close()
