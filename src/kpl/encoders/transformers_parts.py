"""The parts of a model of transformers as its own library reads them: configuration, image processor, tokenizer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kpl.encoders.cleaning import clean
from kpl.encoders.files import named_folder, read_json
from kpl.encoders.protocol import EncoderCard
from kpl.encoders.tokenizer_limits import check_words
from kpl.errors import EncoderError, MissingExtraError, from_extra, one_line

_PADDED_VOCABULARY: Final = 512
_WORD: Final = re.compile(r"[^\W\d_]+")
_TOKENIZERS: Final = ("*token*", "vocab*", "*.model", "*.bpe*", "merges*")


def library() -> ModuleType:
    """The package transformers.

    Raises:
        MissingExtraError: it is not installed.
    """
    with from_extra("transformers", "loading a model of Hugging Face"):
        import transformers
    module: ModuleType = transformers
    return module


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no advice while a model is loaded; what matters is checked and raised."""
    messages = library().utils.logging
    level, bars = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity(messages.CRITICAL)
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(level)
        if bars:
            messages.enable_progress_bar()


def config_of(weights: Path, name: str, *, trusted: bool) -> Any:  # noqa: ANN401 - no types
    """The model's configuration.

    Raises:
        EncoderError: it cannot be read, would run code that was not asked for, or is of weights that something beside
            them changes.
    """
    check_words(weights)
    if (weights / "adapter_config.json").is_file():  # whether the library would add it hangs on what is installed
        raise EncoderError(
            f"encoder {name!r}: adapter_config.json says that small weights (LoRA) are to be added to the model: merge "
            "them with peft's merge_and_unload, save the result, and give that"
        )
    code = read_json(weights / "config.json").get("auto_map")
    if code is not None and not trusted:
        raise EncoderError(
            f"encoder {name!r} brings Python code of its own, which would run with all your rights: read it in "
            f"{weights}, then ask for it with --trust-remote-code"
        )
    with quiet():
        try:
            if isinstance(code, dict) and any("--" in str(where) for where in code.values()):
                config = _config_by_code_beside(weights, code)
            else:
                config = library().AutoConfig.from_pretrained(weights, local_files_only=True, trust_remote_code=trusted)
        except EncoderError:
            raise
        except Exception as error:
            raise EncoderError(f"{weights / 'config.json'}: {one_line(error)}") from error
    _leave_attention(config)
    return config


def _config_by_code_beside(weights: Path, code: dict[str, Any]) -> Any:  # noqa: ANN401 - no types
    """A configuration whose code is said to lie elsewhere, `ORG/NAME--modeling_x.Model`, by a copy beside the weights.

    Raises:
        EncoderError: there is no copy, nor a folder of that path on this machine.
    """
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    beside = {}
    for what, where in code.items():
        place, _, name = str(where).rpartition("--")
        folder = (
            weights if (weights / f"{name.partition('.')[0]}.py").is_file() else named_folder(weights, place, "*.py")
        )
        if folder is None:
            raise EncoderError(
                f"{weights / 'config.json'}: its Python code is that of another repository, {place}: put the .py files "
                f"of that repository into {weights}"
            )
        beside[what] = name if folder == weights else f"{folder}--{name}"
    kind = get_class_from_dynamic_module(beside["AutoConfig"], weights, local_files_only=True)
    config = kind.from_pretrained(weights, local_files_only=True)
    config.auto_map = beside
    return config


def _leave_attention(config: Any) -> None:  # noqa: ANN401 - no types
    """Leave the kind of attention to the library, but where a model asks for the plain one.

    A kind that a configuration names is how its authors ran the model; another gives the same numbers, and theirs may
    want a graphics card, a package, or a kernel from the hub.
    """
    for part in (config, *(getattr(config, name, None) for name in getattr(config, "sub_configs", {}))):
        if getattr(part, "_attn_implementation", None) not in (None, "eager"):
            part._attn_implementation = None


def processor_of(weights: Path, *, trusted: bool = False) -> Any:  # noqa: ANN401 - no types
    """The model's image processor, the one that uses Pillow.

    Raises:
        EncoderError: it cannot be read.
    """
    with quiet():
        try:
            return library().AutoImageProcessor.from_pretrained(
                weights, backend="pil", local_files_only=True, trust_remote_code=trusted
            )
        except Exception as error:
            raise EncoderError(
                f"{weights}: how pictures are prepared cannot be read ({one_line(error)}): put a "
                "preprocessor_config.json there that says what the model's own page says of size, crop, mean and std"
            ) from error


def tokenizer_of(weights: Path, *, trusted: bool = False) -> Any:  # noqa: ANN401 - no types
    """The model's tokenizer.

    Raises:
        EncoderError: it cannot be read, or there is none, in whose place the library would make an empty one.
        MissingExtraError: it needs sentencepiece, which is not installed.
    """
    if not any(any(weights.glob(pattern)) for pattern in _TOKENIZERS):
        raise EncoderError(
            f"{weights}: no file of a tokenizer (tokenizer.json, vocab.txt ...): put the model's own there"
        )
    with quiet():
        try:
            return library().AutoTokenizer.from_pretrained(weights, local_files_only=True, trust_remote_code=trusted)
        except ImportError as error:
            raise MissingExtraError("the tokenizer of this model", "transformers") from error
        except Exception as error:
            raise EncoderError(f"{weights}: the tokenizer cannot be read ({one_line(error)})") from error


def part_of(config: Any, name: str) -> Any:  # noqa: ANN401 - no types
    """A tower's own configuration, or the model's where it has none of that name."""
    return getattr(config, name, config)


def text_defaults(weights: Path, *, trusted: bool = False) -> dict[str, Any]:
    """What the library's own processor of this kind of model tells its tokenizer when it is not told otherwise."""
    with quiet():
        try:
            own = library().AutoProcessor.from_pretrained(weights, local_files_only=True, trust_remote_code=trusted)
        except Exception:
            return {}
    named = getattr(type(own), "text_kwargs", None)  # where it stands since transformers 5.24
    before = getattr(getattr(type(own), "valid_processor_kwargs", None), "_defaults", {}).get("text_kwargs", {})
    return dict(named) if isinstance(named, dict) else dict(before)


def check_tokenizer(tokenizer: Any, model: Any, card: EncoderCard) -> None:  # noqa: ANN401 - torch
    """Refuse the tokenizer of another model, and one that lost its special tokens.

    Raises:
        EncoderError: it is one.
    """
    text = part_of(model.config, "text_config")
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
    marks = (getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "eos", "cls", "sep"))
    if any(mark is not None for mark in marks) and not set(ids) & set(tokenizer.all_special_ids):
        raise EncoderError(f"encoder {card.name!r}: its tokenizer adds no special tokens to a sentence")
    if model.config.model_type == "clip" and end not in (None, 2) and end not in ids:
        raise EncoderError(
            f"encoder {card.name!r}: its text tower reads a sentence at the token {end}, which its tokenizer does not "
            "put at the end"
        )


class Tokens:
    """A tokenizer of transformers, see `kpl.encoders.torch_encoder.SentenceTokenizer`."""

    def __init__(self, tokenizer: Any, card: EncoderCard) -> None:  # noqa: ANN401 - no types
        self.original = tokenizer
        self._cleaning = card.text_cleaning
        self._padding: dict[str, Any] = {
            "padding": card.padding,
            "max_length": card.context_length,
            "truncation": False,
        }

    def counts(self, sentences: Sequence[str]) -> list[int]:
        """Count the tokens of each sentence, special tokens included, in one call."""
        cleaned = [self._clean(sentence) for sentence in sentences]
        return [len(ids) for ids in self.original(cleaned, truncation=False, verbose=False).input_ids]

    def arrays(self, sentences: Sequence[str], width: int | None = None) -> dict[str, NDArray[Any]]:
        """Arrays with a row a sentence, by name: of this width, or padded as the card says."""
        cleaned = [self._clean(sentence) for sentence in sentences]
        padding = self._padding | ({"padding": "max_length", "max_length": width} if width else {})
        return dict(self.original(cleaned, return_tensors="np", **padding))

    def longest(self, sentence: str) -> dict[str, NDArray[Any]]:
        """Arrays of a sentence that is as long as what is read: one of its tokens stands where padding would."""
        arrays = self.arrays([sentence], self._padding["max_length"])
        ids = arrays["input_ids"]
        ids[ids == self.original.pad_token_id] = max(self.original(self._clean(sentence)).input_ids)
        mask = {name: np.ones_like(rows) for name, rows in arrays.items() if name == "attention_mask"}
        return arrays | mask

    def unknown(self, sentence: str) -> list[str]:
        """List the words that become the unknown token."""
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
