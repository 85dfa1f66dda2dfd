"""Models of two towers of Hugging Face transformers, from a folder of their own files.

Pictures are prepared as the model's processor says, with Pillow: transformers' own processors use torchvision where it
is installed and Pillow where it is not, and the two differ by up to two grey levels. With Pillow the features are the
same on every machine, through ONNX too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from kpl.bounded import bounded_memory
from kpl.encoders.cleaning import cleaning_of
from kpl.encoders.files import (
    CATALOGUE,
    NOT_READ,
    check_hashes,
    hash_files,
    known_fields,
    logit_scale,
    memory_of,
    weight_file,
    weights_of,
)
from kpl.encoders.golden import SENTENCES, fixed_pictures
from kpl.encoders.preprocess import picture_arrays
from kpl.encoders.processors import preparation_of, prepares_alike
from kpl.encoders.protocol import CatalogueEntry, EncoderCard
from kpl.encoders.torch_encoder import TorchEncoder, TorchPatchEncoder
from kpl.encoders.torch_patches import transformers_gathering
from kpl.encoders.torch_runtime import TorchRuntime
from kpl.encoders.towers import Tower, check_against_forward, check_towers, positions, skeleton, towers_of
from kpl.encoders.transformers_parts import (
    Tokens,
    check_tokenizer,
    config_of,
    library,
    part_of,
    processor_of,
    quiet,
    text_defaults,
    tokenizer_of,
)
from kpl.encoders.weights import read_weights, wrapping
from kpl.errors import EncoderError, one_line

_TRIED: Final = ("clip", "siglip")  # against their library, for every release
_PADS_FULL: Final = ("siglip", "siglip2")  # trained on sentences padded to full length, without a mask
WEIGHTS: Final = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_PIXELS: Final = ("pixel_values", "pixel_attention_mask", "spatial_shapes")
"""What an image tower reads, in the order of `picture_arrays`; most read the first alone."""
_ROUNDED: Final = 5e-3  # of a column, where torchvision resizes: up to two grey levels are not Pillow's
_NO_LIMIT: Final = 1_000_000  # tokenizers without a limit state a number with thirty digits


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
    config = config_of(weights, entry.name, trusted=trust_remote_code)
    with quiet():
        model = skeleton(config, trusted=trust_remote_code)
    if model is not None:
        towers_of(model, entry.name)  # what is none is refused before its tokenizer is missed
    tokenizer = tokenizer_of(weights, trusted=trust_remote_code)
    cleaning, cleaned_by = cleaning_of(weights, config.model_type, tokenizer)
    defaults = {} if config.model_type in _TRIED else text_defaults(weights, trusted=trust_remote_code)
    length, length_from = _context(config, model, tokenizer, int(defaults.get("max_length") or 0))
    padded = config.model_type in _PADS_FULL or defaults.get("padding") == "max_length"
    file = weight_file(weights, WEIGHTS, allow_pickle=allow_pickle)
    temperature = getattr(config, "temperature_init_value", 0.0)
    scale = logit_scale(file, unless=1 / temperature if temperature else None)
    vision = part_of(config, "vision_config")
    activation = str(getattr(vision, "hidden_act", ""))
    preparation, tolerance, prepared_by = _preparation(weights, entry, trusted=trust_remote_code)
    return EncoderCard.model_validate(
        known_fields(entry.model_dump())
        | {
            "loader": "transformers",
            "activation": entry.activation or (activation if activation in ("gelu", "quick_gelu") else ""),
            "head": "sigmoid" if "logit_bias" in scale else "softmax",
            "files": hash_files(folder),
            "dim": _dim(config, part_of(config, "text_config")),
            "context_length": length,
            "padding": "max_length" if padded else "longest",
            "text_cleaning": cleaning,
            **preparation,
            **tolerance,
            **scale,
            "read_from": _read_from(config, entry, file.name, scale)
            | dict.fromkeys(preparation, prepared_by)
            | dict.fromkeys(tolerance, "tried: the library's processor without Pillow rounds otherwise")
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


def _preparation(
    weights: Path, entry: CatalogueEntry, *, trusted: bool
) -> tuple[dict[str, Any], dict[str, float], str]:
    """How pictures are prepared, a wider tolerance where the library itself does it otherwise, and where it was read.

    Raises:
        EncoderError: it is stated nowhere, or the library's processor makes other arrays of the same pictures.
    """
    files = ("preprocessor_config.json", "processor_config.json")
    if entry.preparation and not any((weights / name).is_file() for name in files):
        return dict(entry.preparation), {}, CATALOGUE
    processor = processor_of(weights, trusted=trusted)
    preparation = preparation_of(processor, weights)
    tolerance = {"tolerance": _ROUNDED} if prepares_alike(processor, preparation, weights) > 0 else {}
    return preparation, tolerance, "the image processor's configuration"


def _context(config: Any, model: Any, tokenizer: Any, stated: int) -> tuple[int, str]:  # noqa: ANN401 - no types
    """Tokens that a text tower reads, and where that was read: the least of what the files say."""
    text = part_of(config, "text_config")
    said = {
        "the positions of the text tower": positions(model),
        "config.json: max_position_embeddings": int(getattr(text, "max_position_embeddings", 0) or 0),
        "the tokenizer: model_max_length": int(tokenizer.model_max_length),
        "the library's processor of this kind: max_length": stated,
    }
    where = min((name for name in said if 0 < said[name] < _NO_LIMIT), key=lambda name: said[name], default="")
    if not where:
        raise EncoderError("neither config.json nor the tokenizer says how many tokens the text tower reads")
    return said[where], where


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
    library()
    weights = weights_of(folder)
    if card.remote_code and not trust_remote_code:
        raise EncoderError(
            f"encoder {card.name!r} is loaded by Python code of its own repository, which runs with all your rights: "
            f"read it in {weights}, then ask for it with --trust-remote-code"
        )
    check_hashes(folder, card)
    config = config_of(weights, card.name, trusted=trust_remote_code)
    _check_activation(config, card, weights)
    file = weight_file(weights, WEIGHTS, allow_pickle=allow_pickle)
    model = _model(file, card, config, trusted=trust_remote_code)
    tokenizer = tokenizer_of(weights, trusted=trust_remote_code)
    check_tokenizer(tokenizer, model, card)
    image, text = towers_of(model, card.name)
    tokens = Tokens(tokenizer, card)
    if config.model_type not in _TRIED:
        _try(model, (image, text), card, tokens)
    runtime = TorchRuntime(device)
    placed = runtime.place(model)
    image, text = towers_of(placed, card.name)
    towers = (lambda *pixels: image(dict(zip(_PIXELS, pixels, strict=False))), text)
    gathering, short = transformers_gathering(placed), card.padding == "longest"
    if gathering is None:
        return TorchEncoder(card, runtime, placed, towers, tokens, short_texts=short)
    return TorchPatchEncoder(card, runtime, placed, towers, tokens, gathering, short_texts=short)


def _try(model: Any, towers: tuple[Tower, Tower], card: EncoderCard, tokens: Tokens) -> None:  # noqa: ANN401 - torch
    """Compare the towers of a kind that nobody has tried with the model as a whole, on pictures and sentences."""
    import torch

    model.eval()
    arrays = picture_arrays(fixed_pictures()[:2], card)
    pixels = {name: torch.from_numpy(rows) for name, rows in zip(_PIXELS, arrays.values(), strict=False)}
    lengths = zip(SENTENCES, tokens.counts(SENTENCES), strict=True)
    read = [sentence for sentence, length in lengths if length <= card.context_length][:2]
    ids = {name: torch.from_numpy(rows) for name, rows in tokens.arrays(read).items()}
    longest = {name: torch.from_numpy(rows) for name, rows in tokens.longest(read[0]).items()}
    check_towers(towers, pixels, (ids, longest), card)
    check_against_forward(model, towers, pixels, ids, card.name)


def _model(file: Path, card: EncoderCard, config: Any, *, trusted: bool) -> Any:  # noqa: ANN401 - torch
    import torch

    options = {"config": config, "dtype": torch.float32, "output_loading_info": True}
    with quiet(), bounded_memory(memory_of(file.parent)):
        try:
            around = wrapping(file) if file.suffix == ".safetensors" else ""
            as_saved = file.name in WEIGHTS and not around
            built = skeleton(config, trusted=trusted) if trusted or not as_saved else None
            as_saved = as_saved or (file.name in WEIGHTS and hasattr(built, around))  # the model's own name for a part
            if as_saved or built is None:
                model, told = library().AutoModel.from_pretrained(
                    file.parent, local_files_only=True, trust_remote_code=trusted, **options
                )
            else:  # the library looks for its own names only, of files and of tensors
                model, told = type(built).from_pretrained(None, state_dict=read_weights(file), **options)
        except Exception as error:
            raise EncoderError(f"encoder {card.name!r}: its weights cannot be loaded ({one_line(error)})") from error
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

    It is asked where the catalogue says so: else the configuration is all there is, and each tower has the activation
    that stands there. It is asked of towers of CLIP's own kind only: a BERT beside CLIP's image tower has its own.
    """
    if card.read_from.get("activation") != CATALOGUE:
        return
    for name in ("vision_config", "text_config"):
        part = part_of(config, name)
        says = getattr(part, "hidden_act", card.activation)
        its_own = name == "text_config" and not str(getattr(part, "model_type", "")).startswith("clip")
        if card.activation == "quick_gelu" and says != "quick_gelu" and not its_own:
            raise EncoderError(
                f"encoder {card.name!r}: its weights were trained with quick_gelu, {name} in {where / 'config.json'} "
                f"says hidden_act {says!r}: get the right configuration"
            )
