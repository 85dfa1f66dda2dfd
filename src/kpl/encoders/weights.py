"""Which of a repository's files are its weights, and pickles made into safetensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from kpl.encoders.files import check_pickle
from kpl.errors import EncoderError

__all__ = ["as_safetensors", "choose_weights", "read_weights"]

_SAFE: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "openclip": (("open_clip_model.safetensors",), ("open_clip_pytorch_model.safetensors",), ("model.safetensors",)),
    "transformers": (("model.safetensors",), ("model.safetensors.index.json", "model-*-of-*.safetensors")),
    "onnx": (("image.onnx", "text.onnx", "tokenizer.json"),),
}
_PICKLED: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "openclip": (("open_clip_pytorch_model.bin",), ("open_clip_pytorch_model.pth",), ("pytorch_model.bin",)),
    "transformers": (("pytorch_model.bin",), ("pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin")),
    "onnx": (),
}
_OTHERS: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
_PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt")
_PICKLE: Final = (
    "a format that can run code when it is read: --allow-pickle reads it once with torch's restricted reader and keeps "
    "safetensors"
)
_PREFIXES: Final = ("module.", "model.", "clip.")


def choose_weights(hub_id: str, names: Sequence[str], loader: str, *, file: str = "", allow_pickle: bool) -> list[str]:
    """Choose the files that hold the weights: safetensors or ONNX, and a pickle only when that is allowed.

    Args:
        hub_id: of the repository.
        names: of its files.
        loader: which reads them.
        file: the one to take, whatever its name.
        allow_pickle: whether a pickle may be taken.

    Raises:
        EncoderError: there are none, or only pickles.

    Example:
        >>> choose_weights("a/b", ["model.safetensors", "pytorch_model.bin"], "transformers", allow_pickle=True)
        ['model.safetensors']
    """
    if file:
        return [_named(hub_id, names, file, allow_pickle=allow_pickle)]
    for patterns in _SAFE[loader] + (_PICKLED[loader] if allow_pickle else ()):
        chosen = [[name for name in names if fnmatch(name, pattern)] for pattern in patterns]
        if all(chosen):
            return sorted(name for part in chosen for name in part)
    wanted = ", ".join(patterns[0] for patterns in _SAFE[loader])
    others = [name for name in names if any(fnmatch(name, pattern) for pattern in _OTHERS)]
    if any(fnmatch(name, patterns[0]) for patterns in _PICKLED[loader] for name in names):
        raise EncoderError(f"{hub_id} has its weights only as a pickle ({', '.join(others[:3])}), {_PICKLE}")
    one = f"; or --file {others[0]} --architecture NAME, if it is a model of OpenCLIP's" if others else ""
    raise EncoderError(
        f"{hub_id} has no weights that the loader {loader!r} reads: none of {wanted}"
        + (f", only {', '.join(others[:3])}" if others else "")
        + f"; another loader may: hf:ORG/NAME for transformers, openclip:hf-hub:ORG/NAME for OpenCLIP{one}"
    )


def _named(hub_id: str, names: Sequence[str], file: str, *, allow_pickle: bool) -> str:
    if file not in names:
        there = [name for name in names if name.endswith((".safetensors", *_PICKLES))]
        raise EncoderError(f"{hub_id} has no file {file!r}; its weights: {', '.join(there[:5]) or 'none'}")
    if not file.endswith((".safetensors", *_PICKLES)):
        raise EncoderError(f"{file!r} is no file of weights: .safetensors, {', '.join(_PICKLES)}")
    if not file.endswith(".safetensors") and not allow_pickle:
        raise EncoderError(f"{hub_id}: {file} is a pickle, {_PICKLE}")
    return file


def as_safetensors(folder: Path, names: Sequence[str]) -> None:
    """Replace pickled weights in a folder by one safetensors file; other weights stay as they are.

    Raises:
        EncoderError: a file is no pickle of tensors alone.
    """
    pickles = [name for name in names if name.endswith(_PICKLES)]
    if not pickles:
        return
    from safetensors.torch import save_file

    tensors: dict[str, Any] = {}
    for name in pickles:
        tensors |= read_weights(folder / name)
    # a tensor that two names share is written twice: the format has no sharing
    plain = {key: tensor.clone().contiguous() for key, tensor in tensors.items()}
    name = "open_clip_model.safetensors" if (folder / "open_clip_config.json").is_file() else "model.safetensors"
    save_file(plain, folder / name, metadata={"format": "pt"})
    for path in (*(folder / name for name in names), folder / "pytorch_model.bin.index.json"):
        path.unlink(missing_ok=True)


def read_weights(path: Path) -> dict[str, Any]:
    """Read the tensors of one file by name: safetensors, or a pickle that was allowed, by torch's restricted reader.

    Raises:
        EncoderError: the pickle holds something else than tensors.
    """
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        return dict(load_file(path))
    check_pickle(path)
    try:
        told = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:120]
        raise EncoderError(
            f"{path.name} holds more than tensors, so it is not read ({reason}): ask its authors for safetensors"
        ) from error
    held = next((told[key] for key in ("state_dict", "model") if isinstance(told.get(key), Mapping)), told)
    tensors = {key: value for key, value in held.items() if torch.is_tensor(value)}
    for prefix in _PREFIXES:  # what a trainer wrapped around the model
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors
