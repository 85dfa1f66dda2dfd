"""Both towers of a torch encoder to ONNX: a folder that needs no torch, measured against what it was made from."""

from __future__ import annotations

import contextlib
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from kpl.encoders.files import hash_files
from kpl.encoders.onnx import OnnxEncoder
from kpl.encoders.onnx_graphs import quantise, save_graph
from kpl.encoders.openvino import OpenVinoEncoder, require_bfloat16
from kpl.encoders.protocol import Encoder, EncoderCard
from kpl.encoders.store import read_card, write_card
from kpl.encoders.tokenizer_files import as_tokenizers
from kpl.encoders.torch_encoder import TorchEncoder
from kpl.errors import AlreadyThereError, EncoderError, OutputError, from_extra
from kpl.files import new_folder
from kpl.progress import Progress, silent

OPSET: Final = 18
"""Version of the ONNX operators that exported towers use."""

Precision = Literal["fp32", "bf16", "int8"]
"""Numbers that an export computes with: of 32 bits; of 16, by OpenVINO; or, for the weights of products, of 8."""

LEAST_COSINE: Final[Mapping[Precision, float]] = {"fp32": 0.9999, "bf16": 0.999, "int8": 0.99}
"""Mean cosine to the original below which an export is refused."""

_STEPS = 4

SENTENCES: Final = (
    "a photo of a cat.",
    "No opacity in either lung; the heart is not enlarged.",
    "A large cell with a lobed nucleus, pale cytoplasm and fine granules.",
    "Tumour, stained with haematoxylin and eosin (H&E), at 40x.",
    "an irregular border, two or more colours, wider than 6 mm",
    "It's what we'd call “typical”: ≥ 50 µm, naïve T-cells, 3.5–4.0 × 10⁹/L",
    "UPPER CASE, lower case and MiXeD case words with numbers 1 22 333 4444.",
    "cell",
)
"""What parity is measured on, with words of several lengths and with what tokenizers stumble over."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How close one exported tower is to the original.

    Attributes:
        tower: "image" or "text".
        precision: of `Precision`.
        mean, least: cosine between features, over the checked pictures or sentences.
        n: how many these are.
    """

    tower: str
    precision: Precision
    mean: float
    least: float
    n: int

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.tower} tower, {self.precision}: mean cosine {self.mean:.6f}, least {self.least:.6f}, of {self.n}"


@dataclass(frozen=True, slots=True)
class Export:
    """What an export came to.

    Attributes:
        folder: the new encoder's folder; `load_encoder(folder)` reads it without torch.
        parity: for each tower.
    """

    folder: Path
    parity: tuple[Parity, ...]


def export_onnx(
    encoder: Encoder,
    out: Path,
    *,
    source: Path | None = None,
    precision: Precision = "fp32",
    progress: Progress | None = None,
) -> Export:
    """Export both towers, measure them against the original, and keep them only if they are close enough.

    Args:
        encoder: a loaded encoder of torch, on the processor.
        out: the encoder folder to make; must not exist.
        source: the original's folder: its golden vectors, which its own library made, and licences are taken over.
        precision: int8 quantises the weights of matrix products: smaller, faster, and less exact. bf16 leaves the
            files as they are, and the result needs OpenVINO and a processor that has bfloat16.
        progress: told "export", steps done, steps in all.

    Raises:
        MissingExtraError: torch, onnx or onnxscript is not installed; for bf16, OpenVINO.
        EncoderError: not a torch encoder; it cannot be traced; its tokenizer has no such file; this processor has no
            bfloat16; or the result is not close enough, with the figure.
        AlreadyThereError: `out` is this very export.
        OutputError: `out` exists or cannot be written.
    """
    if not isinstance(encoder, TorchEncoder):
        raise EncoderError("only an encoder of the loaders openclip and transformers can be exported to ONNX")
    if encoder.card.resize == "patches":
        raise EncoderError("an encoder of pictures of any proportions (NaFlex) cannot be exported to ONNX")
    if encoder.runtime.device.type != "cpu":
        raise EncoderError(f"an export is made on the processor, not on {encoder.runtime.device}: load with device cpu")
    _require(precision)
    tell = progress or silent
    with new_folder(out) as work:
        if out.exists() or out.is_symlink():
            if _is_of(out, encoder, precision):
                raise AlreadyThereError(out)
            raise OutputError(f"{str(out)!r} exists: give a new folder")
        tell("export", 0, _STEPS)
        (work / "weights").mkdir()
        _write_tokenizer(encoder, work / "weights" / "tokenizer.json")
        _write_towers(encoder, work / "weights", int8=precision == "int8", tell=tell)
        if source is not None:
            _take_over(source, work)
        parity = _finish(encoder, work, precision)
        tell("export", _STEPS, _STEPS)
    return Export(out, parity)


def _card_of(encoder: Encoder, precision: Precision, files: dict[str, str]) -> EncoderCard:
    """The card of what is exported."""
    card = encoder.card
    changes = {
        "name": f"{card.name}-onnx" + (f"-{precision}" if precision != "fp32" else ""),
        "loader": "openvino" if precision == "bf16" else "onnx",
        "remote_code": False,
        "text_cleaning": "tokenizer",
        "recipe": f"{card.recipe} Exported to ONNX (opset {OPSET}, {precision}) from {card.name!r} with torch "
        f"{version('torch')}; sentences are padded as weights/tokenizer.json says.".strip(),
    }
    return card.model_copy(update=changes | {"files": files})


def _is_of(folder: Path, encoder: Encoder, precision: Precision) -> bool:
    """Say whether a folder holds, whole, what an export of this encoder makes here."""
    try:
        there, card = read_card(folder), _card_of(encoder, precision, hash_files(folder))
        measured = {"figures": there.figures, "tolerance": there.tolerance}
        return there == card.model_copy(update=measured)
    except (OSError, EncoderError):
        return False


def _require(precision: Precision) -> None:
    if precision == "bf16":
        require_bfloat16("exporting in bfloat16")
    with from_extra("onnx-export", "exporting to ONNX"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
        import torch  # noqa: F401


def _write_tokenizer(encoder: TorchEncoder, path: Path) -> None:
    """Write the tokenizer with the model's padding, and make sure that it reads sentences as the original does."""
    from tokenizers import Tokenizer, normalizers

    made = as_tokenizers(encoder.tokenizer.original)
    if encoder.card.text_cleaning == "lower":
        lower = normalizers.Lowercase()
        made.normalizer = lower if made.normalizer is None else normalizers.Sequence([lower, made.normalizer])
    ids, mask = _read_as(encoder, ["a", "a b c"])
    length = ids.shape[1] if ids.shape[1] == encoder.context_length else None
    pad = int(ids[0, -1]) if len(made.encode("a").ids) < ids.shape[1] else 0
    made.enable_padding(length=length, pad_id=pad, pad_token=made.id_to_token(pad) or "[PAD]")
    made.save(str(path))
    made = Tokenizer.from_file(str(path))
    for sentence in SENTENCES:
        if encoder.count_tokens(sentence) > encoder.context_length:
            continue
        ids, mask = _read_as(encoder, [sentence])
        found = made.encode(sentence)
        if found.ids != ids[0].tolist() or (mask is not None and found.attention_mask != mask[0].tolist()):
            raise EncoderError(
                f"the exported tokenizer of {encoder.card.name!r} reads {sentence!r} otherwise than the original: "
                "this model cannot be exported"
            )


def _read_as(encoder: TorchEncoder, sentences: Sequence[str]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The original's token ids and, if it has one, its mask."""
    arrays = encoder.tokenizer.arrays(sentences)
    masks = [array for name, array in arrays.items() if "mask" in name]
    return arrays[_ids_name(arrays)], masks[0] if masks else None


def _ids_name(arrays: dict[str, Any]) -> str:
    return next(name for name in arrays if "mask" not in name and "type" not in name)


def _write_towers(encoder: TorchEncoder, folder: Path, *, int8: bool, tell: Progress) -> None:
    import torch

    size = encoder.card.image_size
    arrays = encoder.tokenizer.arrays(["a", "b c"])
    ids = _ids_name(arrays)
    fixed = arrays[ids].shape[1] == encoder.context_length

    def read(ids_and_mask: tuple[Any, Any]) -> Any:  # noqa: ANN401
        given = {"ids": ids_and_mask[0], "mask": ids_and_mask[1]}
        # What remains, such as the types of tokens, is zero for a single sentence.
        inputs = {
            name: given["ids"] if name == ids else given["mask"] if "mask" in name else torch.zeros_like(given["ids"])
            for name in arrays
        }
        return encoder.text_rows(inputs)

    tokens = torch.from_numpy(np.ascontiguousarray(arrays[ids]))
    lengths = {} if fixed else {1: "length"}
    towers = (
        ("image", encoder.image_rows, {"image": torch.zeros(2, 3, size, size)}, {0: "n"}),
        ("text", lambda a, b: read((a, b)), {"ids": tokens, "mask": torch.ones_like(tokens)}, {0: "n", **lengths}),
    )
    for number, (name, forward, example, dynamic) in enumerate(towers):
        tell("export", 1 + number, _STEPS)
        save_graph(_traced(encoder, forward, example, dynamic), folder / f"{name}.onnx")
        if int8:
            quantise(folder / f"{name}.onnx")
    tell("export", 3, _STEPS)


def _traced(encoder: TorchEncoder, forward: Any, example: dict[str, Any], dynamic: dict[int, str]) -> Any:  # noqa: ANN401
    """The ONNX graph of a tower."""
    import torch

    class Tower(torch.nn.Module):  # type: ignore[misc] # torch has no types here
        def __init__(self) -> None:
            super().__init__()
            self.model = encoder.model

        def forward(self, *inputs: Any) -> Any:  # noqa: ANN401
            return forward(*inputs)

    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                Tower().eval(),
                tuple(example.values()),
                dynamo=True,
                input_names=list(example),
                output_names=["rows"],
                dynamic_shapes=(tuple(dynamic for _ in example),),
                opset_version=OPSET,
                verbose=False,
            )
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise EncoderError(f"encoder {encoder.card.name!r} cannot be exported to ONNX: {reason}") from error
    return program.model_proto


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks, and without torch's fast path, which has no ONNX form."""
    import torch

    fast = torch.backends.mha.get_fastpath_enabled()
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        torch.backends.mha.set_fastpath_enabled(False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _take_over(source: Path, folder: Path) -> None:
    for pattern in ("golden.*", "LICEN[CS]E*", "README*", "NOTICE*"):
        for path in sorted(source.glob(pattern)):
            shutil.copyfile(path, folder / path.name)


def _finish(encoder: TorchEncoder, folder: Path, precision: Precision) -> tuple[Parity, ...]:
    """Write the card, load the new encoder as a user would, and measure it."""
    card = _card_of(encoder, precision, hash_files(folder))
    write_card(folder, card)
    made = (OpenVinoEncoder if precision == "bf16" else OnnxEncoder)(folder, read_card(folder))
    parity = (
        _measure("image", precision, encoder.encode_images, made.encode_images, _pictures()),
        _measure("text", precision, encoder.encode_texts, made.encode_texts, _sentences(encoder)),
    )
    for tower in parity:
        if not tower.mean >= LEAST_COSINE[precision]:  # false for NaN too
            raise EncoderError(f"{tower}; at least {LEAST_COSINE[precision]} is needed: not exported")
    figures = f"{card.figures} Against the original: {'; '.join(map(str, parity))}.".strip()
    changes = {"figures": figures, "files": hash_files(folder)}
    if precision != "fp32":
        changes["tolerance"] = max(card.tolerance, round(2 * (2 - 2 * min(p.least for p in parity)) ** 0.5, 3))
    write_card(folder, card.model_copy(update=changes))
    return parity


def _measure(
    tower: str, precision: Precision, original: Callable[..., Any], exported: Callable[..., Any], items: Sequence[Any]
) -> Parity:
    cosines = np.sum(original(items).astype(np.float64) * exported(items), axis=1)
    return Parity(tower, precision, float(cosines.mean()), float(cosines.min()), len(items))


def _pictures() -> list[NDArray[np.uint8]]:
    """Pictures of several sizes: smooth colours, stripes, blots and noise."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(24):
        height, width = (int(side) for side in rng.integers(40, 640, 2))
        y, x = np.mgrid[:height, :width] / max(height, width)
        waves = rng.uniform(1, 12, (3, 2)) * rng.choice([0.2, 1, 4])
        colours = [np.sin(a * x + b * y + k) for k, (a, b) in enumerate(waves)]
        blot = np.exp(-((x - rng.uniform()) ** 2 + (y - rng.uniform()) ** 2) / 0.02)
        noise = rng.normal(0, 0.1 * (number % 3), (height, width, 3))
        picture = np.stack(colours, axis=2) / 2 + 0.5 - blot[:, :, None] * rng.uniform(0, 1, 3) + noise
        made.append((255 * picture.clip(0, 1)).astype(np.uint8))
    return made


def _sentences(encoder: TorchEncoder) -> list[str]:
    return [sentence for sentence in SENTENCES if encoder.count_tokens(sentence) <= encoder.context_length]
