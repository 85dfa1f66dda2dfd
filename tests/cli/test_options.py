"""No option is silently ignored: every pair of options of a command reaches the library, or is refused by name."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import kpl.embeddings
import kpl.encoders
import kpl.runs
from kpl.cli.main import app
from kpl.errors import KplError

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
PASSIVE = {"--help", "--out"}
VALUES = {
    "--knowledge": "blood-cells",
    "--model": "learnt.kpl",
    "--encoder": "mini",
    "--method": "text",
    "--k": "7",
    "--set": "temperature=0.5",
    "--explain": None,
    "--calibration": "trusted.json",
    "--abstain-below": "0.25",
    "--coverage": "0.75",
    "--multi-label": None,
    "--threshold": "0.625",
    "--batch-size": "11",
    "--workers": "3",
    "--device": "cuda:9",
    "--allow-pickle": None,
    "--trust-remote-code": None,
    "--overwrite": None,
    "--dtype": "float16",
}
"""A value for each option that can be recognised where it arrives; None for a flag. A new option needs one here."""
ARRIVES = {
    "--k": ["settings", {"k": 7}],
    "--set": ["settings", {"temperature": 0.5}],
    "--explain": ["with_evidence", True],
    "--multi-label": ["called", "classify_presence"],
    "--threshold": ["threshold", 0.625],
    "--batch-size": ["batch_size", 11],
    "--workers": ["workers", 3],
    "--allow-pickle": ["allow_pickle", True],
    "--trust-remote-code": ["trust_remote_code", True],
    "--overwrite": ["overwrite", True],
    "--abstain-below": ["abstain_below", 0.25],
    "--coverage": ["coverage", 0.75],
}


def options(command: str) -> list[str]:
    names = [parameter.opts[0] for parameter in COMMANDS[command].params if parameter.opts[0].startswith("-")]
    return [name for name in names if name not in PASSIVE]


def pairs() -> list[tuple[str, str, str]]:
    return [(c, *pair) for c in ("classify", "fit", "embed") for pair in combinations(options(c), 2)]


class ReachedError(Exception):
    """The library was called."""


@pytest.fixture
def called(monkeypatch) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def spy(name: str):
        def call(*args: Any, **given: Any) -> None:
            seen.update({"called": name, "args": args}, **given)
            raise ReachedError

        return call

    def load(spec: str, **given: Any) -> str:
        seen.update({"encoder": spec}, **given)
        return spec

    for name in ("classify", "classify_presence", "fit"):
        monkeypatch.setattr(kpl.runs, name, spy(name))
    monkeypatch.setattr(kpl.embeddings, "embed_pictures", spy("embed"))
    monkeypatch.setattr(kpl.encoders, "load_encoder", load)
    return seen


@pytest.mark.parametrize(("command", "one", "other"), pairs())
def test_two_options_arrive_or_are_refused_by_name(command, one, other, called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    words = [command, "a.png", "--out", "run"]
    needed = {"classify": ["--knowledge"], "fit": ["--knowledge"], "embed": []}[command]
    if "--model" in (one, other):
        needed = []
    for name in dict.fromkeys([one, other, *needed]):
        words += [name] if VALUES[name] is None else [name, VALUES[name]]
    done = CliRunner().invoke(app, words)
    if isinstance(done.exception, KplError):
        said = str(done.exception)
        assert any(name in said for name in (one, other)) or "cuda:9" in said, said
        return
    assert isinstance(done.exception, ReachedError), done.output
    arrived = json.dumps(called, default=str)
    for name in (one, other):
        key, value = ARRIVES.get(name, [None, VALUES[name]])
        if key == "settings":
            assert called[key].items() >= value.items()
        elif key is not None:
            assert called[key] == value, f"{name} was ignored"
        else:
            assert json.dumps(value) in arrived, f"{name} was ignored"
