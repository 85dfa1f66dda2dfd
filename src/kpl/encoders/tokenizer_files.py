"""From a library's own tokenizer to a `tokenizers` file that gives the same tokens without the library."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from kpl.errors import EncoderError

_OPENCLIP_WORDS: Final = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_SPACES: Final = r"\s+"
_PUNCTUATION: Final = r"[!-/:-@\[-`{-~]"
_ENTITIES: Final = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#x27;", "'"), ("&#39;", "'"), ("&amp;", "&"))


def as_tokenizers(tokenizer: Any) -> Any:  # noqa: ANN401 - neither library has types
    """Make a `tokenizers.Tokenizer` of a tokenizer of OpenCLIP or transformers, without padding and truncation.

    Args:
        tokenizer: a tokenizer of transformers that is built on `tokenizers`, SigLIP's sentence pieces, OpenCLIP's
            `HFTokenizer` around one, or OpenCLIP's own `SimpleTokenizer`.

    Raises:
        EncoderError: a tokenizer of another kind.
    """
    if hasattr(tokenizer, "bpe_ranks") and hasattr(tokenizer, "byte_encoder"):
        return _byte_pairs(tokenizer)
    clean = getattr(tokenizer, "clean_fn", None)
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    if hasattr(inner, "sp_model") and hasattr(inner, "canonicalize_text"):
        return _sentence_pieces(inner)
    backend = getattr(inner, "backend_tokenizer", None)
    if backend is None or getattr(tokenizer, "strip_sep_token", False):
        kind = type(tokenizer).__name__
        raise EncoderError(f"the tokenizer {kind} has no form as a tokenizers file: this model cannot be exported")
    from tokenizers import Tokenizer

    made = Tokenizer.from_str(backend.to_str())
    made.no_padding()
    made.no_truncation()
    if clean is not None:
        _clean_first(made, clean)
    return made


def _byte_pairs(simple: Any) -> Any:  # noqa: ANN401
    """OpenCLIP's SimpleTokenizer: byte-level pairs with a mark at the end of a word."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, processors

    merges = [pair for pair, _ in sorted(simple.bpe_ranks.items(), key=lambda item: item[1])]
    made = Tokenizer(models.BPE(vocab=dict(simple.encoder), merges=merges, end_of_word_suffix="</w>"))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_OPENCLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    first, last = (simple.decoder[k] for k in (simple.sot_token_id, simple.eot_token_id))
    made.add_special_tokens([AddedToken(token, normalized=True) for token in (first, last)])
    made.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, simple.sot_token_id), (last, simple.eot_token_id)]
    )
    _clean_first(made, simple.clean_fn)
    return made


def _sentence_pieces(siglip: Any) -> Any:  # noqa: ANN401
    """SigLIP's tokenizer: no punctuation, lower letters, sentence pieces, and a mark at the end."""
    from tokenizers import Regex, normalizers, processors
    from transformers.convert_slow_tokenizer import SpmConverter

    made = SpmConverter(siglip).converted()
    rules: list[Any] = [normalizers.Lowercase()] if siglip.do_lower_case else []
    rules += [normalizers.Replace(Regex(_PUNCTUATION), ""), normalizers.Replace(Regex(_SPACES), " ")]
    made.normalizer = normalizers.Sequence([*rules, normalizers.Strip(), made.normalizer])
    last = siglip.eos_token
    made.post_processor = processors.TemplateProcessing(
        single=f"$A {last}", special_tokens=[(last, siglip.eos_token_id)]
    )
    return made


def _clean_first(made: Any, clean: Callable[[str], str]) -> None:  # noqa: ANN401
    """Put what OpenCLIP does to a sentence before its tokenizer into the file's own normalisation.

    OpenCLIP mends single characters (typographic quotes, ligatures, full-width letters) and spaces, and lowers letters
    if the model wants it. Each character's mend is found by asking for it. What no rule for single characters can do
    is left out: to mend text that was decoded wrongly, rare HTML entities, and a Greek sigma at the end of a word.
    """
    from tokenizers import Regex, normalizers

    lowers, drops = clean("A") == "a", clean("a.b") == "ab"
    pairs = (*_ENTITIES, *_mends(clean)) if clean("&amp;") == "&" else _mends(clean)
    rules: list[Any] = [normalizers.Replace(found, mended) for found, mended in pairs]
    rules.append(normalizers.NFC())
    if drops:
        rules += [normalizers.Replace("_", " "), normalizers.Replace(Regex(_PUNCTUATION), "")]
    if lowers:
        rules.append(normalizers.Lowercase())
    rules += [normalizers.Replace(Regex(_SPACES), " "), normalizers.Strip()]
    made.normalizer = normalizers.Sequence(rules if made.normalizer is None else [*rules, made.normalizer])


@functools.cache
def _mends(clean: Callable[[str], str]) -> tuple[tuple[str, str], ...]:
    found = []
    sign = "#" if clean("#") == "#" else "0"  # one that stays, and with which no accent joins
    for code in (*range(0xA0, 0xD800), *range(0xF900, 0x10000)):
        character = chr(code)
        if not character.isspace():
            mended = clean(f"{sign}{character}{sign}")[1:-1]
            if mended not in (character, character.lower()):
                found.append((character, mended))
    return tuple(found)
