"""The model in this process, through the interface of llama-cpp-python."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from kpl.authoring import LlamaFile, Request
from kpl.errors import LanguageModelError, MissingExtraError

ASK = Request(model="tiny", system="s", prompt="p", form={"type": "object"}, seed=3, sample=2, temperature=0.5)


class Llama:
    """What llama_cpp.Llama does, as far as it is used."""

    def __init__(self, *, model_path: str, n_ctx: int = 0, vocab_only: bool = False, verbose: bool) -> None:
        if "broken" in model_path:
            raise ValueError("Failed to load model from file")
        assert not verbose
        assert vocab_only or n_ctx == 4096, "no more than the model was trained on"
        self.metadata = {"general.architecture": "tiny", "tiny.context_length": "4096"}
        self.closed = False

    def tokenize(self, text):
        return list(text)

    def create_chat_completion(self, messages, response_format, max_tokens, temperature=0.2, seed=None):
        if messages[1]["content"] == "broken":
            raise RuntimeError("llama_decode returned 1")
        assert max_tokens == 4096 - len("s\np") - 128
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
    module.llama_log_callback = lambda function: function
    module.llama_log_set = lambda _function, _data: None
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
    assert model.answer(ASK.model_copy(update={"extra": {"temperature": 1.5}})).text == "sp 1.5 5"
    with pytest.raises(LanguageModelError, match=r"--extra: llama.cpp does not take it .*'odd'"):
        model.answer(ASK.model_copy(update={"extra": {"odd": 1}}))
    model.close()
    assert model._model.closed


def test_its_memory_is_not_taken_from_an_answer_that_is_under_way(library, file):
    model = LlamaFile(file)
    begun, go_on = threading.Event(), threading.Event()

    def answer(*_: object, **__: object) -> None:
        begun.set()
        go_on.wait(20)
        assert not model._model.closed
        raise RuntimeError

    model._model.create_chat_completion = answer
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(model.answer, ASK)
        begun.wait(20)
        model.close()
        go_on.set()
        with pytest.raises(LanguageModelError):
            asked.result()


def test_what_it_cannot_do_is_one_line(library, file, tmp_path):
    with pytest.raises(
        LanguageModelError, match="the question has 4002 tokens and the model takes 4096 with its answer"
    ):
        LlamaFile(file).answer(ASK.model_copy(update={"prompt": "p" * 4000}))
    with pytest.raises(LanguageModelError, match="llama_decode returned 1"):
        LlamaFile(file).answer(ASK.model_copy(update={"prompt": "broken"}))
    with pytest.raises(LanguageModelError, match="not a file"):
        LlamaFile(tmp_path / "nowhere.gguf")
    (tmp_path / "broken.gguf").write_bytes(b"")
    with pytest.raises(LanguageModelError, match="is it a whole GGUF file"):
        LlamaFile(tmp_path / "broken.gguf")


def test_the_extra_is_named_when_it_is_missing(monkeypatch, file):
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(MissingExtraError, match=r"\[llm-local\]"):
        LlamaFile(file)
