"""What is done to a sentence before its tokenizer, where the tokenizer that lies beside the weights does too little.

SigLIP 2 was taught on lower case. Its own tokenizer lowers letters, but many copies of the model hold Gemma's, which
does not, and a tower that never saw a capital gives features of nothing to them. So too where a tokenizer was saved
without its rules: that no word of its vocabulary has a capital tells that they were lowered before it was made.
"""

from __future__ import annotations

import json
import re
import string
from pathlib import Path
from typing import Any, Final, Literal

from kpl.encoders.files import read_json

Cleaning = Literal["tokenizer", "lower", "canonicalize"]
"""`tokenizer`: what the tokenizer itself does and no more; `lower`: letters are lowered before it; `canonicalize`:
punctuation is taken out too, as big_vision and OpenCLIP do it."""

_LOWER_KINDS: Final = ("siglip", "siglip2")
_PLACES: Final = (
    ("open_clip_config.json", ("model_cfg", "text_cfg", "tokenizer_kwargs", "clean")),
    ("tokenizer_config.json", ("do_lower_case",)),
    ("sentence_bert_config.json", ("do_lower_case",)),
    ("processor_config.json", ("do_lower_case",)),
)
_MEANS: Final[dict[object, Cleaning]] = {
    True: "lower", "lower": "lower", "canonicalize": "canonicalize", False: "tokenizer", "whitespace": "tokenizer"
}  # fmt: skip
_TRIALS: Final = {"lower": "A Chest MRI", "canonicalize": "A chest, MRI."}
_TRIED: Final = "a chest mri"
_PUNCTUATION: Final = str.maketrans("_", " ", string.punctuation.replace("_", ""))


def clean(sentence: str, cleaning: Cleaning) -> str:
    """Do to a sentence what a card says.

    Example:
        >>> clean("MRI of the Brain, axial.", "lower")
        'mri of the brain, axial.'
        >>> clean("MRI of the Brain, axial.", "canonicalize")
        'mri of the brain axial'
    """
    if cleaning == "canonicalize":
        return " ".join(sentence.translate(_PUNCTUATION).lower().split())
    return sentence.lower() if cleaning == "lower" else sentence


def cleaning_of(weights: Path, kind: str, tokenizer: Any) -> tuple[Cleaning, str]:  # noqa: ANN401 - no types
    """Find what must be done before a tokenizer of transformers, and where that was read.

    Args:
        weights: the model's own files.
        kind: the model type in its configuration.
        tokenizer: as it was loaded from there.
    """
    asked, where = _asked(weights, kind, tokenizer)
    if asked == "tokenizer":
        return asked, where
    if tokenizer(_TRIALS[asked]).input_ids == tokenizer(_TRIED).input_ids:
        return "tokenizer", f"{where}; tried: the tokenizer beside it does that itself"
    return asked, f"{where}, which the tokenizer beside it does not do"


def _asked(weights: Path, kind: str, tokenizer: Any) -> tuple[Cleaning, str]:  # noqa: ANN401 - no types
    borrowed = kind in _LOWER_KINDS and not type(tokenizer).__name__.startswith("Siglip")
    for file, keys in _PLACES:
        said = _said(weights / file, keys)
        if borrowed and said is False:
            continue  # it tells what Gemma's tokenizer does, not what the model was taught on
        if isinstance(said, bool | str) and said in _MEANS:
            return _MEANS[said], f"{file}: {'.'.join(keys)} is {json.dumps(said)}"
    if kind in _LOWER_KINDS:
        return "lower", f"model_type {kind}: taught on lower case, as transformers' own tokenizers of SigLIP say"
    if _knows_no_capital(tokenizer):
        return "lower", "the tokenizer's vocabulary: not one of its words has a capital letter"
    return "tokenizer", "not stated in any of the model's files"


def _knows_no_capital(tokenizer: Any) -> bool:  # noqa: ANN401 - no types
    """Whether a vocabulary has words in small letters and none with a capital; single letters and marks are no words.

    A byte of another alphabet may be written with a letter of its own, so only those of ASCII count.
    """
    marks = set(tokenizer.all_special_tokens)
    words = [re.findall("[A-Za-z]{2,}", token) for token in tokenizer.get_vocab() if token not in marks]
    small = [word for found in words for word in found if word != "unused"]
    return bool(small) and all(word.islower() for word in small)


def _said(path: Path, keys: tuple[str, ...]) -> Any:  # noqa: ANN401 - JSON
    if not path.is_file():
        return None
    found: Any = read_json(path)
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found
