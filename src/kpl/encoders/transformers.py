"""CLIP, SigLIP and dual encoders of Hugging Face transformers, from a folder of their own files.

Pictures are prepared as the model's processor says, with Pillow: transformers' own processors use torchvision where it
is installed and Pillow where it is not, and the two differ by up to two grey levels. With Pillow the features are the
same on every machine, through ONNX too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from numpy.typing import NDArray

from kpl.encoders.files import (
    check_hashes,
    hash_files,
    known_fields,
    logit_scale,
    per_channel,
    read_json,
    weight_file,
    weights_of,
)
from kpl.encoders.preprocess import FILTERS
from kpl.encoders.protocol import CatalogueEntry, EncoderCard
from kpl.encoders.torch_encoder import TorchEncoder, TorchPatchEncoder
from kpl.encoders.torch_patches import transformers_gathering
from kpl.encoders.torch_runtime import ATTENTION, TorchRuntime
from kpl.errors import EncoderError, MissingExtraError

__all__ = ["describe", "load", "pooled", "processor_of", "quiet", "tokenizer_of", "unknown_words"]

_MODELS: Final = ("clip", "siglip", "vision-text-dual-encoder")
_PADS_FULL: Final = ("siglip", "siglip2")  # trained on sentences padded to full length, without a mask
_WEIGHTS: Final = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_PADDED_VOCABULARY: Final = 512
_WORD: Final = re.compile(r"[^\W\d_]+")


def _library() -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("loading a model of Hugging Face", "transformers") from error
    module: ModuleType = transformers
    return module


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no advice while a model is loaded; what matters is checked and raised."""
    messages = _library().utils.logging
    level, bars = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity(messages.CRITICAL)
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(level)
        if bars:
            messages.enable_progress_bar()


def _config(weights: Path, name: str, *, trusted: bool) -> Any:  # noqa: ANN401 - no types
    """The model's configuration; refuses code that was not asked for before anything of it could run."""
    raw = read_json(weights / "config.json")
    kind = raw.get("model_type", "")
    if "auto_map" in raw and not trusted:
        raise EncoderError(
            f"encoder {name!r} brings Python code of its own, which would run with all your rights: read it in "
            f"{weights}, then ask for it with --trust-remote-code"
        )
    if kind not in _MODELS and "auto_map" not in raw:
        naflex = " (the variant of SigLIP 2 with pictures of any proportions)" if kind == "siglip2" else ""
        raise EncoderError(
            f"encoder {name!r}: config.json says model_type {kind!r}{naflex}; KPL loads {', '.join(_MODELS)}"
        )
    with quiet():
        try:
            return _library().AutoConfig.from_pretrained(weights, local_files_only=True, trust_remote_code=trusted)
        except Exception as error:
            raise EncoderError(f"{weights / 'config.json'}: {_line(error)}") from error


def processor_of(weights: Path, *, trusted: bool = False) -> Any:  # noqa: ANN401 - no types
    """The model's image processor, the one that uses Pillow.

    Raises:
        EncoderError: it cannot be read.
    """
    with quiet():
        try:
            return _library().AutoImageProcessor.from_pretrained(
                weights, backend="pil", local_files_only=True, trust_remote_code=trusted
            )
        except Exception as error:
            raise EncoderError(f"{weights}: how pictures are prepared cannot be read ({_line(error)})") from error


def tokenizer_of(weights: Path, *, trusted: bool = False) -> Any:  # noqa: ANN401 - no types
    """The model's tokenizer.

    Raises:
        EncoderError: it cannot be read.
        MissingExtraError: it needs sentencepiece, which is not installed.
    """
    with quiet():
        try:
            return _library().AutoTokenizer.from_pretrained(weights, local_files_only=True, trust_remote_code=trusted)
        except ImportError as error:
            raise MissingExtraError("the tokenizer of this model", "transformers") from error
        except Exception as error:
            raise EncoderError(f"{weights}: the tokenizer cannot be read ({_line(error)})") from error


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]} ..."


def describe(
    folder: Path, entry: CatalogueEntry, *, allow_pickle: bool = False, trust_remote_code: bool = False
) -> EncoderCard:
    """Make a card from a model's own files.

    Args:
        folder: an encoder's folder, or a folder of the model's own files.
        entry: what is known of the model beside its files.
        allow_pickle: read the logit scale from a pickle if there is nothing else.
        trust_remote_code: read a configuration that needs the model's own Python code.

    Raises:
        EncoderError: a file is missing, cannot be read, or asks for what KPL cannot do.
        MissingExtraError: transformers is not installed.
    """
    weights = weights_of(folder)
    config = _config(weights, entry.name, trusted=trust_remote_code)
    vision, text = _part(config, "vision_config"), _part(config, "text_config")
    tokenizer = tokenizer_of(weights, trusted=trust_remote_code)
    longest = int(getattr(text, "max_position_embeddings", 0) or tokenizer.model_max_length)
    scale = logit_scale(weight_file(weights, _WEIGHTS, allow_pickle=allow_pickle))
    activation = str(getattr(vision, "hidden_act", ""))
    return EncoderCard.model_validate(
        known_fields(entry.model_dump())
        | {
            "loader": "transformers",
            "activation": entry.activation or (activation if activation in ("gelu", "quick_gelu") else ""),
            "head": "sigmoid" if "logit_bias" in scale else "softmax",
            "files": hash_files(folder),
            "dim": _dim(config, text),
            "context_length": min(longest, int(tokenizer.model_max_length)),
            "padding": "max_length" if config.model_type in _PADS_FULL else "longest",
            **_preparation(processor_of(weights, trusted=trust_remote_code), weights),
            **scale,
        }
    )


def _part(config: Any, name: str) -> Any:  # noqa: ANN401 - no types
    return getattr(config, name, config)


def _dim(config: Any, text: Any) -> int:  # noqa: ANN401 - no types
    if config.model_type in _PADS_FULL:
        return int(text.projection_size)
    if (dim := getattr(config, "projection_dim", 0) or getattr(config, "embed_dim", 0)) == 0:
        raise EncoderError(f"config.json of a {config.model_type!r} says neither projection_dim nor embed_dim")
    return int(dim)


def _preparation(processor: Any, where: Path) -> dict[str, Any]:  # noqa: ANN401 - no types
    """What a card says of a processor; what KPL does not do is refused, never guessed."""

    def refuse(what: str) -> EncoderError:
        return EncoderError(f"{where}: its processor says {what}, which KPL does not do")

    size, crop = processor.size, getattr(processor, "crop_size", None)
    if not processor.do_resize:
        raise refuse("do_resize false")
    if getattr(processor, "do_pad", None):
        raise refuse("do_pad")
    if size.shortest_edge and not size.longest_edge:
        resize, side = "shortest", int(size.shortest_edge)
    elif size.height and size.height == size.width:
        resize, side = "squash", int(size.height)
    else:
        raise refuse(f"size {size}")
    cropped = bool(getattr(processor, "do_center_crop", False))
    if cropped and (crop is None or crop.height != crop.width):
        raise refuse(f"crop_size {crop}")
    if resize == "shortest" and not cropped:
        raise refuse("size shortest_edge without do_center_crop: pictures that are not square")
    names = {int(value): name for name, value in FILTERS.items()}
    unit = 255 * float(processor.rescale_factor) if processor.do_rescale else 255.0
    plain = not processor.do_normalize
    mean = [0.0] * 3 if plain else [float(value) / unit for value in per_channel(processor.image_mean)]
    std = [1 / unit] * 3 if plain else [float(value) / unit for value in per_channel(processor.image_std)]
    image_size = int(crop.height) if cropped and crop else side
    return {
        "image_size": image_size,
        "resize": resize,
        "resize_to": 0 if side == image_size else side,
        "crop": "center" if cropped else "none",
        "interpolation": names[int(processor.resample)],
        "mean": mean,
        "std": std,
    }


def load(
    folder: Path,
    card: EncoderCard,
    *,
    device: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> TorchEncoder:
    """Load a model of transformers from its folder.

    Raises:
        EncoderError: files are missing, damaged or do not fit together; the message says which.
        MissingExtraError: transformers or torch is not installed.
    """
    _library()
    weights = weights_of(folder)
    if card.remote_code and not trust_remote_code:
        raise EncoderError(
            f"encoder {card.name!r} is loaded by Python code of its own repository, which runs with all your rights: "
            f"read it in {weights}, then ask for it with --trust-remote-code"
        )
    check_hashes(folder, card)
    config = _config(weights, card.name, trusted=trust_remote_code)
    _check_activation(config, card, weights)
    weight_file(weights, _WEIGHTS, allow_pickle=allow_pickle)
    model = _model(weights, card, config, trusted=trust_remote_code)
    tokenizer = tokenizer_of(weights, trusted=trust_remote_code)
    _check_tokenizer(tokenizer, model, card)
    runtime = TorchRuntime(device)
    placed = runtime.place(model)
    towers = (
        lambda pixels: pooled(placed.get_image_features(pixel_values=pixels)),
        lambda tensors: pooled(placed.get_text_features(**tensors)),
    )
    gathering = transformers_gathering(placed)
    if gathering is None:
        return TorchEncoder(card, runtime, placed, towers, _Tokens(tokenizer, card))
    return TorchPatchEncoder(card, runtime, placed, towers, _Tokens(tokenizer, card), gathering)


def pooled(output: Any) -> Any:  # noqa: ANN401 - torch
    """The features of what `get_image_features` gives: transformers 5 wraps them in an output object."""
    return getattr(output, "pooler_output", output)


def _model(weights: Path, card: EncoderCard, config: Any, *, trusted: bool) -> Any:  # noqa: ANN401 - torch
    import torch

    with quiet():
        try:
            model, told = _library().AutoModel.from_pretrained(
                weights,
                config=config,
                local_files_only=True,
                trust_remote_code=trusted,
                dtype=torch.float32,
                attn_implementation=ATTENTION,
                output_loading_info=True,
            )
        except Exception as error:
            raise EncoderError(f"encoder {card.name!r}: its weights cannot be loaded ({_line(error)})") from error
    missing, extra = sorted(told["missing_keys"]), sorted(told["unexpected_keys"])
    wrong = sorted(str(item[0]) for item in told.get("mismatched_keys", ()))
    if missing and all(name.startswith("text") for name in missing):
        raise EncoderError(f"encoder {card.name!r}: the text tower is missing from its weights ({_few(missing)})")
    if missing or extra or wrong:
        parts = {"missing": missing, "not known to the model": extra, "of another shape": wrong}
        said = "; ".join(f"{what}: {_few(names)}" for what, names in parts.items() if names)
        raise EncoderError(f"encoder {card.name!r}: weights and config.json do not fit together ({said})")
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        raise EncoderError(
            f"encoder {card.name!r}: {type(model).__name__} has no get_image_features, get_text_features"
        )
    return model


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _check_activation(config: Any, card: EncoderCard, where: Path) -> None:  # noqa: ANN401 - no types
    """Weights trained with QuickGELU give other features with GELU, and nothing else would tell."""
    for part in ("vision_config", "text_config"):
        says = getattr(_part(config, part), "hidden_act", card.activation)
        if card.activation == "quick_gelu" and says != "quick_gelu":
            raise EncoderError(
                f"encoder {card.name!r}: its weights were trained with quick_gelu, {part} in {where / 'config.json'} "
                f"says hidden_act {says!r}: get the right configuration"
            )


def _check_tokenizer(tokenizer: Any, model: Any, card: EncoderCard) -> None:  # noqa: ANN401 - torch
    text = _part(model.config, "text_config")
    rows = int(getattr(text, "vocab_size", len(tokenizer)))
    if not 0 <= rows - len(tokenizer) < _PADDED_VOCABULARY:
        raise EncoderError(
            f"encoder {card.name!r}: its tokenizer has {len(tokenizer)} tokens, its text tower {rows}: it is the "
            "tokenizer of another model"
        )
    if tokenizer.pad_token_id is None:
        raise EncoderError(f"encoder {card.name!r}: its tokenizer has no padding token")
    ids = tokenizer("a").input_ids
    end = getattr(text, "eos_token_id", None)
    if not set(ids) & set(tokenizer.all_special_ids):
        raise EncoderError(f"encoder {card.name!r}: its tokenizer adds no special tokens to a sentence")
    if model.config.model_type == "clip" and end not in (None, 2) and end not in ids:
        raise EncoderError(
            f"encoder {card.name!r}: its text tower reads a sentence at the token {end}, which its tokenizer does not "
            "put at the end"
        )


class _Tokens:
    def __init__(self, tokenizer: Any, card: EncoderCard) -> None:  # noqa: ANN401 - no types
        self.original = tokenizer
        self._padding = {"padding": card.padding, "max_length": card.context_length, "truncation": False}

    def count(self, sentence: str) -> int:
        return len(self.original(sentence, truncation=False, verbose=False).input_ids)

    def arrays(self, sentences: Sequence[str]) -> dict[str, NDArray[Any]]:
        return dict(self.original(list(sentences), return_tensors="np", **self._padding))

    def unknown(self, sentence: str) -> list[str]:
        return unknown_words(self.original, sentence)


def unknown_words(tokenizer: Any, sentence: str) -> list[str]:  # noqa: ANN401 - no types
    """The words of a sentence that a tokenizer of transformers turns into its unknown token.

    One that falls back to letters or bytes has none; neither has CLIP, whose unknown token is its end token.
    """
    unknown = tokenizer.unk_token_id
    if unknown is None or unknown == tokenizer.eos_token_id:
        return []
    words = _WORD.findall(sentence)
    return [word for word in words if unknown in tokenizer(word, add_special_tokens=False).input_ids]
