"""llama.cpp itself, with models of a few hundred kilobytes that the tests write.

Where llama-cpp-python and gguf are installed; continuous integration leaves it out, because there is no wheel to be had
and to compile it takes ten minutes: pip install llama-cpp-python gguf
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.authoring.tiny_gguf import write_gguf

from kpl.authoring import LlamaFile, Request
from kpl.errors import LanguageModelError

_NEEDS = "not installed: llama-cpp-python and gguf; pip install llama-cpp-python gguf"
pytest.importorskip("llama_cpp", reason=_NEEDS)
pytest.importorskip("gguf", reason=_NEEDS)

FORM = {
    "type": "object",
    "properties": {"descriptions": {"type": "array", "items": {"type": "string"}}},
    "required": ["descriptions"],
}
ASK = Request(model="tiny", system="Describe.", prompt="How does it look?", form=FORM, seed=3)
SAID = '{"descriptions": ["a dark round rim", "a pale centre inside it", "coarse grains on one edge"]}'


def kpl(folder, *arguments):
    command = [sys.executable, "-c", "from kpl.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def test_an_answer_has_its_form_and_is_the_same_again(tmp_path):
    model = LlamaFile(write_gguf(tmp_path / "tiny.gguf", SAID))
    answer = model.answer(ASK)
    assert json.loads(answer.text) == json.loads(SAID)
    assert answer.finished == "stop"
    assert answer.prompt_tokens > len(ASK.prompt)
    assert answer.answer_tokens >= 5
    assert model.answer(ASK) == answer
    model.close()


def test_a_babbling_model_is_held_to_the_form_or_cut(tmp_path, capfd):
    model = LlamaFile(write_gguf(tmp_path / "tiny.gguf", context=512))
    answers = [model.answer(ASK.model_copy(update={"seed": seed})) for seed in range(5)]
    for answer in answers:
        assert answer.finished in ("stop", "length")
        if answer.finished == "stop":
            assert list(json.loads(answer.text)) == ["descriptions"]
    model.close()
    assert capfd.readouterr() == ("", ""), "nothing of the library's own talk"


def test_what_it_cannot_take_is_one_line(tmp_path):
    model = LlamaFile(write_gguf(tmp_path / "tiny.gguf", SAID, context=512))
    with pytest.raises(
        LanguageModelError, match=r"the question has \d+ tokens and the model takes 512 with its answer"
    ):
        model.answer(ASK.model_copy(update={"prompt": "x" * 600}))
    model.close()
    (tmp_path / "half.gguf").write_bytes((tmp_path / "tiny.gguf").read_bytes()[:3000])
    with pytest.raises(LanguageModelError, match="is it a whole GGUF file"):
        LlamaFile(tmp_path / "half.gguf")


def test_as_a_user_types_it(tmp_path):
    write_gguf(tmp_path / "tiny.gguf", SAID, context=4096)
    assert kpl(tmp_path, "knowledge", "new", "chest-tb", "--classes", "tuberculosis, normal").returncode == 0
    command = ("knowledge", "write", "chest-tb.yaml", "--llm", "tiny.gguf", "--per-class", 3, "--strategy", "paper")
    before = (tmp_path / "chest-tb.yaml").read_bytes()
    for _ in range(2):  # the second time from what is kept
        told = kpl(tmp_path, *command)
        assert told.returncode == 1
        assert told.stdout == ""
        assert told.stderr.startswith(
            "kpl: chest-tb.yaml, class 'tuberculosis' (and 1 more classes): no usable description"
        )
        assert "said of two classes" in told.stderr
        assert told.stderr.count("\n") == 1
    assert (tmp_path / "chest-tb.yaml").read_bytes() == before
    kept = [json.loads(path.read_text()) for path in (tmp_path / "chest-tb.calls").glob("*.json")]
    assert {call["answer"]["text"] for call in kept} == {SAID}
