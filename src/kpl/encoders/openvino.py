"""The two towers of an ONNX export in bfloat16, by OpenVINO: for processors that multiply such numbers themselves."""

from __future__ import annotations

import math
import platform
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kpl.bounded import half_of_memory
from kpl.encoders.onnx import OnnxEncoder, Tower, on_processor
from kpl.encoders.protocol import EncoderCard
from kpl.errors import EncoderError, from_extra
from kpl.quiet import unreported_openvino

_LARGEST_BATCH: Final = 8
_FIRST: Final = threading.Lock()


def _library() -> ModuleType:
    """OpenVINO, with its table of NumPy's types made: two threads that make it at once wait for each other for ever."""
    with _FIRST:
        openvino = unreported_openvino()
        _ = openvino.Tensor(np.zeros(1, np.float32)).data
    return openvino


def load(
    folder: Path,
    card: EncoderCard,
    *,
    device: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> OpenVinoEncoder:
    """Load an encoder of two ONNX towers that compute in bfloat16; the last two arguments have no meaning here.

    Raises:
        InputError: a device other than the processor.
        MissingExtraError: OpenVINO is not installed.
        EncoderError: the processor has no such numbers; or a file is missing, damaged or cannot be read.
    """
    del allow_pickle, trust_remote_code
    on_processor(card, device)
    require_bfloat16(f"encoder {card.name!r}")
    return OpenVinoEncoder(folder, card)


def require_bfloat16(what: str) -> None:
    """Refuse what cannot be computed in bfloat16 here, or not faster than without.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        EncoderError: this processor has no such numbers.
    """
    with from_extra("openvino", what):
        core = _library().Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EncoderError(
            f"{what}: the processor, {_named(core)}, has no bfloat16 and would only imitate it, slowly: take an export "
            "without --bf16"
        )


class OpenVinoEncoder(OnnxEncoder):
    """An `OnnxEncoder` that computes in bfloat16: a picture's row is the same, bit for bit, in whatever batch."""

    @property
    def numerics(self) -> str:
        """What features depend on beside the encoder's identity."""
        openvino = _library()
        return f"openvino {openvino.__version__} bfloat16, {platform.machine()}, {_named(openvino.Core())}"

    def opened(self, path: Path) -> Tower:
        """Make a graph's file something that computes, each batch on one thread as `OnnxEncoder` has it."""
        core = _library().Core()
        graph = core.read_model(path)
        self._check_room(graph)
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "NUM_STREAMS": self.threads,
            "INFERENCE_NUM_THREADS": self.threads,
            "ENABLE_CPU_PINNING": False,  # other programs have the same cores
        }
        return _Tower(core.compile_model(graph, "CPU", settings))

    def _check_room(self, graph: Any) -> None:  # noqa: ANN401 - the library has no types here
        """Refuse a graph that would make more at once than half of the memory holds: nothing bounds it later."""
        shaped = graph.clone()
        side = self.card.image_size
        sides = {"image": [_LARGEST_BATCH, 3, side, side]}
        length = [1, self.card.context_length]
        shaped.reshape({port: sides.get(port.any_name, length) for port in shaped.inputs})
        made = [output.partial_shape for node in shaped.get_ops() for output in node.outputs()]
        if any(shape.is_dynamic for shape in made):
            raise ValueError("what it makes has no size that is known before")
        most = half_of_memory()
        if most is not None and 4 * max(math.prod(shape.to_shape()) for shape in made) > most // self.threads:
            raise ValueError("what it makes does not fit into half of the memory")


class _Tower:
    """A compiled graph, called as a session of onnxruntime is."""

    def __init__(self, compiled: Any) -> None:  # noqa: ANN401 - the library has no types here
        self._compiled = compiled

    def get_inputs(self) -> Sequence[Any]:
        return [SimpleNamespace(name=port.any_name) for port in self._compiled.inputs]

    def get_outputs(self) -> Sequence[Any]:
        return [SimpleNamespace(name=name) for port in self._compiled.outputs for name in port.names]

    def run(self, names: Sequence[str], inputs: dict[str, NDArray[Any]]) -> Sequence[Any]:
        request = self._compiled.create_infer_request()  # one a call: several threads call
        request.infer(inputs)
        return [request.get_tensor(name).data.copy() for name in names]


def _named(core: Any) -> str:  # noqa: ANN401 - the library has no types here
    return str(core.get_property("CPU", "FULL_DEVICE_NAME")).strip()
