"""Where and how a torch model runs: the one piece of code that every torch loader encodes with.

On a processor: float32 in inference mode, so that features equal the library's own. On CUDA: bfloat16 autocast,
channels-last convolutions, pinned memory with copies that do not wait, and batches halved when memory runs out.
Fused attention is torch's own `scaled_dot_product_attention`, which OpenCLIP calls by itself, and transformers in
every model that declares it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kpl.errors import EncoderError, InputError

_CPU_BATCH, _DEVICE_BATCH = 16, 256
_CPU_TEXTS, _DEVICE_TEXTS = 4, 64
_CALLS_AHEAD = 4  # batches in one call of an encoder: only between calls does the device wait for the processor

Item = TypeVar("Item")
Tensors = dict[str, Any]
"""Name of an input to a torch tensor on the device."""


class TorchRuntime:
    """A device, a number type and a batch size, chosen once.

    A loader keeps one, hands its model to `place`, and gets features from `rows`::

        runtime = TorchRuntime(device)
        model = runtime.place(model)
        runtime.rows(pictures, lambda part: {"image": prepare(part, card)}, lambda x: model.encode_image(x["image"]))

    Args:
        device: `cpu`, `cuda`, `cuda:1`, `mps`; None takes the first CUDA device, else the processor.
        batch_size: pictures the device gets at once, to begin with; None takes 16 on a processor, else 256.
        compile_model: compile the model with `torch.compile`. It starts minutes later and pays only for many pictures.

    Raises:
        InputError: the device is not known or not there, or the batch size is below 1.

    Attributes:
        device: a `torch.device`
        batch_size: pictures the device gets at once; halved whenever its memory runs out
        lowered: whether the model runs in bfloat16 autocast
    """

    def __init__(
        self, device: str | None = None, *, batch_size: int | None = None, compile_model: bool = False
    ) -> None:
        import torch

        self.device = _device(device)
        self.lowered = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.batch_size = batch_size if batch_size is not None else self._usual_batch()
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}: it must be at least 1")
        self._compile = compile_model

    @property
    def call_size(self) -> int:
        """Pictures worth handing over in one call, so that the device seldom waits for the processor."""
        return self.batch_size * (_CALLS_AHEAD if self.device.type == "cuda" else 1)

    @property
    def text_batch(self) -> int:
        """Sentences at once: few on a processor, where one sentence alone costs as much as all of them."""
        return _CPU_TEXTS if self.device.type == "cpu" else _DEVICE_TEXTS

    def place(self, model: Any) -> Any:  # noqa: ANN401 - torch has no types here
        """Bring a model to the device, frozen and in evaluation mode, and compile it if that was asked for."""
        import torch

        model = model.eval().requires_grad_(False).to(self.device)
        if self.device.type == "cuda":
            model = model.to(memory_format=torch.channels_last)
        return torch.compile(model) if self._compile else model

    def rows(
        self,
        items: Sequence[Item],
        collate: Callable[[Sequence[Item]], Mapping[str, NDArray[Any]]],
        forward: Callable[[Tensors], Any],
        *,
        batch: int | None = None,
    ) -> NDArray[np.float32]:
        """Run a tower over items, batch by batch.

        While a device works on a batch the next one is collated.

        Args:
            items: pictures or sentences, at least one.
            collate: makes arrays with n rows of n items, by name.
            forward: turns tensors of these names into (n, ..., d) features of any length.
            batch: items at once, if the memory holds them; None for `batch_size`.

        Returns:
            (items, ..., d) float32 unit rows.

        Raises:
            EncoderError: the device's memory does not hold a single item.
        """
        import torch

        parts: list[Any] = []
        done = 0
        with torch.inference_mode():
            while done < len(items):
                part = items[done : done + min(batch or self.batch_size, self.batch_size)]
                try:
                    parts.append(self._forward(collate(part), forward))
                    done += len(part)
                    continue
                except torch.OutOfMemoryError as error:
                    if self.batch_size == 1:
                        raise EncoderError(
                            f"the memory of {self.device} does not hold one item of this model: free it, or use 'cpu'"
                        ) from error
                self._halve()  # out here, where the error no longer holds the tensors of what it interrupted
            rows = torch.cat(parts).cpu().numpy()
        return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)

    def _forward(self, arrays: Mapping[str, NDArray[Any]], forward: Callable[[Tensors], Any]) -> Any:  # noqa: ANN401
        import torch

        tensors = {name: self._tensor(array) for name, array in arrays.items()}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.lowered):
            return forward(tensors).float()

    def _tensor(self, array: NDArray[Any]) -> Any:  # noqa: ANN401
        import torch

        tensor = torch.from_numpy(array)
        if self.device.type != "cuda":
            return tensor.to(self.device)
        tensor = tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    def _halve(self) -> None:
        import torch

        self.batch_size //= 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _usual_batch(self) -> int:
        return _CPU_BATCH if self.device.type == "cpu" else _DEVICE_BATCH


def _device(name: str | None) -> Any:  # noqa: ANN401
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    # torch asserts where it was built without CUDA
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        there = ["cpu"] + [f"cuda:{k}" for k in range(torch.cuda.device_count())]
        raise InputError(f"device {name!r} cannot be used ({reason}): here are {', '.join(there)}") from error
    return device
