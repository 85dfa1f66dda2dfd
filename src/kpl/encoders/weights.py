"""Which of a repository's files are its weights, and pickles made into safetensors."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from kpl.encoders.files import PICKLES, check_pickle, read_json
from kpl.errors import EncoderError, one_line

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
_PICKLE: Final = (
    "a format that can run code when it is read: --allow-pickle reads it once with torch's restricted reader and keeps "
    "safetensors"
)


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
        there = [name for name in names if name.endswith((".safetensors", *PICKLES))]
        raise EncoderError(f"{hub_id} has no file {file!r}; its weights: {', '.join(there[:5]) or 'none'}")
    if not file.endswith((".safetensors", *PICKLES)):
        raise EncoderError(f"{file!r} is no file of weights: .safetensors, {', '.join(PICKLES)}")
    if not file.endswith(".safetensors") and not allow_pickle:
        raise EncoderError(f"{hub_id}: {file} is a pickle, {_PICKLE}")
    return file


def as_safetensors(folder: Path, names: Sequence[str]) -> None:
    """Replace pickled weights in a folder by one safetensors file of the name that its library looks for.

    Safetensors of a known name stay as they are, of another get it.

    Raises:
        EncoderError: a file is no pickle of tensors alone.
    """
    loader = "openclip" if (folder / "open_clip_config.json").is_file() else "transformers"
    known = [pattern for patterns in (*_SAFE[loader], *_SAFE["onnx"]) for pattern in patterns]
    others = [name for name in names if not any(fnmatch(name, pattern) for pattern in known)]
    if not others:
        return
    safe = folder / _SAFE[loader][0][0]
    index = next((name for name in others if name.endswith(".index.json")), None)
    parts = [str(part) for part in read_json(folder / index)["weight_map"].values()] if index else []
    _write(read_weights(folder / index) if index else _joined([folder / name for name in others]), safe)
    for name in (*others, *parts):
        (folder / Path(name).name if name in parts else folder / name).unlink(missing_ok=True)


@contextmanager
def plain_weights(path: Path) -> Iterator[Path]:
    """The same weights as one safetensors file, for a library that knows neither pickle nor index of that form."""
    if path.suffix == ".safetensors" and not wrapping(path):
        yield path
        return
    with TemporaryDirectory() as work:
        _write(read_weights(path), Path(work) / "model.safetensors")
        yield Path(work) / "model.safetensors"


def _write(tensors: Mapping[str, Any], path: Path) -> None:
    from safetensors.torch import save_file

    # a tensor that two names share is written twice: the format has no sharing
    save_file({key: tensor.clone().contiguous() for key, tensor in tensors.items()}, path, metadata={"format": "pt"})


def read_weights(path: Path) -> dict[str, Any]:
    """Read the tensors of a file by name: safetensors, an index of several, or a pickle that was allowed, by torch's
    restricted reader; without what a trainer wrapped around the model.

    Raises:
        EncoderError: the pickle holds something else than tensors.
    """
    if path.name.endswith(".index.json"):
        parts = sorted({str(name) for name in read_json(path).get("weight_map", {}).values()})
        return _joined([path.parent / Path(part).name for part in parts])
    return _joined([path])


def wrapping(path: Path) -> str:
    """What the names of all tensors of a safetensors file begin with, such as the `module` of training on several
    cards; empty where they begin differently."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as held:
        names = list(held.keys())
    first = {name.partition(".")[0] for name in names}
    return first.pop() if len(first) == 1 and all("." in name for name in names) else ""


def _joined(paths: Sequence[Path]) -> dict[str, Any]:
    from safetensors.torch import load_file

    tensors: dict[str, Any] = {}
    for path in paths:
        tensors |= load_file(path) if path.suffix == ".safetensors" else _model_in(_unpickled(path), path)
    while len(wrapped := {name.partition(".")[0] for name in tensors}) == 1 and all("." in name for name in tensors):
        tensors = {name.removeprefix(f"{next(iter(wrapped))}."): tensor for name, tensor in tensors.items()}
    return tensors


def _unpickled(path: Path) -> Any:  # noqa: ANN401 - torch
    import argparse

    import torch

    check_pickle(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # a trainer's own options, which hold values alone
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if not isinstance(error, pickle.UnpicklingError):
            raise EncoderError(
                f"{path}: the weights cannot be read ({one_line(error)}); the file is damaged: get it again"
            ) from error
        found = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it needs {found[1]}" if found else one_line(error)
        raise EncoderError(
            f"{path}: it holds more than tensors and is not read ({reason}): ask its authors for safetensors"
        ) from error


def _model_in(told: Any, path: Path) -> dict[str, Any]:  # noqa: ANN401 - torch
    """The tensors by name of the mapping that has the most: state_dict, model, net, ...; not their moving average.

    Raises:
        EncoderError: several have as many, and no name says which is the model.
    """
    sets = dict(_sets_of_tensors(told))
    most = max(map(len, sets.values()), default=0)
    largest = {name: tensors for name, tensors in sets.items() if len(tensors) == most}
    plain = {name: tensors for name, tensors in largest.items() if not re.search(r"(?i)(^|[^a-z])ema([^a-z]|$)", name)}
    if len(plain or largest) > 1:
        raise EncoderError(
            f"{path}: it holds several models ({', '.join(plain or largest)}), and no name that says which to take: "
            "save the one you want alone"
        )
    return next(iter((plain or largest).values()), {})


def _sets_of_tensors(told: Any, name: str = "", depth: int = 3) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401
    import torch

    if not isinstance(told, Mapping) or depth == 0:
        return
    yield name, {str(key): value.detach() for key, value in told.items() if torch.is_tensor(value)}
    for key, value in told.items():
        yield from _sets_of_tensors(value, f"{name}.{key}" if name else str(key), depth - 1)
