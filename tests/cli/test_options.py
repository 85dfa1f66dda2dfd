"""No option is silently ignored: every pair of options of a command reaches the library, or is refused by name."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
import typer
from click.testing import CliRunner

import kpl.embeddings
import kpl.encoders
import kpl.images
import kpl.report
import kpl.runs
from kpl.cli.main import app
from kpl.errors import KplError
from kpl.report import Explained
from kpl.runs import SingleLabelRun

WHOLE = typer.main.get_command(app)
COMMANDS = WHOLE.commands  # type: ignore[attr-defined]
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
    "--other": None,
    "--only": ["neutrophil", "lymphocyte"],
    "--prior": "neutrophil=0.875",
    "--multi-label": None,
    "--threshold": "0.625",
    "--pool": "top-7",
    "--batch-size": "11",
    "--workers": "3",
    "--window": "lung",
    "--slices": "9",
    "--frames": "5",
    "--mpp": "0.375",
    "--slide-mpp": "0.1875",
    "--tissue": "masks",
    "--ids": "files",
    "--array": "images",
    "--device": "cuda:9",
    "--allow-pickle": None,
    "--trust-remote-code": None,
    "--overwrite": None,
    "--dtype": "float16",
    "--table": "cohort.csv",
    "--image-column": "scan",
    "--image-pattern": "x_{scan}.png",
    "--group-column": "who",
    "--sheet": "second",
    "--labels": "labels.csv",
    "--methods": "text,names",
    "--against": "text",
    "--by": "site",
    "--classes": None,
    "--at": "sensitivity=0.9375",
    "--ordered": None,
    "--json": "figures.json",
    "--figure": "figure.svg",
    "--replicates": "17",
    "--ignore-unknown": None,
    "--label-column": "kind",
    "--label-numbers": "order",
    "--blank": "absent",
    "--readers": "majority",
    "--reader-column": "rad_id",
    "--uncertain": "present",
    "--none": "No Finding",
    "--pictures": "scans",
    "--maps": "13",
    "--top": "5",
    "--map": "where.png",
    "--picture": "one.png",
    "--how": "windows",
    "--shard-size": "13",
    "--part": "3/7",
    "--join": "joined",
    "--verify": None,
    "--on": "ray",
    "--address": "10.0.0.1:6379",
    "--predictions": "parquet",
}
"""A value for each option that can be recognised where it arrives; None for a flag. A new option needs one here."""
ARRIVES = {
    "--k": ["settings", {"k": 7}],
    "--set": ["settings", {"temperature": 0.5}],
    "--explain": ["with_evidence", True],
    "--only": [None, "neutrophil"],
    "--prior": [None, 0.875],
    "--multi-label": ["called", "classify_multi_label"],
    "--threshold": [None, 0.625],
    "--batch-size": ["batch_size", 11],
    "--workers": ["workers", 3],
    "--allow-pickle": ["allow_pickle", True],
    "--trust-remote-code": ["trust_remote_code", True],
    "--overwrite": ["overwrite", True],
    "--abstain-below": ["abstain_below", 0.25],
    "--coverage": ["coverage", 0.75],
    "--other": ["other", True],
    **{f"--{name}": ["asked", name] for name in ("window", "slices", "frames", "mpp", "tissue", "ids", "array")},
    "--slide-mpp": ["asked", "slide_mpp"],
    "--methods": ["methods", ["text", "names"]],
    "--by": ["by", ["site"]],
    "--at": ["rule", ("sensitivity", 0.9375)],
    "--ordered": ["ordered", True],
    "--replicates": ["replicates", 17],
    "--ignore-unknown": ["ignore_unknown", True],
    "--maps": ["maps", 13],
    "--top": ["top", 5],
    "--shard-size": ["size", 13],
    "--part": ["of", 7],
    "--verify": ["verify", True],
}
PIXELS = {("report", "--window"): "19", ("explain", "--window"): "19"}
"""There a window is one that slides over a picture; elsewhere it is of grey values."""
PRINTED = {"--classes", "--json", "--figure", "--map"}
"""Options of what is done with a result; tests of their commands look at it."""


NEEDED = {
    "classify": ["--knowledge"],
    "fit": ["--knowledge"],
    "embed": [],
    "evaluate": [],
    "report": [],
    "explain": [],
}
"""The commands with options that could be passed over, and what each cannot do without."""


def options(command: str) -> list[str]:
    names = [parameter.opts[0] for parameter in COMMANDS[command].params if parameter.opts[0].startswith("-")]
    return [name for name in names if name not in PASSIVE]


def pairs() -> list[tuple[str, str, str]]:
    return [(c, *pair) for c in NEEDED for pair in combinations(options(c), 2)]


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

    for name in ("classify", "classify_multi_label", "fit", "evaluate"):
        monkeypatch.setattr(kpl.runs, name, spy(name))
    for name in ("write_report", "map_picture"):
        monkeypatch.setattr(kpl.report, name, spy(name))
    explained = Explained("a.png", "a", "b", 0, 0.5, 0.25, "a", 0.0, None, (), (), ())

    def explain(_run: Any, _image: str, **given: Any) -> Explained:
        seen.update(given)
        return explained

    monkeypatch.setattr(kpl.report, "explain_picture", explain)
    monkeypatch.setattr(kpl.runs, "open_run", lambda _path: object.__new__(SingleLabelRun))

    def making(*values: Any, **given: Any) -> None:
        for value in values:
            seen.update(getattr(value, "__dict__", {}))
        seen.update({"called": "embed"}, **given)
        raise ReachedError

    monkeypatch.setattr(kpl.embeddings, "embed_to", making)
    monkeypatch.setattr(kpl.embeddings, "embed_part", making)
    monkeypatch.setattr(kpl.embeddings, "embed_on_ray", lambda *values, **given: making(*values, on="ray", **given))
    find = kpl.images.find_inputs

    def find_as_asked(paths: list[str], asked: kpl.images.Asked | None) -> kpl.images.Found:
        seen["asked"] = asked
        return find(paths, asked)

    monkeypatch.setattr(kpl.images, "find_inputs", find_as_asked)
    monkeypatch.setattr(kpl.encoders, "load_encoder", load)
    return seen


@pytest.mark.parametrize(("command", "one", "other"), pairs())
def test_two_options_arrive_or_are_refused_by_name(command, one, other, called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    words = {"evaluate": [command, "run"], "report": [command, "run"], "explain": [command, "run", "a.png"]}.get(
        command, [command, "a.png", "--out", "run"]
    )
    needed = NEEDED[command]
    if "--model" in (one, other):
        needed = []
    for name in dict.fromkeys([one, other, *needed]):
        value = PIXELS.get((command, name), VALUES[name])
        given = [value] if isinstance(value, str) else value
        words += [name] if given is None else [word for each in given for word in (name, each)]
    done = CliRunner().invoke(WHOLE, words)  # built once
    if isinstance(done.exception, KplError):
        said = str(done.exception)
        assert any(name in said for name in (one, other)) or "cuda:9" in said, said
        return
    assert isinstance(done.exception, ReachedError) or (command == "explain" and not done.exit_code), done.output
    arrived = json.dumps(called, default=_plain)
    for name in (one, other):
        if name in PRINTED:
            continue
        if name == "--knowledge" and {"--only", "--prior"} & {one, other}:
            assert called["knowledge"].resolve("neutrophil") is not None, f"{name} was ignored"
            continue
        key, value = ["window", 19] if (command, name) in PIXELS else ARRIVES.get(name, [None, VALUES[name]])
        if key == "asked":
            assert str(getattr(called["asked"], value)) == VALUES[name], f"{name} was ignored"
        elif key == "settings":
            assert called[key].items() >= value.items()
        elif key is not None:
            assert called[key] == value, f"{name} was ignored"
        else:
            assert json.dumps(value) in arrived or repr(value) in arrived, f"{name} was ignored"


def _plain(given: Any) -> Any:
    return "" if isinstance(given, SingleLabelRun) else getattr(given, "__dict__", None) or str(given)
