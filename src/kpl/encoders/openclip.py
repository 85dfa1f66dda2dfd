"""OpenCLIP models from a folder of their own files: `open_clip_config.json` and weights.

A model whose text tower is of another library and lies in a second repository, such as BiomedCLIP, has that
repository's configuration and tokenizer in `text`: the configuration is pointed there in memory, so nothing is asked of
the network and nothing in the model's files is changed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from uuid import uuid4

from kpl.bounded import bounded_memory
from kpl.encoders.files import (
    CATALOGUE,
    NOT_READ,
    check_hashes,
    has_tokenizer,
    hash_files,
    known_fields,
    logit_scale,
    memory_of,
    named_folder,
    per_channel,
    read_json,
    read_tensor,
    text_of,
    tokenizer_folder,
    weight_file,
    weights_of,
)
from kpl.encoders.openclip_names import openclip_library
from kpl.encoders.openclip_tokens import BytePairs, Wrapped, reads_short, text_rows
from kpl.encoders.protocol import CatalogueEntry, EncoderCard
from kpl.encoders.tokenizer_limits import check_words
from kpl.encoders.torch_encoder import SentenceTokenizer, TorchEncoder, TorchPatchEncoder
from kpl.encoders.torch_patches import openclip_gathering
from kpl.encoders.torch_runtime import TorchRuntime
from kpl.encoders.weights import plain_weights
from kpl.errors import EncoderError, one_line

CONFIG: Final = "open_clip_config.json"
WEIGHTS: Final = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors",
    "open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth", "pytorch_model.bin",
)  # fmt: skip
_PADDED_VOCABULARY: Final = 512  # rows of an embedding beyond its tokenizer's vocabulary that are still plausible


def second_repository(weights: Path) -> str:
    """The hub id of the repository that holds the text tower's configuration and tokenizer; empty if none is needed.

    Raises:
        EncoderError: the configuration cannot be read.
    """
    text = _config(weights)["model_cfg"]["text_cfg"]
    model, tokenizer = str(text.get("hf_model_name") or ""), str(text.get("hf_tokenizer_name") or "")
    if model and not (weights / "config.json").is_file():
        return model
    return tokenizer if tokenizer and not has_tokenizer(weights) else ""


def _config(weights: Path) -> dict[str, Any]:
    config = read_json(weights / CONFIG)
    model = config.get("model_cfg")
    if not isinstance(model, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= set(model):
        raise EncoderError(f"{weights / CONFIG}: no model_cfg with embed_dim, vision_cfg and text_cfg in it")
    return config


def describe(folder: Path, entry: CatalogueEntry, *, allow_pickle: bool = False) -> EncoderCard:
    """Make a card from a model's own files.

    Args:
        folder: an encoder's folder, or a folder of the model's own files.
        entry: what is known of the model beside its files.
        allow_pickle: read the logit scale from a pickle if there is nothing else.

    Raises:
        EncoderError: a file is missing or cannot be read, or the files are not those of the entry.
        MissingExtraError: OpenCLIP is not installed.
    """
    library = openclip_library()
    weights = weights_of(folder)
    check_words(weights, text_of(folder))
    config = _config(weights)
    model, text = config["model_cfg"], config["model_cfg"]["text_cfg"]
    prepared = library.transform.merge_preprocess_dict(
        library.transform.PreprocessCfg(), config.get("preprocess_cfg", {})
    )
    size = _square(model["vision_cfg"].get("image_size", 224), weights)
    file = weight_file(weights, WEIGHTS, allow_pickle=allow_pickle)
    scale = logit_scale(file)
    resize = str(prepared["resize_mode"])
    quick = bool(model.get("quick_gelu", False))
    known = known_fields(entry.model_dump())
    return EncoderCard.model_validate(
        known
        | {
            "loader": "openclip",
            "activation": entry.activation or ("quick_gelu" if quick else "gelu"),
            "head": "sigmoid" if "logit_bias" in scale else "softmax",
            "files": hash_files(folder),
            "dim": model["embed_dim"],
            "context_length": _context(text, text_of(folder)),
            "padding": "max_length",
            "image_size": size,
            "resize": resize,
            "crop": "none" if resize == "squash" else "center_round",
            "fill": prepared["fill_color"],
            "interpolation": "bilinear" if prepared["interpolation"] == "bilinear" else "bicubic",
            "mean": per_channel(prepared["mean"]),
            "std": per_channel(prepared["std"]),
            **scale,
            "read_from": _read_from(config, entry, file.name, scale),
        }
    )


def _context(text: dict[str, Any], place: Path) -> int:
    """Tokens that are read: what the configuration says, or fewer where a RoBERTa has fewer positions for them.

    It counts positions from the padding's number on, so that as many are never a token's.
    """
    stated = int(text.get("context_length", 77))
    if not text.get("hf_model_name") or not (place / "config.json").is_file():
        return stated
    inner = read_json(place / "config.json")
    rows = int(inner.get("max_position_embeddings") or stated)
    if "roberta" in str(inner.get("model_type", "")) or inner.get("model_type") == "camembert":
        rows -= int(inner.get("pad_token_id", 1)) + 1
    return min(stated, rows)


def _read_from(config: dict[str, Any], entry: CatalogueEntry, file: str, scale: dict[str, float]) -> dict[str, str]:
    """Where each fact of a card was read."""
    model, prepared = config["model_cfg"], config.get("preprocess_cfg", {})
    default = "OpenCLIP's own default, not stated in the file"
    stated = {
        "resize": "resize_mode", "crop": "resize_mode", "fill": "fill_color", "interpolation": "interpolation",
        "mean": "mean", "std": "std",
    }  # fmt: skip
    cleaning = (model["text_cfg"].get("tokenizer_kwargs") or {}).get("clean")
    kept = f"{CONFIG}: clean {cleaning}" if cleaning else default
    return {name: f"{CONFIG}: {key}" if key in prepared else default for name, key in stated.items()} | {
        "activation": CATALOGUE if entry.activation else f"{CONFIG}: quick_gelu" if "quick_gelu" in model else default,
        "head": f"{file}: a logit_bias is {'' if 'logit_bias' in scale else 'not '}there",
        "dim": f"{CONFIG}: embed_dim",
        "context_length": f"{CONFIG}: context_length" if "context_length" in model["text_cfg"] else default,
        "image_size": f"{CONFIG}: image_size" if "image_size" in model["vision_cfg"] else default,
        "padding": "OpenCLIP's tokenizers pad to the whole context",
        "text_cleaning": f"{kept}; done by OpenCLIP's tokenizer",
        "logit_scale": file,
        "logit_bias": file if "logit_bias" in scale else f"{file}: not there, so 0",
        "tolerance": NOT_READ,
    }


def _square(size: Any, where: Path) -> int:  # noqa: ANN401 - JSON
    sides = list(size) if isinstance(size, list | tuple) else [size, size]
    if len(set(sides)) != 1:
        raise EncoderError(f"{where}: it reads pictures of {sides} pixels; KPL reads models of square pictures only")
    return int(sides[0])


def load(
    folder: Path,
    card: EncoderCard,
    *,
    device: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> TorchEncoder:
    """Load an OpenCLIP model from its folder.

    Raises:
        EncoderError: files are missing, damaged or do not fit together; the message says which.
        MissingExtraError: OpenCLIP is not installed.
    """
    del trust_remote_code  # OpenCLIP runs none
    check_hashes(folder, card)
    check_words(weights_of(folder), text_of(folder))
    model = open_clip_model(folder, card, allow_pickle=allow_pickle)
    tokenizer = _tokenizer(folder, model, card)
    runtime = TorchRuntime(device)
    placed = runtime.place(model)
    short = reads_short(placed)
    read = partial(text_rows, placed) if short else placed.encode_text
    towers = (placed.encode_image, lambda tensors: read(tensors["text"]))
    gathering = openclip_gathering(placed.visual)
    if gathering is None:
        return TorchEncoder(card, runtime, placed, towers, tokenizer, short_texts=short)
    return TorchPatchEncoder(card, runtime, placed, towers, tokenizer, gathering, short_texts=short)


def open_clip_model(folder: Path, card: EncoderCard, *, allow_pickle: bool = False) -> Any:  # noqa: ANN401 - torch
    """Build the model through OpenCLIP's own factory, from local files, every weight in its place.

    Raises:
        EncoderError: weights and configuration do not fit together.
    """
    library = openclip_library()
    weights = weights_of(folder)
    config = deepcopy(_config(weights)["model_cfg"])
    _check_activation(config, card, weights)
    text = config["text_cfg"]
    if text.get("hf_model_name"):
        place = text_of(folder)
        elsewhere = place == weights and _is_path(str(text["hf_model_name"]))
        if not (place / "config.json").is_file() or (elsewhere and not named_folder(weights, text["hf_model_name"])):
            raise EncoderError(
                f"encoder {card.name!r}: its text tower is {text['hf_model_name']!r} of another repository, and "
                f"{place} has no config.json of it: pull the encoder again, or put that repository's configuration "
                f"and tokenizer into {folder / 'text'}, or let hf_model_name name their folder"
            )
        text["hf_model_name"] = str(place)
    file = weight_file(weights, WEIGHTS, allow_pickle=allow_pickle)
    _check_positions(file, config, weights)
    name = f"kpl-{uuid4().hex}"
    with _registered(library, name, config), _quiet(), bounded_memory(memory_of(folder)), plain_weights(file) as plain:
        try:
            return library.create_model(
                name, pretrained=str(plain), pretrained_image=False, pretrained_text=False, require_pretrained=True
            )
        except Exception as error:
            raise EncoderError(f"encoder {card.name!r}: {_reason(error)}") from error


@contextmanager
def _registered(library: ModuleType, name: str, config: dict[str, Any]) -> Iterator[None]:
    """Make a configuration known to OpenCLIP's factory under a name of its own, for a while."""
    configs = library.factory._MODEL_CONFIGS
    configs[name] = config
    try:
        yield
    finally:
        del configs[name]


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCLIP tells its progress to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _reason(error: Exception) -> str:
    """One line of what OpenCLIP or torch says about weights that do not fit."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    missing = next((line for line in lines if line.startswith("Missing key(s)")), "")
    lost = {"image" if name.startswith("visual.") else "text" for name in re.findall(r'"([\w.]+)"', missing)}
    if len(lost) == 1:
        return f"the {lost.pop()} tower is missing from its weights, or is another one ({_short(missing)})"
    useful = [line for line in lines if not line.startswith("Error(s) in loading")] or [type(error).__name__]
    return f"weights and configuration do not fit together ({_short('; '.join(useful))})"


def _short(text: str, length: int = 200) -> str:
    return text if len(text) <= length else f"{text[:length]} ..."


def _check_activation(config: dict[str, Any], card: EncoderCard, where: Path) -> None:
    """Weights trained with QuickGELU give other features with GELU, and nothing else would tell (open_clip#771)."""
    says = "quick_gelu" if config.get("quick_gelu", False) else "gelu"
    towers = [config["vision_cfg"].get("timm_model_name"), config["text_cfg"].get("hf_model_name")]
    if card.activation and says != card.activation and not all(towers):
        raise EncoderError(
            f"encoder {card.name!r}: its weights were trained with {card.activation}, {where / CONFIG} says {says}; "
            f"set quick_gelu to {str(card.activation == 'quick_gelu').lower()} there, or get the right configuration"
        )


def _is_path(name: str) -> bool:
    return name.startswith(("/", "./", "../", "~")) or "\\" in name


def _check_positions(file: Path, config: dict[str, Any], where: Path) -> None:
    """OpenCLIP stretches position embeddings that do not fit, without a word; here they are refused."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    found = read_tensor(file, ("visual.positional_embedding", "positional_embedding"))
    if "visual.positional_embedding" in found and vision.get("patch_size"):
        rows = len(found["visual.positional_embedding"])
        size, patch = _square(vision.get("image_size", 224), where), vision["patch_size"]
        high, wide = patch if isinstance(patch, list | tuple) else (patch, patch)
        patches = (size // int(high)) * (size // int(wide))
        if rows not in (patches, patches + 1):
            raise EncoderError(
                f"{file}: its image tower has {rows} positions, {CONFIG} asks for {patches + 1}: image_size or "
                "patch_size is not that of these weights"
            )
    if "positional_embedding" in found:
        rows, length = len(found["positional_embedding"]), text.get("context_length", 77)
        if rows != length:
            raise EncoderError(f"{file}: its text tower reads {rows} tokens, {CONFIG} says context_length {length}")


def _tokenizer(folder: Path, model: Any, card: EncoderCard) -> SentenceTokenizer:  # noqa: ANN401 - torch
    library = openclip_library()
    weights = weights_of(folder)
    text = _config(weights)["model_cfg"]["text_cfg"]
    settings = dict(text.get("tokenizer_kwargs") or {})
    if not text.get("hf_tokenizer_name"):
        simple = library.tokenizer.SimpleTokenizer(context_length=card.context_length, **settings)
        _check_vocabulary(simple.vocab_size, model, card)
        return BytePairs(simple)
    place = tokenizer_folder(folder)
    if not has_tokenizer(place):
        raise EncoderError(
            f"encoder {card.name!r}: its tokenizer {text['hf_tokenizer_name']!r} is of another repository and not in "
            f"{folder / 'text'}: pull the encoder again, or put that repository's tokenizer there"
        )
    try:
        whole = library.tokenizer.HFTokenizer(
            str(place), card.context_length, tokenizer_mode=text.get("tokenizer_mode"), **settings
        )
        whole(["a"])  # what a configuration asks of a tokenizer that cannot do it shows here
    except Exception as error:
        raise EncoderError(
            f"encoder {card.name!r}: the tokenizer in {place} cannot be read ({one_line(error)})"
        ) from error
    inner = whole.tokenizer
    _check_vocabulary(len(inner), model, card)
    pad = getattr(getattr(getattr(model, "text", None), "config", None), "pad_token_id", inner.pad_token_id)
    if inner.pad_token_id is None or pad != inner.pad_token_id:
        raise EncoderError(
            f"encoder {card.name!r}: the tokenizer in {place} pads with {inner.pad_token_id}, its text tower with "
            f"{pad}: it is the tokenizer of another model"
        )
    if not set(inner("a").input_ids) & set(inner.all_special_ids):
        raise EncoderError(f"encoder {card.name!r}: the tokenizer in {place} adds no special tokens to a sentence")
    return Wrapped(whole)


def _check_vocabulary(tokens: int, model: Any, card: EncoderCard) -> None:  # noqa: ANN401 - torch
    rows = int(getattr(model, "vocab_size", tokens) or tokens)
    if not 0 <= rows - tokens < _PADDED_VOCABULARY:
        raise EncoderError(
            f"encoder {card.name!r}: its tokenizer has {tokens} tokens, its text tower {rows}: it is the tokenizer of "
            "another model"
        )
