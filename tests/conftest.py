from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from PIL import Image

from kpl.encoders.protocol import EncoderCard

# No test is timed: a busy machine fails none. `make test-long` draws more examples.
EXAMPLES = int(os.environ.get("KPL_EXAMPLES", "40"))
settings.register_profile("untimed", deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

SHARED = Path(__file__).parents[1] / "../shared/data"
sys.path.append(str(Path(__file__).parents[1] / "training"))  # for `rendered`, the generator of drawn cells


EXTRAS = ("torch", "open_clip", "transformers", "sentencepiece", "onnx", "onnxscript")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that need what is absent, with the reason; fail them where it is meant to be there."""
    reason = ""
    if any(item.iter_markers("torch")) and (
        missing := [name for name in EXTRAS if importlib.util.find_spec(name) is None]
    ):
        line = "pip install 'knowledge-proxy-learning[openclip,transformers,onnx-export]'"
        reason = f"{NOT_INSTALLED}{', '.join(missing)}; {line}"
    if any(item.iter_markers("volumes")) and importlib.util.find_spec("SimpleITK") is None:
        reason = f"{NOT_INSTALLED}SimpleITK; pip install 'knowledge-proxy-learning[volumes]'"
    if any(item.iter_markers("slides")) and importlib.util.find_spec("openslide") is None:
        reason = f"{NOT_INSTALLED}openslide; pip install 'knowledge-proxy-learning[slides]'"
    if any(item.iter_markers("receivers")) and any(
        importlib.util.find_spec(name) is None for name in ("datasets", "label_studio_sdk")
    ):
        reason = f"{NOT_INSTALLED}datasets and label-studio-sdk: pip install them; .ci/run does"
    if any(item.iter_markers("cloud")) and any(importlib.util.find_spec(name) is None for name in ("s3fs", "moto")):
        reason = f"{NOT_INSTALLED}s3fs and moto[server]: pip install them; .ci/run does"
    if any(item.iter_markers("dcmtk")) and not shutil.which("dsrdump"):
        reason = "no dsrdump: install DCMTK (Debian: apt-get install dcmtk)"
    if any(item.iter_markers("browser")):
        reason = _no_browser()
    if any(item.iter_markers("strace")) and not (sys.platform == "linux" and shutil.which("strace")):
        reason = "no strace: install it (Debian: apt-get install strace); on Linux only"
    if reason:
        (pytest.fail if os.environ.get("KPL_REQUIRE_EXTRAS") == "1" else pytest.skip)(reason)


MADE_UP_ELSEWHERE = ("torch", "browser", "fuzz", "strace", "volumes", "slides", "receivers", "cloud", "dcmtk")
"""Marks of the tests that parts of `.ci/run` run where they may not be skipped."""
NOT_INSTALLED = "not installed: "
"""How the reason begins where a library that no part installs is wanted."""


def _may_be_skipped(reason: str, marks: Iterable[str] = ()) -> bool:
    """Where the shared data are, the machine is one that measures: a test that is silently left out is a failure."""
    return not SHARED.is_dir() or NOT_INSTALLED in reason or any(mark in MADE_UP_ELSEWHERE for mark in marks)


def _as_a_failure(report: pytest.TestReport | pytest.CollectReport, marks: Iterable[str] = ()) -> None:
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    if report.skipped and not hasattr(report, "wasxfail") and not _may_be_skipped(reason, marks):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be, because ../shared/data is there: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one where nothing may be skipped."""
    report = yield
    _as_a_failure(report, [mark.name for mark in item.iter_markers()])
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file."""
    report = yield
    _as_a_failure(report)
    return report


def _no_browser() -> str:
    """Say what a test in a browser lacks; empty when nothing."""
    modules = os.environ.get("KPL_NODE_MODULES", "")
    if not (os.environ.get("KPL_CHROMIUM") or shutil.which("chromium")):
        return "no Chromium: install it, or say where it is with KPL_CHROMIUM"
    if not shutil.which("node"):
        return "no node: install Node.js"
    if not all((Path(modules) / "node_modules" / name).is_dir() for name in ("playwright-core", "axe-core")):
        return "no playwright-core and axe-core: npm install them in a folder and name it in KPL_NODE_MODULES"
    return ""


@pytest.fixture(scope="session", autouse=True)
def kpl_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What KPL keeps for the user lies in a temporary folder, for the commands that tests start too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KPL_HOME", str(home := tmp_path_factory.mktemp("kpl-home")))
        yield home


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public data beside the checkout; tests that need it are skipped without it."""
    if not SHARED.is_dir():
        pytest.skip("the data folder ../shared/data is not beside this checkout")
    return SHARED.resolve()


class FakeEncoder:
    """An encoder without a model: of a picture the colours on a 4 x 4 grid, of a sentence the sum of its words."""

    def __init__(self, name: str = "fake", **changes: object) -> None:
        card = {
            "name": name,
            "title": "A fake encoder",
            "intended_use": "tests",
            "limits": "knows nothing",
            "licence": "Apache-2.0",
            "modalities": (),
            "loader": "onnx",
            "files": {"fake.bin": "0" * 64},
            "dim": 49,
            "context_length": 77,
            "image_size": 8,
            "resize": "squash",
            "interpolation": "bicubic",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
            "head": "softmax",
            "logit_scale": 100.0,
        }
        self.card = EncoderCard.model_validate(card | changes)
        self.logit_scale = self.card.logit_scale
        self.logit_bias = self.card.logit_bias
        self.context_length = self.card.context_length
        self.image_batches: list[int] = []
        """Pictures in each call, for tests of batching and resuming."""

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        self.image_batches.append(len(pictures))
        grids = [Image.fromarray(p).resize((4, 4), Image.Resampling.BOX) for p in pictures]
        colours = np.array([np.asarray(grid) for grid in grids]).reshape(len(pictures), 48) / 255.0
        return self._unit(np.column_stack([colours, np.ones(len(pictures))]))

    def encode_texts(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        return self._unit(np.array([sum(map(self._word, s.split()), self._word("")) for s in sentences]))

    def count_tokens(self, sentence: str) -> int:
        return len(sentence.split()) + 2

    def unknown_words(self, sentence: str) -> list[str]:
        return [word for word in sentence.split() if not word.isascii()]

    @staticmethod
    def _word(word: str) -> NDArray[np.float64]:
        return np.random.default_rng(zlib.crc32(word.encode())).normal(size=49)

    @staticmethod
    def _unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def fake_encoder() -> FakeEncoder:
    """A fresh deterministic encoder of the Encoder protocol; `type(fake_encoder)(name, **card)` makes others."""
    return FakeEncoder()
