"""`kpl knowledge new` and `kpl knowledge write`, in real processes against a scripted server."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import threading
from pathlib import Path

import pytest
from tests.authoring.chat_server import KEY, phrases, serving

from kpl.knowledge import load_knowledge

from .conftest import answer_to_ctrl_c, start
from .test_interruptions import stop, wait_for

posix = pytest.mark.skipif(os.name == "nt", reason="signals and terminals are those of POSIX systems")


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    for name in ("KPL_LLM_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def begun(quick, tmp_path) -> Path:
    quick("knowledge", "new", "chest-tb", "--classes", "tuberculosis, normal", "--modality", "chest X-ray")
    return tmp_path / "chest-tb.yaml"


@pytest.fixture
def many(quick, tmp_path) -> Path:
    (tmp_path / "names.txt").write_text("\n".join(f"kind {n}" for n in range(12)) + "\n")
    quick("knowledge", "new", "many.yaml", "--classes", "names.txt")
    return tmp_path / "many.yaml"


def write(script, file, *more):
    return ("knowledge", "write", file, "--llm", script.url, "--model", "tiny", "--timeout", 5, *more)


def test_as_a_new_user_types_it(quick, begun):
    with serving(phrases) as script:
        told = quick(*write(script, "chest-tb.yaml", "--per-class", 25)).plain
    assert "chest-tb.yaml: 50 new descriptions in 2 classes" in told
    assert "new calls (" in told
    assert "0 kept ones, in chest-tb.calls" in told
    assert told.endswith("Next: kpl knowledge review chest-tb.yaml")
    assert quick("knowledge", "show", "chest-tb.yaml", "normal").plain.count("which has a shape") == 25
    assert [len(entry.descriptions) for entry in load_knowledge(begun).classes] == [25, 25]
    assert "# the prompt that an encoder reads" in begun.read_text()
    before = begun.read_bytes()
    told = quick(*write(script, "chest-tb.yaml", "--per-class", 25)).plain
    assert "every class has 25 descriptions or more, so nothing was asked" in told
    assert begun.read_bytes() == before


@posix
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_stopped_half_way_repeats_no_call(kpl, many, tmp_path, how):
    before = many.read_bytes()
    whole = shutil.copytree(tmp_path, tmp_path / "whole")
    options = ("--per-class", 20, "--strategy", "paper", "--concurrency", 2)
    with serving(phrases, wait=0.1) as script:
        process = start(*write(script, many, *options), cwd=tmp_path, preexec_fn=answer_to_ctrl_c)
        calls = tmp_path / "many.calls"
        wait_for(lambda: calls.is_dir() and len(list(calls.glob("*.json"))) >= 4, process)
        told = stop(process, how)
        if how == signal.SIGINT:
            assert told.code == 130
            assert told.error.startswith("stopped. What was finished is kept")
        assert many.read_bytes() == before
        kept = len(list(calls.glob("*.json")))
        script.wait = 0.0
        assert f", {kept} kept ones" in kpl(*write(script, many, *options)).plain
        questions = [request["messages"][1]["content"] for request in script.asked]
        assert len(questions) - len(set(questions)) <= 2, "only what nobody heard is asked again"
        kpl(*write(script, "many.yaml", *options), cwd=whole)
    assert many.read_bytes() == (whole / "many.yaml").read_bytes()


def test_a_replay_needs_no_server(quick, many, tmp_path):
    shutil.copy(many, tmp_path / "again.yaml")
    with serving(phrases) as script:
        assert quick(*write(script, many, "--per-class", 16)).code == 0
    replay = ("--model", "tiny", "--per-class", 16, "--replay", "--calls", "many.calls")
    assert "0 new calls" in quick("knowledge", "write", "again.yaml", *replay).plain
    assert (tmp_path / "again.yaml").read_bytes() == many.read_bytes()
    shutil.rmtree(tmp_path / "many.calls")
    shutil.copy(many, tmp_path / "again.yaml")
    replay = ("--model", "tiny", "--per-class", 17, "--replay")
    assert "a call is not kept" in quick("knowledge", "write", "again.yaml", *replay).error


def test_a_key_is_never_written_or_printed(kpl, begun, tmp_path):
    secret = {"OPENAI_API_KEY": KEY}
    with serving(phrases, lambda request: f"{phrases(request)} {KEY}", needs_key=True) as script:
        assert "wants a key (401)" in kpl(*write(script, begun)).error
        assert KEY not in kpl(*write(script, begun, "--retries", 0, "--model", "tinny"), env=secret).error
        told = kpl(*write(script, begun), env=secret)
    assert f"Bearer {KEY}" in script.keys
    assert KEY not in told.out + told.err
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and KEY in path.read_text(errors="replace")]
    assert holding == []


def test_a_pack_of_names_is_written_to_a_file(quick, tmp_path):
    with serving(phrases) as script:
        told = quick(*write(script, "food-101", "--max-calls", 3)).error
        assert "the budget is spent (--max-calls 3" in told
        assert "# The" in (tmp_path / "food-101.yaml").read_text()
        options = ("--per-class", 5, "--strategy", "paper", "--out", "mine.yaml", "--concurrency", 8)
        assert "505 new descriptions in 101 classes" in quick(*write(script, "food-101", *options)).plain
    kb = load_knowledge(tmp_path / "mine.yaml")
    assert kb.classes[0].key == "apple_pie"
    assert kb.provenance is None  # what a person adds later is not the model's
    assert {each.provenance.author for entry in kb.classes for each in entry.descriptions} == {"tiny"}


def test_sources_are_cited(quick, begun, tmp_path):
    (tmp_path / "atlas.md").write_text("Nodular opacities of tuberculosis.\n\nNormal lungs without nodular shapes.\n")
    with serving(phrases) as script:
        told = quick(*write(script, begun, "--per-class", 5, "--strategy", "paper", "--sources", "atlas.md")).plain
    assert "10 new descriptions" in told
    assert 'source: "atlas.md, line' in begun.read_text()


def test_what_stays_short_and_what_the_server_lacks_is_told(quick, many):
    with serving(
        lambda request: '{"descriptions": ["a lone shape of ' + phrases(request)[40:60].strip('", ') + '"]}', takes=()
    ) as script:
        script.takes = ("temperature",)
        told = quick(*write(script, many, "--per-class", 9, "--strategy", "paper", "--concurrency", 1))
    assert "the server does not take response_format, seed: asked without" in told.out
    assert "look at: class 'kind 0' has" in told.out


def seen_on_a_terminal(arguments, cwd, see):
    """Run the command on a terminal, hand on everything that was drawn so far whenever more comes; return it all."""
    own, theirs = pty.openpty()
    process = start(*arguments, cwd=cwd, stderr=theirs, env={"TERM": "xterm"})
    os.close(theirs)
    seen = ""
    try:
        while piece := os.read(own, 4096):
            seen += piece.decode(errors="replace")
            see(seen)
    except OSError:
        pass  # the other end is closed
    os.close(own)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    return seen, out


@posix
def test_progress_is_drawn_at_once_and_answer_by_answer(many, tmp_path):
    drawn, advanced = threading.Event(), threading.Event()

    def answer(request):
        first = len(script.asked) == 1
        assert (drawn if first else advanced).wait(60)
        return phrases(request)

    def see(seen):
        if "0/60" in seen and "0 new calls" in seen:
            drawn.set()
        if "5/60" in seen and "1 new call (100 + 50 tokens)" in seen:
            advanced.set()

    with serving(answer) as script:
        options = ("--per-class", 5, "--strategy", "paper", "--concurrency", 1, "--timeout", 60)
        seen_on_a_terminal(write(script, many, *options), tmp_path, see)
    assert advanced.is_set()


@posix
def test_trouble_is_shown_while_it_lasts(many, tmp_path):
    with serving("broken", phrases) as script:
        options = ("--per-class", 5, "--strategy", "paper", "--concurrency", 1)
        seen, out = seen_on_a_terminal(write(script, many, *options), tmp_path, lambda _seen: None)
    assert re.search(r"trying again in [12] s: the server fails \(500: something failed", seen)
    assert "trying" not in out


def test_what_was_left_out_and_cut_is_told(quick, many):
    with serving(
        lambda request: phrases(request).replace('["', '["no pleural effusion at all", "a poor prognosis", "'),
        finished="length",
    ) as script:
        told = quick(*write(script, many, "--per-class", 5, "--strategy", "paper")).plain
    assert "60 new descriptions in 12 classes; left out: 24 by lint (K301 12, K302 12)" in told
    assert "12 answers were cut at the limit of their length, their last sentence is left out: raise that limit" in told


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--llm", "localhost:1"), "--llm 'localhost:1': not an address: give an address such as"),
        (("--llm", "http://127.0.0.1:9/v1"), "nobody answers"),
        (("--llm", "nowhere.gguf"), "nowhere.gguf: not a file"),
        ((), "--llm is missing: give a server"),
        (("--model", "", "--replay"), "--model: is empty"),
        (("--strategy", "papers", "--replay"), "unknown strategy 'papers': did you mean 'paper'?"),
        (("--sources", "nowhere.md", "--replay"), "nowhere.md: not a file"),
        (("--out", "x.yaml", "--replay"), "--out x.yaml: only for a pack"),
        (("--per-class", "0", "--replay"), "--per-class 0: must be 1 to 1000"),
    ],
)
def test_wrong_options_are_one_line(quick, begun, options, says):
    assert says in quick("knowledge", "write", begun, "--model", "tiny", *options).error
    assert load_knowledge(begun).names_only


def test_a_model_must_be_named(quick, begun):
    assert "--model is missing" in quick("knowledge", "write", begun, "--replay").error
    assert "nowhere.gguf: not a file" in quick("knowledge", "write", begun, "--llm", "nowhere.gguf").error


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nkpl_knowledge: 1\ntask: {name: x}\nclasses: [*b]\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kpl_knowledge: 1\ntask:\n\tname: x\n", "line 3: indented with a tab"),
        (BOMB, "line 2: the alias *a is not taken"),
        ('kpl_knowledge: 1\ntask: {name: x}\nclasses: [{key: a}, {key: "b\x07"}]\n', "control character"),
        ("a: [one]\nb: [two]\n", "bring it in with 'kpl knowledge import' first"),
        ("kpl_knowledge: 1\ntask: {name: x}\nclasses: [{key: a}]\n", "at least two"),
    ],
)
def test_faulty_files_are_one_line_and_stay(quick, tmp_path, text, says):
    file = tmp_path / "file.yaml"
    file.write_text(text)
    assert says in quick("knowledge", "write", file, "--model", "tiny", "--replay").error
    assert file.read_text() == text


@pytest.mark.long
def test_ten_thousand_classes(quick, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(f"kind {n}" for n in range(10_000)))
    assert "10000 classes" in quick("knowledge", "new", "huge", "--classes", "names.txt").plain
    file = tmp_path / "huge.yaml"
    before = file.read_bytes()
    with serving(phrases) as script:
        assert "the budget is spent" in quick(*write(script, file, "--max-calls", 2)).error
        assert "compares at most 1000" in quick(*write(script, file, "--strategy", "contrast")).error
    assert file.read_bytes() == before


def test_descriptions_with_markup_and_control_characters_come_in_clean(quick, begun):
    dirty = "1. <b>A nodule</b>\x1b[0m of {} &amp; size\n2. **Shape:** an *oval* of {}\x00"
    colours = {"tuberculosis": "white", "normal": "black"}

    def speak(request):
        return dirty.replace("{}", colours[request["messages"][1]["content"].split("'")[1]])

    with serving(speak) as script:
        quick(*write(script, begun, "--per-class", 2, "--strategy", "paper"))
    texts = [each.text for each in load_knowledge(begun).classes[0].descriptions]
    assert texts == ["a nodule [0m of white & size", "an oval of white"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("x", "--classes", "a, A"), "duplicate class"),
        (("x", "--classes", "nowhere.txt"), "nowhere.txt: cannot be read"),
        (("x", "--classes", ","), "no classes: name at least two"),
        (("x.json", "--classes", "a,b"), "end it in .yaml"),
        (("x", "--classes", "a,b", "--template", "{name}"), "unknown placeholder"),
    ],
)
def test_wrong_beginnings_are_one_line(quick, tmp_path, arguments, says):
    assert says in quick("knowledge", "new", *arguments).error
    assert not (tmp_path / "x.yaml").exists()


def test_names_that_are_no_text_are_refused(quick, tmp_path):
    (tmp_path / "names.txt").write_bytes(b"caf\xe9\n")
    assert "not UTF-8 text" in quick("knowledge", "new", "x", "--classes", "names.txt").error


def test_further_parameters_reach_the_server(quick, begun):
    with serving(phrases) as script:
        quick(*write(script, begun, "--per-class", 5, "--extra", '{"reasoning_effort": "none"}'))
    assert {request["reasoning_effort"] for request in script.asked} == {"none"}


def test_answers_that_cannot_be_used_are_told(quick, begun):
    def shy(request):
        return (
            "I'm sorry, I cannot assist."
            if "must be dropped" in request["messages"][1]["content"]
            else phrases(request)
        )

    with serving(shy) as script:
        told = quick(*write(script, begun, "--per-class", 5)).plain
    assert "2 answers could not be used and will be asked for again: the model declines" in told


@pytest.mark.parametrize("extra", ["thinking off", "[1]", "{'a': 1}", '{"a": NaN}', '"a"', '{"model": "x"}'])
def test_parameters_that_are_none(quick, begun, extra):
    told = quick("knowledge", "write", begun, "--model", "m", "--replay", "--extra", extra).error
    assert "--extra" in told
