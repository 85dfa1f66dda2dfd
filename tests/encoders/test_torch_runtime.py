"""The torch runtime on a processor; what CUDA would do is played by fakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kpl.encoders.torch_runtime import TorchRuntime
from kpl.errors import EncoderError, InputError

torch = pytest.importorskip("torch", reason="not installed: torch, an extra")
pytestmark = pytest.mark.torch

ITEMS = [np.array([k + 1.0, 3.0, -1.0], np.float32) for k in range(11)]


def collate(items: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    return {"x": np.stack(items)}


def test_rows_are_unit_and_do_not_depend_on_the_batch_size() -> None:
    linear = torch.nn.Linear(3, 5)
    found = []
    for size in (1, 4, 64):
        runtime = TorchRuntime("cpu", batch_size=size)
        model = runtime.place(linear)
        found.append(runtime.rows(ITEMS, collate, lambda x, model=model: model(x["x"])))
    for rows in found:
        assert rows.shape == (11, 5)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(rows, found[0], atol=1e-6)


def test_a_placed_model_is_frozen_and_evaluates() -> None:
    model = TorchRuntime("cpu").place(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5)))
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_on_a_processor_nothing_is_lowered() -> None:
    runtime = TorchRuntime("cpu")
    assert not runtime.lowered
    assert runtime.call_size == runtime.batch_size == 16


def test_out_of_memory_halves_the_batch_and_goes_on() -> None:
    runtime = TorchRuntime("cpu", batch_size=8)
    sizes: list[int] = []

    def forward(x: dict[str, Any]) -> Any:
        sizes.append(len(x["x"]))
        if len(x["x"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x["x"]

    rows = runtime.rows(ITEMS, collate, forward)
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 1]
    assert runtime.batch_size == 2
    np.testing.assert_allclose(rows * np.linalg.norm(np.stack(ITEMS), axis=1)[:, None], np.stack(ITEMS), rtol=1e-5)


def test_a_model_too_large_for_one_item_is_refused() -> None:
    def forward(x: dict[str, Any]) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(EncoderError, match="does not hold one item"):
        TorchRuntime("cpu", batch_size=4).rows(ITEMS, collate, forward)


def test_other_errors_are_not_swallowed() -> None:
    def forward(x: dict[str, Any]) -> Any:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        TorchRuntime("cpu").rows(ITEMS, collate, forward)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:"])
def test_an_unusable_device_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"device '{name}' cannot be used"):
        TorchRuntime(name)


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="batch_size is 0"):
        TorchRuntime("cpu", batch_size=0)


class FakeCuda:
    """As much of a CUDA device as the runtime looks at."""

    type = "cuda"


class FakeTensor:
    """Records what is done to it; `forward` sees it in place of a tensor on the device."""

    def __init__(self, array: NDArray[Any], log: list[str]) -> None:
        self.array, self.log, self.ndim = array, log, array.ndim

    def pin_memory(self) -> FakeTensor:
        self.log.append("pinned")
        return self

    def to(self, _device: Any = None, *, non_blocking: bool = False, memory_format: Any = None) -> FakeTensor:
        self.log.append(
            "channels_last" if memory_format is torch.channels_last else f"copied, waits={not non_blocking}"
        )
        return self


def test_on_cuda_pictures_are_pinned_copied_without_waiting_and_laid_channels_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = TorchRuntime("cpu")
    runtime.device, runtime.lowered = FakeCuda(), True
    log: list[str] = []
    monkeypatch.setattr(torch, "from_numpy", lambda array: FakeTensor(array, log))
    lowered: list[tuple[str, Any, bool]] = []

    class Autocast:
        def __init__(self, kind: str, dtype: Any, *, enabled: bool) -> None:
            lowered.append((kind, dtype, enabled))

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(torch, "autocast", Autocast)
    runtime.rows(
        ITEMS,
        lambda items: {
            "image": np.zeros((len(items), 3, 2, 2), np.float32),
            "ids": np.zeros((len(items), 4), np.int64),
        },
        lambda x: torch.ones(len(x["image"].array), 2),
    )
    assert lowered == [("cuda", torch.bfloat16, True)]
    assert log == ["pinned", "copied, waits=False", "channels_last", "pinned", "copied, waits=False"]
    assert runtime.call_size == 4 * runtime.batch_size
