"""The model in this process, through the interface of llama-cpp-python."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from kpl.authoring import LlamaFile, Request
from kpl.errors import LanguageModelError, MissingExtraError

ASK = Request(model="tiny", system="s", prompt="p", form={"type": "object"}, seed=3, sample=2, temperature=0.5)


class Llama:
    """What llama_cpp.Llama does, as far as it is used."""

    def __init__(self, *, model_path: str, n_ctx: int, verbose: bool) -> None:
        if "broken" in model_path:
            raise ValueError("Failed to load model from file")
        assert not verbose
        self.n_ctx = n_ctx
        self.closed = False

    def create_chat_completion(self, messages, response_format, temperature=0.2, seed=None):
        if len(messages[1]["content"]) > self.n_ctx:
            raise ValueError("Requested tokens exceed context window")
        assert response_format == {"type": "json_object", "schema": {"type": "object"}}
        text = f"{messages[0]['content']}{messages[1]['content']} {temperature} {seed}"
        usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
        return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage}

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def library(monkeypatch):
    module = ModuleType("llama_cpp")
    module.Llama = Llama
    monkeypatch.setitem(sys.modules, "llama_cpp", module)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF")
    return path


def test_a_model_answers(library, file):
    model = LlamaFile(file)
    answer = model.answer(ASK)
    assert (answer.text, answer.prompt_tokens, answer.answer_tokens, answer.finished) == ("sp 0.5 5", 2, 3, "stop")
    assert model.answer(ASK.model_copy(update={"temperature": None, "seed": None})).text == "sp 0.2 None"
    model.close()
    assert model._model.closed


def test_what_it_cannot_do_is_one_line(library, file, tmp_path):
    with pytest.raises(LanguageModelError, match="exceed context window"):
        LlamaFile(file).answer(ASK.model_copy(update={"prompt": "p" * 9000}))
    with pytest.raises(LanguageModelError, match="not a file"):
        LlamaFile(tmp_path / "nowhere.gguf")
    (tmp_path / "broken.gguf").write_bytes(b"")
    with pytest.raises(LanguageModelError, match="is it a whole GGUF file"):
        LlamaFile(tmp_path / "broken.gguf")


def test_the_extra_is_named_when_it_is_missing(monkeypatch, file):
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(MissingExtraError, match=r"\[llm-local\]"):
        LlamaFile(file)
