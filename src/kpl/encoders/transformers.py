"""Models of two towers of Hugging Face transformers, from a folder of their own files.

Pictures are prepared as the model's processor says, with Pillow: transformers' own processors use torchvision where it
is installed and Pillow where it is not, and the two differ by up to two grey levels. With Pillow the features are the
same on every machine, through ONNX too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from numpy.typing import NDArray

from kpl.encoders.cleaning import clean, cleaning_of
from kpl.encoders.files import (
    CATALOGUE,
    NOT_READ,
    check_hashes,
    hash_files,
    known_fields,
    logit_scale,
    read_json,
    weight_file,
    weights_of,
)
from kpl.encoders.golden import SENTENCES, fixed_pictures
from kpl.encoders.preprocess import prepare
from kpl.encoders.processors import preparation_of
from kpl.encoders.protocol import CatalogueEntry, EncoderCard
from kpl.encoders.torch_encoder import TorchEncoder, TorchPatchEncoder
from kpl.encoders.torch_patches import transformers_gathering
from kpl.encoders.torch_runtime import TorchRuntime
from kpl.encoders.towers import Tower, check_against_forward, positions, skeleton, towers_of
from kpl.encoders.weights import read_weights
from kpl.errors import EncoderError, MissingExtraError

__all__ = ["describe", "load", "processor_of", "quiet", "tokenizer_of", "unknown_words"]

_TRIED: Final = ("clip", "siglip", "vision-text-dual-encoder")  # against their library, for every release
_PADS_FULL: Final = ("siglip", "siglip2")  # trained on sentences padded to full length, without a mask
_WEIGHTS: Final = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_PADDED_VOCABULARY: Final = 512
_NO_LIMIT: Final = 1_000_000  # tokenizers without a limit state a number with thirty digits
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
    if kind == "siglip2":
        raise EncoderError(
            f"encoder {name!r}: config.json says model_type 'siglip2', the variant of SigLIP 2 with pictures of any "
            "proportions (NaFlex), which KPL does not read: take one of fixed size, such as siglip2-base"
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
    with quiet():
        model = skeleton(config, trusted=trust_remote_code)
    if model is not None:
        towers_of(model, entry.name)  # what is none is refused before its tokenizer is missed
    tokenizer = tokenizer_of(weights, trusted=trust_remote_code)
    cleaning, cleaned_by = cleaning_of(weights, config.model_type, tokenizer)
    length, length_from = _context(config, model, tokenizer)
    file = weight_file(weights, _WEIGHTS, allow_pickle=allow_pickle)
    scale = logit_scale(file)
    vision = _part(config, "vision_config")
    activation = str(getattr(vision, "hidden_act", ""))
    preparation = preparation_of(processor_of(weights, trusted=trust_remote_code), weights)
    return EncoderCard.model_validate(
        known_fields(entry.model_dump())
        | {
            "loader": "transformers",
            "activation": entry.activation or (activation if activation in ("gelu", "quick_gelu") else ""),
            "head": "sigmoid" if "logit_bias" in scale else "softmax",
            "files": hash_files(folder),
            "dim": _dim(config, _part(config, "text_config")),
            "context_length": length,
            "padding": _padding(config, weights, trusted=trust_remote_code),
            "text_cleaning": cleaning,
            **preparation,
            **scale,
            "read_from": _read_from(config, entry, file.name, scale)
            | dict.fromkeys(preparation, "the image processor's configuration")
            | {"context_length": length_from, "text_cleaning": cleaned_by},
        }
    )


def _read_from(config: Any, entry: CatalogueEntry, file: str, scale: Mapping[str, float]) -> dict[str, str]:  # noqa: ANN401
    """Where the facts of a card were read that do not depend on anything else."""
    kind = f"config.json: model_type {config.model_type}"
    return {
        "activation": CATALOGUE if entry.activation else "config.json: vision_config.hidden_act",
        "head": f"{file}: a logit_bias is {'' if 'logit_bias' in scale else 'not '}there",
        "dim": "config.json",
        "padding": kind if config.model_type in _TRIED else f"{kind}, and the library's processor of it",
        "logit_scale": file,
        "logit_bias": file if "logit_bias" in scale else f"{file}: not there, so 0",
        "tolerance": NOT_READ,
    }


def _context(config: Any, model: Any, tokenizer: Any) -> tuple[int, str]:  # noqa: ANN401 - no types
    """Tokens that a text tower reads, and where that was read: the least of what the files say."""
    text = _part(config, "text_config")
    said = {
        "the positions of the text tower": positions(model),
        "config.json: max_position_embeddings": int(getattr(text, "max_position_embeddings", 0) or 0),
        "the tokenizer: model_max_length": int(tokenizer.model_max_length),
    }
    where = min((name for name in said if 0 < said[name] < _NO_LIMIT), key=lambda name: said[name], default="")
    if not where:
        raise EncoderError("neither config.json nor the tokenizer says how many tokens the text tower reads")
    return said[where], where


def _padding(config: Any, weights: Path, *, trusted: bool) -> str:  # noqa: ANN401 - no types
    """How sentences are padded: as the library's own processor of this kind does it if it is not told otherwise."""
    if config.model_type in _PADS_FULL:
        return "max_length"
    if config.model_type in _TRIED:
        return "longest"
    with quiet():
        try:
            own = _library().AutoProcessor.from_pretrained(weights, local_files_only=True, trust_remote_code=trusted)
        except Exception:
            return "longest"
    stated = getattr(getattr(type(own), "valid_processor_kwargs", None), "_defaults", {}).get("text_kwargs", {})
    return "max_length" if stated.get("padding") == "max_length" else "longest"


def _part(config: Any, name: str) -> Any:  # noqa: ANN401 - no types
    return getattr(config, name, config)


def _dim(config: Any, text: Any) -> int:  # noqa: ANN401 - no types
    if config.model_type in _PADS_FULL:
        return int(text.projection_size)
    places = ((config, "projection_dim"), (config, "embed_dim"), (text, "projection_dim"), (text, "hidden_size"))
    if (dim := next((int(found) for where, name in places if (found := getattr(where, name, 0))), 0)) == 0:
        raise EncoderError(f"config.json of a {config.model_type!r} says neither projection_dim nor embed_dim")
    return dim


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
    file = weight_file(weights, _WEIGHTS, allow_pickle=allow_pickle)
    model = _model(file, card, config, trusted=trust_remote_code)
    tokenizer = tokenizer_of(weights, trusted=trust_remote_code)
    _check_tokenizer(tokenizer, model, card)
    image, text = towers_of(model, card.name)
    tokens = _Tokens(tokenizer, card)
    if config.model_type not in _TRIED:
        _try(model, (image, text), card, tokens)
    runtime = TorchRuntime(device)
    placed = runtime.place(model)
    image, text = towers_of(placed, card.name)
    towers = (lambda pixels: image({"pixel_values": pixels}), text)
    gathering = transformers_gathering(placed)
    if gathering is None:
        return TorchEncoder(card, runtime, placed, towers, tokens)
    return TorchPatchEncoder(card, runtime, placed, towers, tokens, gathering)


def _try(model: Any, towers: tuple[Tower, Tower], card: EncoderCard, tokens: _Tokens) -> None:  # noqa: ANN401 - torch
    """Compare the towers of a kind that nobody has tried with the model as a whole, on pictures and sentences."""
    import torch

    model.eval()
    pixels = {"pixel_values": torch.from_numpy(prepare(fixed_pictures()[:2], card))}
    read = [sentence for sentence in SENTENCES if tokens.count(sentence) <= card.context_length][:2]
    ids = {name: torch.from_numpy(rows) for name, rows in tokens.arrays(read).items()}
    check_against_forward(model, towers, pixels, ids, card.name)


def _model(file: Path, card: EncoderCard, config: Any, *, trusted: bool) -> Any:  # noqa: ANN401 - torch
    import torch

    options = {"config": config, "dtype": torch.float32, "output_loading_info": True}
    with quiet():
        try:
            if file.name in _WEIGHTS:
                model, told = _library().AutoModel.from_pretrained(
                    file.parent, local_files_only=True, trust_remote_code=trusted, **options
                )
            else:  # the library looks for its own names only
                kind = type(skeleton(config, trusted=trusted))
                model, told = kind.from_pretrained(None, state_dict=read_weights(file), **options)
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
    return model


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _check_activation(config: Any, card: EncoderCard, where: Path) -> None:  # noqa: ANN401 - no types
    """Weights trained with QuickGELU give other features with GELU, and nothing else would tell.

    It is asked of towers of CLIP's own kind only: a BERT beside CLIP's image tower has an activation of its own.
    """
    for name in ("vision_config", "text_config"):
        part = _part(config, name)
        says = getattr(part, "hidden_act", card.activation)
        its_own = name == "text_config" and not str(getattr(part, "model_type", "")).startswith("clip")
        if card.activation == "quick_gelu" and says != "quick_gelu" and not its_own:
            raise EncoderError(
                f"encoder {card.name!r}: its weights were trained with quick_gelu, {name} in {where / 'config.json'} "
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
        self._cleaning = card.text_cleaning
        self._padding = {"padding": card.padding, "max_length": card.context_length, "truncation": False}

    def count(self, sentence: str) -> int:
        return len(self.original(self._clean(sentence), truncation=False, verbose=False).input_ids)

    def arrays(self, sentences: Sequence[str]) -> dict[str, NDArray[Any]]:
        cleaned = [self._clean(sentence) for sentence in sentences]
        return dict(self.original(cleaned, return_tensors="np", **self._padding))

    def unknown(self, sentence: str) -> list[str]:
        return unknown_words(self.original, sentence, self._clean)

    def _clean(self, text: str) -> str:
        return clean(text, self._cleaning)


def unknown_words(
    tokenizer: Any,  # noqa: ANN401 - no types
    sentence: str,
    cleaned: Callable[[str], str] = str,
) -> list[str]:
    """The words of a sentence that a tokenizer of transformers turns into its unknown token.

    One that falls back to letters or bytes has none; neither has CLIP, whose unknown token is its end token.
    """
    unknown = tokenizer.unk_token_id
    if unknown is None or unknown == tokenizer.eos_token_id:
        return []
    words = _WORD.findall(sentence)
    return [word for word in words if unknown in tokenizer(cleaned(word), add_special_tokens=False).input_ids]
