"""What a tokenizer's file may ask for: no text becomes far longer, nothing is padded beyond what is read."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from kpl.bounded import LARGEST, read_bounded
from kpl.errors import EncoderError

_GROWTH: Final = 1000
"""Characters that may come of one: the longest that one character of Unicode becomes has 18."""
_WORDS: Final = ("*.json", "*.txt", "*.model", "*.jinja")


def check_words(*folders: Path) -> None:
    """Check the configuration and the words of a model before its library reads them.

    Raises:
        EncoderError: a file is too large for what it is, or a tokenizer makes far longer texts.
    """
    for path in sorted({path for folder in folders for pattern in _WORDS for path in folder.glob(pattern)}):
        try:
            if path.name == "tokenizer.json":
                check_tokenizer(path)
            elif path.suffix == ".json":
                read_bounded(path)
            elif path.stat().st_size > LARGEST:
                raise ValueError(f"it has more than {LARGEST >> 20} MiB")
        except (OSError, ValueError) as error:
            raise EncoderError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def check_tokenizer(path: Path, context_length: int | None = None) -> None:
    """Check a `tokenizers` file; where its own padding counts, that it pads to no more than is read.

    Raises:
        OSError, ValueError: it cannot be read, is too large, or asks for too much.
    """
    told = json.loads(read_bounded(path))
    if not isinstance(told, dict):
        raise ValueError("it is no tokenizer")
    padding = told.get("padding") or {}
    strategy = padding.get("strategy")
    fixed = strategy.get("Fixed") if isinstance(strategy, dict) else 0
    wanted = max(int(padding.get("pad_to_multiple_of") or 0), int(fixed or 0))
    if context_length is not None and wanted > context_length:
        raise ValueError(f"its tokenizer pads to {wanted} tokens, its card reads {context_length}")
    if (grown := _growth(list(_rules(told.get("normalizer"))))) > _GROWTH:
        raise ValueError(f"its tokenizer makes {grown:.0g} characters of one, at most {_GROWTH} may come of it")


def _rules(normalizer: Any) -> Iterator[tuple[str | None, str]]:  # noqa: ANN401 - JSON
    """Walk through what replaces: what is looked for, None for a regular expression, and what comes in its place."""
    if not isinstance(normalizer, dict):
        return
    for inner in normalizer.get("normalizers") or ():
        yield from _rules(inner)
    pattern = normalizer.get("pattern")
    if isinstance(pattern, dict):
        text = pattern.get("String")
        yield (text if isinstance(text, str) and text else None), str(normalizer.get("content"))


def _growth(rules: list[tuple[str | None, str]]) -> float:
    """Bound the characters that come of a single one, rule after rule, whatever the others make of what came before.

    From the last rule to the first: what comes of a character that a rule finds is what later rules make of the rule's
    own text. Of a longer text that is found all is counted for its first character; a regular expression may find
    anything, and nothing.

    Example:
        >>> _growth([("a", "bb"), ("b", "cccc")]), _growth([("b", "cccc"), ("a", "bb")])
        (8.0, 4.0)
    """
    most: dict[str, float] = defaultdict(lambda: 1.0)
    anything = 0.0
    for text, content in reversed(rules):
        grown = sum(anything + most[character] for character in content)
        if text is None:
            anything += grown
        else:
            most[text[0]] = max(grown, most[text[0]] if len(text) > 1 else 0.0)
    return anything + max(most.values(), default=1.0)
