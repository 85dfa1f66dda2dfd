"""ONNX graphs: written to disk whatever their size, and quantised to 8 bits."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

from kpl.errors import EncoderError

_WHOLE: Final = 1_500_000_000
"""Bytes up to which a graph is one file; a protobuf message cannot hold more than 2 GiB."""


def save_graph(graph: Any, path: Path, *, whole: int = _WHOLE) -> None:  # noqa: ANN401 - an onnx.ModelProto
    """Write a graph, its weights in a second file NAME.data when it is larger than `whole` bytes."""
    import onnx

    if sum(len(weight.raw_data) for weight in graph.graph.initializer) <= whole:
        onnx.save(graph, path)
    else:
        onnx.save(graph, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)


def quantise(path: Path) -> None:
    """Quantise the weights of matrix products in a graph's file to 8 bits, a scale a column; the file is replaced.

    Activations are quantised as they come (dynamic quantisation). Weights use 7 of the 8 bits, because processors
    without VNNI add two products of 8 bits with saturation: the same file is right everywhere.

    Raises:
        EncoderError: the graph cannot be quantised.
    """
    import onnxruntime as ort
    from onnxruntime.quantization import QuantType, quantize_dynamic

    folded = path.with_name(f"folded-{path.name}")
    external = path.with_name(f"{path.name}.data")
    try:
        # Weights that the exporter left behind a transposition become plain again, or they would stay as they are.
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
        if external.is_file():
            options.add_session_config_entry(
                "session.optimized_model_external_initializers_file_name", f"{folded.name}.data"
            )
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        level = logging.root.level
        logging.root.setLevel(logging.ERROR)  # it advises there to pre-process, which was done above
        try:
            quantize_dynamic(
                folded,
                path,
                op_types_to_quantize=["MatMul", "Gemm"],
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
                use_external_data_format=external.is_file(),
                extra_options={"MatMulConstBOnly": True},
            )
        finally:
            logging.root.setLevel(level)
    except Exception as error:
        raise EncoderError(f"{path.name} cannot be quantised: {str(error).strip().splitlines()[0]}") from error
    finally:
        for left in (folded, folded.with_name(f"{folded.name}.data")):
            left.unlink(missing_ok=True)
