"""Small pictures, a small knowledge file, and an encoder without a model, as one job to run and run again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import kpl.runs.run
import kpl.runs.source
from kpl.embeddings import FeatureFolder, embed_in_place
from kpl.runs import SingleLabelRun, classify

SENTENCES = {
    "red_cell": ["a pink disc", "a pale centre", "no nucleus", "a smooth round edge"],
    "lymphocyte": ["a dark round nucleus", "a thin blue rim", "little cytoplasm"],
    "platelet": ["a tiny purple body", "granules in the middle"],
}


def draw(path: Path, seed: int, size: int = 12) -> None:
    """A picture of few colours, different for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    Image.fromarray(grid).resize((size, size), Image.Resampling.NEAREST).save(path, "PNG")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes; without log.json, which may differ from run to run."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.name != "log.json"}


@dataclass
class Job:
    """One command, as a library call: `run()` does it, with keywords changed if need be."""

    folder: Path
    encoder: Any

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures"

    @property
    def knowledge(self) -> Path:
        return self.folder / "knowledge.json"

    @property
    def out(self) -> Path:
        return self.folder / "run"

    @property
    def partial(self) -> Path:
        return self.folder / ".run.partial"

    def run(self, inputs: Any = None, **changes: Any) -> SingleLabelRun:
        given = {"knowledge": self.knowledge, "out": self.out, **changes}
        return classify(self.pictures if inputs is None else inputs, **given)

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.out / "run.json").read_text(encoding="utf-8"))


class _All:
    def __contains__(self, name: object) -> bool:
        return True


def be_every_encoder(patch: pytest.MonkeyPatch, encoder: Any, asked: list[str] | None = None) -> None:
    """Let an encoder stand for whatever a file names; the names that are loaded go into `asked`."""
    from kpl.embeddings import recorded

    names: list[str] = [] if asked is None else asked
    patch.setattr(recorded, "encoder_names", _All)
    patch.setattr(recorded, "load_card", lambda _name: encoder.card)
    patch.setattr(recorded, "load_encoder", lambda name: names.append(name) or encoder)


def make_job(folder: Path, encoder: Any, patch: pytest.MonkeyPatch) -> Job:
    """Ten pictures of which each shard holds four, three classes, and an encoder in the place of every other."""
    be_every_encoder(patch, encoder)

    def small(*args: Any, **given: Any) -> FeatureFolder:
        return embed_in_place(*args, **given | {"shard_size": 4, "batch_size": given["batch_size"] or 2, "workers": 1})

    patch.setattr(kpl.runs.source, "embed_in_place", small)
    made = Job(folder, encoder)
    for number in range(10):
        draw(made.pictures / f"{number}.png", number)
    made.knowledge.write_text(json.dumps(SENTENCES), encoding="utf-8")
    return made


@pytest.fixture
def job(tmp_path, fake_encoder, monkeypatch) -> Job:
    """A job of its own for each test, with the fake encoder under the default's name."""
    return make_job(tmp_path, type(fake_encoder)("mini"), monkeypatch)
