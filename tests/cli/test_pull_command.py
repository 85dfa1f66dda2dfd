"""Getting encoders with the real command from a hub in miniature: what goes right, and what is refused in one line."""

from __future__ import annotations

import importlib
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.encoders.hub_server import STRANGER, TOKEN, Repository

from kpl.encoders.hub import Listing, RemoteFile, Snapshot

from .conftest import LAB, MINI, kept


def test_an_encoder_is_pulled_and_used_by_name(kpl, hub, tmp_path, cells, knowledge):
    told = kpl("encoders", "pull", f"hf:{LAB}").plain
    revision = hub.repositories[LAB].revision
    assert f"{LAB} at {revision}" in told
    assert "Kept as 'hf--lab--small-cells': 128 features, 128 pixels, 64 tokens." in told
    folder = tmp_path / "kpl" / "encoders" / "hf--lab--small-cells"
    card = json.loads((folder / "card.json").read_text())
    assert card["sources"][0] == {"hub_id": LAB, "revision": revision, "folder": "weights"}
    assert (folder / "README.md").read_bytes() == b"A small one."
    before = len(hub.requests)
    assert "hf--lab--small-cells" in kpl("encoders", "list").plain
    assert "12 pictures" in kpl("classify", cells, "-k", knowledge, "--encoder", f"hf:{LAB}", "-o", "run").out
    told = json.loads((tmp_path / "run" / "run.json").read_text())["encoder"]
    assert told["sources"] == [{"hub_id": LAB, "revision": revision}]
    assert len(hub.requests) == before, "loading asked the hub"


def test_licence_and_gate_are_said_before_anything_is_fetched(kpl, hub):
    hub.repositories["google/medsiglip-448"] = Repository({"card.json": b"{}", "weights/image.onnx": b""}, gated=True)
    told = kpl("encoders", "pull", "medsiglip-448", env={"HF_TOKEN": STRANGER})
    assert "Licence: Health AI Developer Foundations" in told.out
    assert f"accept its terms at {hub.url}/google/medsiglip-448" in told.error
    assert hub.fetched()[:1] in ([], [path for path in hub.fetched() if path.endswith("card.json")][:1])


def test_a_revision_is_pinned(kpl, hub):
    revision = hub.repositories[LAB].revision
    assert revision in kpl("encoders", "pull", f"hf:{LAB}", "--revision", revision).plain
    error = kpl("encoders", "pull", f"hf:{LAB}", "--revision", "v7").error
    assert error.startswith(f"{LAB} has no revision 'v7'")


def test_what_was_fetched_is_not_fetched_again(kpl, hub, tmp_path):
    kpl("encoders", "pull", f"hf:{LAB}").plain  # noqa: B018 - checks that it went well
    first = len(hub.fetched())
    kpl("encoders", "pull", f"hf:{LAB}").plain  # noqa: B018 - the same
    assert len(hub.fetched()) == first
    cached = next((tmp_path / "hf").rglob("card.json"))
    assert cached.read_bytes() == hub.repositories[LAB].files["card.json"], "the cache was written to"


def test_who_waited_for_another_takes_what_the_other_made(monkeypatch, tmp_path):
    pulling = importlib.import_module("kpl.encoders.pulling")
    made, waits, names = [], threading.Event(), {path.relative_to(MINI).as_posix() for path in MINI.rglob("*.*")}
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "kpl"))
    monkeypatch.setattr(pulling, "list_files", lambda *_, **__: Listing(LAB, "1" * 40, dict.fromkeys(names)))
    monkeypatch.setattr(pulling, "fetch", lambda *_, **__: Snapshot(LAB, "1" * 40, MINI, ()))

    def tested(*given):
        made.append(given)
        waits.wait(30)
        return test(*given)

    test = pulling._tested
    monkeypatch.setattr(pulling, "_tested", tested)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(pulling.pull, f"hf:{LAB}")
        while not made:
            assert not first.done()
            time.sleep(0.01)
        second = pool.submit(pulling.pull, f"hf:{LAB}", announce=lambda _: waits.set())
        assert first.result() == second.result()
    assert len(made) == 1
    pulling.pull(f"hf:{LAB}")
    assert len(made) == 2, "one that comes later pulls again, and so mends what was damaged"


def test_a_connection_that_breaks_is_taken_up_where_it_broke(kpl, hub):
    hub.repositories[LAB].files["a-large-one.bin"] = os.urandom(24 << 20)  # it is read in parts of 10 MB
    hub.repositories[LAB].cut = 1
    told = kpl("encoders", "pull", f"hf:{LAB}")
    assert told.code == 0, told.err
    assert told.err == ""
    assert hub.ranges() == ["bytes=10485760-"]


def test_without_a_connection(kpl, hub):
    error = kpl("encoders", "pull", f"hf:{LAB}", env={"HF_ENDPOINT": "http://127.0.0.1:9"}).error
    assert "no connection to the hub at http://127.0.0.1:9" in error
    assert "kpl encoders bundle" in error


def test_what_is_no_hub_is_called_so(kpl, hub):
    error = kpl("encoders", "pull", f"hf:{LAB}", env={"HF_ENDPOINT": f"{hub.url}/elsewhere"}).error
    assert "answered 404" in error


def test_offline_takes_the_cache_or_says_what_to_do(kpl, hub, tmp_path):
    offline = {"HF_HUB_OFFLINE": "1"}
    error = kpl("encoders", "pull", f"hf:{LAB}", env=offline).error
    assert "is not in the cache" in error
    assert "HF_HUB_OFFLINE" in error
    kpl("encoders", "pull", f"hf:{LAB}").plain  # noqa: B018 - fills the cache
    revision = hub.repositories[LAB].revision
    asked = len(hub.requests)
    assert revision in kpl("encoders", "pull", f"hf:{LAB}", "--revision", revision, env=offline).plain
    assert len(hub.requests) == asked


REFUSED = {
    "gated, no token": ({"gated": True}, None, ["is gated and there is no token", "accept its terms at", "HF_TOKEN"]),
    "gated, not let in": ({"gated": True}, STRANGER, [f"{LAB} is gated and the account of this token", "pull again"]),
    "private": ({"private": True}, None, ["shows no repository", "make a token"]),
    "a token that is none": ({}, "hf_bad", ["refused the token (401)"]),
    "no space": ({"pretended": 10**16}, None, ["no space", "MB are free", "HF_HOME"]),
    "another byte": ({"corrupt": True}, None, ["arrived with hash", "it was thrown away: pull again"]),
    "cut short": ({"short": True}, None, ["arrived cut short: pull again"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_what_goes_wrong_is_one_line_and_nothing_is_kept(kpl, hub, tmp_path, fault):
    changes, token, words = REFUSED[fault]
    for name, value in changes.items():
        setattr(hub.repositories[LAB], name, value)
    told = kpl("encoders", "pull", f"hf:{LAB}", env={"HF_TOKEN": token} if token else {})
    for word in words:
        assert word in told.error
    assert kept(tmp_path) == []


def test_a_gated_one_is_given_to_who_accepted(kpl, hub):
    hub.repositories[LAB].gated = True
    assert "Kept as" in kpl("encoders", "pull", f"hf:{LAB}", env={"HF_TOKEN": TOKEN}).plain


def test_after_a_damaged_file_the_next_pull_goes_well(kpl, hub):
    hub.repositories[LAB].corrupt = True
    assert "arrived with hash" in kpl("encoders", "pull", f"hf:{LAB}").error
    hub.repositories[LAB].corrupt = False
    assert "Kept as" in kpl("encoders", "pull", f"hf:{LAB}").plain


def test_names_that_nobody_knows(quick, hub):
    assert "did you mean 'biomedclip'" in quick("encoders", "pull", "biomedclp").error
    assert "nothing to pull" in quick("encoders", "pull", "mini").error
    assert "no folder and no file" in quick("encoders", "pull", "lab/small-cells").error


def test_a_repository_that_nobody_knows_suggests_the_nearest(kpl, hub):
    error = kpl("encoders", "pull", "hf:google/medsiglip-48").error
    assert "did you mean google/medsiglip-448" in error
    error = kpl("encoders", "pull", "hf:google/medsiglip-448").error
    assert "shows no repository 'google/medsiglip-448'" in error
    assert error.count("google/medsiglip-448") == 1, "it suggests what was asked for"


def test_a_missing_extra_is_told_with_its_install_line_before_anything_is_fetched(quick, hub, monkeypatch):
    module = importlib.import_module("kpl.encoders.pulling")
    found = Listing("lab/model", "0" * 40, dict.fromkeys(["config.json", "model.safetensors"], RemoteFile()))
    monkeypatch.setattr(module, "list_files", lambda *_, **__: found)
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    error = quick("encoders", "pull", "hf:lab/model").error
    assert "needs an extra that is not installed: pip install 'knowledge-proxy-learning[transformers]'" in error
    assert hub.requests == []


def test_remote_code_is_refused_unless_asked_for(quick, hub):
    error = quick("encoders", "pull", "conceptclip").error
    assert "runs Python code of its repository" in error
    assert "--trust-remote-code" in error
    assert hub.requests == []


def test_a_known_encoder_that_is_not_here_says_how_to_get_it(quick, hub, cells, knowledge):
    error = quick("classify", cells, "-k", knowledge, "--encoder", "biomedclip", "-o", "run").error
    assert "kpl encoders pull biomedclip" in error
    assert "licence: MIT" in error
