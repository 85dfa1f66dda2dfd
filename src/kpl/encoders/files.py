"""The files of an encoder's folder: where they are, what they are called, and which of them may be read."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kpl.bounded import read_bounded
from kpl.encoders.protocol import EncoderCard
from kpl.errors import EncoderError

_SAFE: Final = ".safetensors"
PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".tar")
"""How the files are called that torch writes."""
_NO_WEIGHTS: Final = (".json", ".txt", ".model", ".jinja", ".py", ".md", ".safetensors", ".onnx", ".npz", ".h5")
_LEFTOVERS: Final = (".", "optimizer", "scheduler", "scaler", "rng_state", "training_args", "trainer_state")
"""What a trainer leaves beside the weights."""
_PREFIXES: Final = ("", "module.", "model.", "clip.")
_CARD_FILES: Final = ("card.json", "golden.json", "golden.safetensors", "SHA256SUMS")
_DOCUMENTS: Final = ("LICENSE", "LICENCE", "README", "NOTICE")
_TOKENIZERS: Final = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model",
)  # fmt: skip


_ROOM: Final = 4 << 30  # bytes: what libraries take for themselves
_COPIES: Final = 4  # of half precision made whole, once as it is built and once as it is read
CATALOGUE: Final = "KPL's catalogue"
NOT_READ: Final = "not read: KPL's own"
"""Where a card's fact comes from if not from the model's files."""


def weights_of(folder: Path) -> Path:
    """The folder of the model's own files: `weights` if there is one, else the folder itself."""
    return folder / "weights" if (folder / "weights").is_dir() else folder


def text_of(folder: Path) -> Path:
    """The folder of the text tower's configuration and tokenizer: `text` if there is one, else that on this machine
    which OpenCLIP's configuration names, else the weights' folder."""
    if (folder / "text").is_dir():
        return folder / "text"
    weights = weights_of(folder)
    return named_folder(weights, _text_cfg(weights).get("hf_model_name")) or weights


def tokenizer_folder(folder: Path) -> Path:
    """The folder of the text tower's tokenizer: that of its configuration, or another on this machine which OpenCLIP's
    configuration names, else the weights' folder."""
    weights, text = weights_of(folder), text_of(folder)
    name = None if (folder / "text").is_dir() else _text_cfg(weights).get("hf_tokenizer_name")
    named = (named_folder(weights, name, holds) for holds in _TOKENIZERS)
    return next((place for place in (*named, text) if place and has_tokenizer(place)), weights)


def has_tokenizer(folder: Path) -> bool:
    """Whether a tokenizer of transformers lies in a folder."""
    return any((folder / name).is_file() for name in _TOKENIZERS)


def _text_cfg(weights: Path) -> dict[str, Any]:
    config = weights / "open_clip_config.json"
    model = read_json(config).get("model_cfg") if config.is_file() else None
    text = model.get("text_cfg") if isinstance(model, dict) else None
    return text if isinstance(text, dict) else {}


def named_folder(weights: Path, name: object, holds: str = "config.json") -> Path | None:
    """The folder on this machine that a configuration names in the place of a hub id; None if it is not there.

    A relative one is looked for beside the weights, then where the command runs, as the libraries do. A path of another
    machine, where the model was before, is one of the same last name beside the weights or their folder.

    Args:
        weights: the folder of the configuration.
        name: in it; of a folder, or of a `config.json`.
        holds: what must be there, a pattern.
    """
    if not isinstance(name, str) or not name:
        return None
    path = Path(name.removesuffix("config.json") if re.search(r"[/\\]config\.json$", name) else name).expanduser()
    last = re.split(r"[/\\]", str(path).rstrip("/\\"))[-1]
    places = (weights / path, path, *([weights / last, weights.parent / last] if last.strip(".") else []))
    return next((found for found in places if found.is_dir() and any(found.glob(holds))), None)


def read_json(path: Path) -> dict[str, Any]:
    """Read one of a model's configuration files.

    Raises:
        EncoderError: it is not there, or no JSON object.
    """
    try:
        found = json.loads(read_bounded(path))
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path}: not a readable configuration file ({error})") from error
    if not isinstance(found, dict):
        raise EncoderError(f"{path}: a JSON object is needed, not a {type(found).__name__}")
    return found


def weight_file(folder: Path, names: Iterable[str], *, allow_pickle: bool, by_name: bool = False) -> Path:
    """Choose the file of weights: a safetensors file, else a pickle if that is allowed.

    Args:
        folder: the model's own files.
        names: file names to look for, the best first.
        allow_pickle: whether a pickle may be taken.
        by_name: whether none of another name is looked for.

    Raises:
        EncoderError: there are no weights, or only a pickle and that is not allowed.
    """
    there = [folder / name for name in names if (folder / name).is_file()]
    there = there or ([] if by_name else _only_weights(folder))
    safe = [path for path in there if path.name.endswith((_SAFE, _SAFE + ".index.json"))]
    if safe:
        return safe[0]
    if not there:
        raise EncoderError(f"{folder}: no weights there; one of {', '.join(names)} is needed")
    if not allow_pickle:
        raise EncoderError(
            f"{there[0]}: these weights are a pickle, which can run code when it is read; take a copy in safetensors, "
            "or pass --allow-pickle to read it with torch's restricted reader"
        )
    check_pickle(there[0])
    return there[0]


def check_pickle(path: Path) -> None:
    """Refuse a pickle whose tensors unpack to more than the file has; torch stores them as they are.

    Raises:
        EncoderError: it is compressed, or claims more than its own size.
    """
    if not zipfile.is_zipfile(path):  # a form of before 2020: its parts are as long as they say, or it is cut short
        return
    try:
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise EncoderError(
            f"{path}: the weights cannot be read ({error}); the file is damaged: get it again"
        ) from error
    if any("/code/" in entry.filename for entry in entries):
        raise EncoderError(
            f"{path}: a program of TorchScript, not weights alone: take the same weights as a state_dict or safetensors"
        )
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not stored or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise EncoderError(f"{path}: these weights unpack to more than the file has, which torch never writes")


def memory_of(folder: Path) -> int:
    """Bound the bytes that a model may take while it is built, by those of its files."""
    return _ROOM + _COPIES * sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _only_weights(folder: Path) -> list[Path]:
    """The one file of weights of whatever name, such as epoch_3.pt; a safetensors file before a pickle.

    Raises:
        EncoderError: there are several, and none has a name that says which to take.
    """
    there = sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith(_LEFTOVERS))
    split = [path for path in there if path.name.endswith(".index.json")]
    for found in (split, [path for path in there if path.suffix == _SAFE], list(filter(_is_pickle, there))):
        if len(found) > 1:
            raise EncoderError(
                f"{folder}: several files of weights ({', '.join(path.name for path in found[:4])}), and no name that "
                f"says which to take: leave one of them there, or kpl encoders pull {folder} --file {found[0].name}"
            )
        if found:
            return found
    return []


def _is_pickle(path: Path) -> bool:
    """Whether torch wrote a file, by its name or, where that says nothing, by how it begins."""
    if path.suffix in PICKLES:
        return True
    if path.suffix in _NO_WEIGHTS:
        return False
    with path.open("rb") as file:
        begins = file.read(4)
    if begins[:2] == b"\x80\x02":
        return True
    try:
        return begins == b"PK\x03\x04" and any(name.endswith("/data.pkl") for name in zipfile.ZipFile(path).namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def read_tensor(path: Path, names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
    """Read some tensors of a file of weights without reading the others.

    Args:
        path: a safetensors file, an index of several, or a pickle that was allowed.
        names: of tensors; those that are not there are left out.

    Raises:
        EncoderError: the file is damaged, or holds something else than tensors.
    """
    from safetensors import SafetensorError

    try:
        if path.suffix == _SAFE:
            return _from_safetensors(path, names)
        if path.name.endswith(".index.json"):
            places = read_json(path).get("weight_map", {})
            found = {name: path.parent / places[name] for name in names if name in places}
            return {name: _from_safetensors(file, [name])[name] for name, file in found.items()}
        return _from_pickle(path, names)
    except (SafetensorError, OSError, KeyError) as error:
        raise EncoderError(
            f"{path}: the weights cannot be read ({error}); the file is damaged: get it again"
        ) from error


def _from_safetensors(path: Path, names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
    """Numpy knows no bfloat16, so numbers are read as bytes of the type that the header names."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        there = set(file.keys())
        kinds = {name: file.get_slice(name).get_dtype() for name in names if name in there}
        plain = {name for name, kind in kinds.items() if kind != "BF16"}
        found = {name: np.asarray(file.get_tensor(name), dtype=np.float32) for name in plain}
    return found | {name: _bfloat16(path, name) for name in kinds if name not in found}


def _bfloat16(path: Path, name: str) -> NDArray[np.float32]:
    """The upper halves of 32-bit floats, from where the file's header says."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        place = json.loads(file.read(length))[name]
        start, end = place["data_offsets"]
        file.seek(8 + length + start)
        high = np.frombuffer(file.read(end - start), dtype="<u2").astype(np.uint32) << 16
    return high.view(np.float32).reshape(place["shape"])


def _from_pickle(path: Path, names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
    from kpl.encoders.weights import read_weights

    held = read_weights(path)
    return {name: held[name].float().numpy() for name in names if name in held}


def hash_files(folder: Path) -> dict[str, str]:
    """Hash every file of a model in an encoder's folder: path in it, with slashes, to SHA-256; sorted.

    Left out: hidden files, the card, golden vectors, licence texts and other documents.
    """
    weights = weights_of(folder)
    names = {path.relative_to(folder).as_posix(): path for path in weights.rglob("*") if path.is_file()}
    for text in {text_of(folder), tokenizer_folder(folder)} - {weights}:  # they may lie elsewhere on this machine
        names |= {f"text/{path.relative_to(text).as_posix()}": path for path in text.rglob("*") if path.is_file()}
    hashed = {}
    for name, path in sorted(names.items()):
        parts = Path(name).parts
        if path.name in _CARD_FILES or any(part.startswith((".", "__")) for part in parts):
            continue
        if path.name.upper().startswith(_DOCUMENTS) or path.suffix in (".md", ".svg", ".png", ".jpg", ".ipynb"):
            continue
        hashed[name] = file_hash(path)
    return hashed


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Raises:
        EncoderError: it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise EncoderError(f"{path}: is no file")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(f"{path}: cannot be read ({error.strerror})") from error


def check_hashes(folder: Path, card: EncoderCard) -> None:
    """Compare every file of the card with its hash.

    Raises:
        EncoderError: a file is missing, damaged or exchanged.
    """
    for name, expected in card.files.items():
        path = folder / name
        if name.startswith("text/") and not path.is_file():  # where the model's configuration names a folder
            inside = name.removeprefix("text/")
            path = next((p for p in (text_of(folder) / inside, tokenizer_folder(folder) / inside) if p.is_file()), path)
        found = file_hash(path)
        if found != expected:
            raise EncoderError(
                f"encoder {card.name!r}: {path} has hash {found[:12]}, its card says {expected[:12]}; "
                "the file is damaged or was exchanged: install, pull or export it again"
            )


def known_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a catalogue entry that a card takes over."""
    own = set(EncoderCard.model_fields)
    left = {"context_length", "image_size"}  # what the model's files say
    return {name: value for name, value in entry.items() if name in own - left}


def logit_scale(file: Path, *, unless: float | None = None) -> dict[str, float]:
    """Logit scale, and bias where there is one, from the weights of a model of two towers.

    Args:
        file: of weights.
        unless: the scale that the configuration states, where the weights have none.

    Raises:
        EncoderError: there is none in it.
    """
    names = ("logit_scale", "logit_bias", "temperature")
    found = read_tensor(file, [f"{prefix}{name}" for prefix in _PREFIXES for name in names])
    numbers = {name.rpartition(".")[2]: float(value.reshape(-1)[0]) for name, value in found.items()}
    if "logit_scale" in numbers:
        numbers["logit_scale"] = float(np.exp(numbers["logit_scale"]))
    elif numbers.get("temperature", 0.0) > 0:  # ALIGN divides by it
        numbers["logit_scale"] = 1 / numbers["temperature"]
    elif unless is not None:
        numbers["logit_scale"] = unless
    else:
        raise EncoderError(f"{file}: no logit_scale in it: these are not the weights of a model of two towers")
    return {name: value for name, value in numbers.items() if name != "temperature"}


def per_channel(values: Any) -> tuple[float, ...]:  # noqa: ANN401 - JSON
    """Three values, of red, green and blue, from three or from one for all."""
    return tuple(values) if isinstance(values, list | tuple) else (values,) * 3
