"""Which sentences are in another language than the rest: by script, then by the small words of seven languages."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

_SMALL_WORDS = {
    "English": "the a an of and with is are that which in to its has have for or by from on as it at",
    "German": "der die das und mit ist sind ein eine einer eines dem den des von im zu auf nicht sich auch oder aus",
    "French": "le la les des du une un et avec est sont dans par pour qui sur au aux ou ses plus en",
    "Spanish": "el la los las de del una un y con es son en por para que sobre su sus más o se al",
    "Italian": "il lo la gli le dei delle di una un e con è sono in per che su suo sua più o si del della",
    "Portuguese": "o a os as de do da dos das uma um e com é são em por para que sobre seu sua mais ou no na",
    "Dutch": "de het een en met is zijn van in op te voor die dat uit bij aan ook of niet",
}
_TOLD_BY = {word: [name for name, words in _SMALL_WORDS.items() if word in words.split()] for words_ in
            _SMALL_WORDS.values() for word in words_.split()}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")


def odd_ones(texts: list[str]) -> list[str | None]:
    """Name the language or script of every sentence that differs from that of most; None for the others."""
    scripts = [_script(text) for text in texts]
    main_script = Counter(scripts).most_common(1)[0][0] if scripts else ""
    told = [Counter(name for word in _WORD.findall(t.lower()) for name in _TOLD_BY.get(word, ())) for t in texts]
    leaders = Counter(leader for counts in told if (leader := _leader(counts)))
    main = leaders.most_common(1)[0][0] if leaders else ""
    odd: list[str | None] = []
    for text, script, counts in zip(texts, scripts, told, strict=True):
        if script and script != main_script:
            odd.append(f"{script.capitalize()} script")
            continue
        leader = _leader(counts)
        odd.append(leader if leader and leader != main and _is_clear(counts[leader], counts[main], text) else None)
    return odd


def _is_clear(found: int, of_main: int, text: str) -> bool:
    """Whether many small words are of a language, or two of a short sentence, and few of the main one."""
    if found >= 3:
        return found >= 3 * of_main
    return found == 2 and not of_main and len(_WORD.findall(text)) <= 6


def _leader(counts: Counter[str]) -> str | None:
    return counts.most_common(1)[0][0] if counts else None


def _script(text: str) -> str:
    """Name the script of most letters, by the first word of their names in Unicode."""
    if text.isascii():
        return "LATIN"
    names = Counter(script_of(c) for c in text if c.isalpha())
    return names.most_common(1)[0][0] if names else ""


@lru_cache(maxsize=4096)
def script_of(character: str) -> str:
    """Name the script of a letter, by the first word of its name in Unicode."""
    name = unicodedata.name(character, "UNKNOWN").split()[0]
    return "CJK" if name in ("CJK", "HIRAGANA", "KATAKANA") else name
