"""When two names, or two sentences, count as the same."""

from __future__ import annotations

import re
import unicodedata

_JOINTS = re.compile(r"[\s_\-]+")


def fold_name(name: str) -> str:
    """Bring a name to the form in which two spellings of it are equal.

    Case, spaces, underscores and hyphens do not count, nor how accents are encoded (macOS splits them in folder names).

    Example:
        >>> fold_name("Immature_Granulocyte") == fold_name("immature granulocyte") == fold_name("immature-granulocyte")
        True
    """
    return _JOINTS.sub("", unicodedata.normalize("NFKC", name).casefold())


def fold_sentence(text: str) -> str:
    """Bring a sentence to the form in which repeats are equal: case, spacing and the closing stop do not count.

    Example:
        >>> fold_sentence("A round  nucleus.") == fold_sentence("a round nucleus")
        True
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".;, ")
