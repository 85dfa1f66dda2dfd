"""What a language model says, told from what it thinks aloud before: by marks, known ones and others.

Every family of models marks its thoughts in its own way, and the next one will have another. So the names here are few,
and the rule is one of shape: a mark opens a thought if its name says so, if another mark closes it, or if it begins the
answer or, like <this>, a line, and nothing closes it; then the thought has no end. A mark within a piece of JSON that
is whole is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

BEGIN = re.compile(r'[{\[](?=\s*["{\[\]}])')
"""How JSON begins that is more than numbers; those are citations."""
_FAILURES = 200  # beginnings of JSON that come to nothing, in one answer

_THOUGHT: Final = (
    r"(?:my |chain of |inner |internal )*(?:think(?:ing|s)?|thoughts?|reasoning|monologue|scratch ?pad)"
    r"(?: process| steps?)?"
)
_MARK = re.compile(
    rf"(?i:<summary>\W*{_THOUGHT}\W*</summary>)"
    r"|<{1,2}\|?/?[^\W\d][\w.:\-=\"' ]{0,60}\|?/?>{1,2}"  # <think>, </seed:think>, <|channel>, <channel|>
    r"|<｜/?[^｜<>]{1,40}｜>"
    r"|\[{1,2}/?[A-Za-z][A-Za-z_ ]{2,40}\]{1,2}"
    r"|[◁⟨〈《【⟪«⟦]/?[^◁▷⟨⟩〈〉《》【】⟪⟫«»⟦⟧\n]{1,40}[▷⟩〉》】⟫»⟧]"
    rf"|(?i:[({{]/?{_THOUGHT}[)}}])"
)
_HEADING = re.compile(
    rf"^(?:[^\w\n<\[]{{0,12}}(?:<!--\s*)?{_THOUGHT}[^\w\n]{{0,12}}$|[^\w\n<\[]{{0,8}}{_THOUGHT}\s*:)", re.I | re.M
)
"""A line that announces thoughts: ### Thinking, ```thinking, or Thinking: and more."""
_FENCES: Final = {"```": r"^```[^\S\n]*$", "~~~": r"^~~~[^\S\n]*$", ":::": r"^:::[^\S\n]*$", "<!--": "-->"}
_ANSWER: Final = (
    r"^[^\w\n]{0,12}(?:(?:my|the|final) )*(?:answers?|output|response|result|solution)\b[^\w\n]{0,12}(?:$|(?<=:))"
)
"""A line that announces what is said after announced thoughts."""
_CHANNEL = re.compile(r"\s*(?!final|answer|content|output|response|result)[^\W\d]", re.I)
_THINKS = re.compile(r"think|thought|reason(?:ing)?\b|reflect|analysis|scratch|monologue|ponder|思考|推理", re.I)
_ANSWERS = re.compile(
    r"\b(?:answer|final|output|response|result|solution|json|descriptions?|features?|items?|list|box|text|"
    r"im|turn|header|message|user|assistant|system|model|tool|bos|eos|eot|inst|s|startoftext|endoftext)\b",
    re.I,
)
_HTML = re.compile(
    r"^(?:a|abbr|b|big|blockquote|body|br|center|code|col|dd|details|div|dl|dt|em|font|h[1-6]|head|hr|html|i|img|"
    r"kbd|label|li|mark|meta|ol|p|pre|q|samp|script|section|small|span|strong|style|sub|summary|sup|table|tbody|td|"
    r"th|thead|title|tr|tt|u|ul|var)\b",
    re.I,
)
_ENDS = re.compile(r"^(?:end|close|stop|finish)\b(?: of\b)?|\b(?:end|close|stop|finish)$", re.I)
_BEGINS = re.compile(r"^(?:begin|start|open)\b(?: of\b)?|\b(?:begin|start|open)$", re.I)
_STRIPPED = re.compile(r"\A\s*(?:analysis|commentary)(?=[A-Z])")  # harmony without its marks
_STRIPPED_FINAL = "assistantfinal"


def whole_json(text: str, begin: int = 0) -> Iterator[tuple[int, int, Any]]:
    """Find the pieces of JSON that are whole and lie in no other: first and last place, and what they say.

    Example:
        >>> list(whole_json('so: {"a": 1} or ["b"'))
        [(4, 12, {'a': 1})]
    """
    decoder = json.JSONDecoder()
    failures = 0
    while failures < _FAILURES and (match := BEGIN.search(text, begin)):
        try:
            data, begin = decoder.raw_decode(text, match.start())
        except (json.JSONDecodeError, RecursionError):
            failures, begin = failures + 1, match.start() + 1
            continue
        yield match.start(), begin, data


def blanked(text: str, pieces: Iterable[tuple[int, int, Any]]) -> str:
    """Put spaces in the place of pieces of JSON.

    Example:
        >>> blanked("so: [] or", [(4, 6, [])])
        'so:    or'
    """
    kept = list(text)
    for first, last, _ in pieces:
        kept[first:last] = " " * (last - first)
    return "".join(kept)


@dataclass(frozen=True)
class _Mark:
    """A mark: where it stands, its name without what says that it begins or ends something, and which of both it is."""

    first: int
    last: int
    raw: str
    name: str
    closes: bool
    thinks: bool
    harmless: bool
    leads: bool
    """It begins a line."""
    is_first: bool
    """It begins the answer."""


def _read(match: re.Match[str], text: str) -> _Mark:
    raw = match.group()
    inner = re.sub(r"\s\w+=.*", "", raw[1:-1].strip("<>[]"))
    words = " ".join(re.findall(r"[^\W_]+", inner))
    closes = inner.lstrip("|｜").startswith("/") or (inner.endswith("|") and not inner.startswith("|"))
    closes = closes or bool(_ENDS.search(words))
    name = _BEGINS.sub("", _ENDS.sub("", words)).strip().lower()
    last = match.end()
    channel = name == "channel"
    if channel and not closes and (kind := re.compile(r"\s*\w+").match(text, last)):
        last = kind.end()
    thinks = (not closes and bool(_CHANNEL.match(text, match.end()))) if channel else bool(_THINKS.search(name))
    if raw.startswith("<summary"):
        name = "details"
    elif numbered := re.fullmatch(r"(\w[\w ]*?) ?\d+", name):  # MedGemma's <unused94>
        name, thinks = numbered[1], bool(re.match(r"\s*thought", text[last:]))
    harmless = not name or bool(_HTML.match(name) or _ANSWERS.search(name)) or (channel and not thinks)
    before = text[: match.start()].rpartition("\n")[2]
    leads, is_first = not before.strip(), not text[: match.start()].strip()
    return _Mark(match.start(), last, raw, name, closes, thinks, harmless and not thinks, leads, is_first)


def _marks(text: str) -> list[_Mark]:
    """List the marks that stand outside whole JSON."""
    spans = [(first, last) for first, last, _ in whole_json(text)]
    found = []
    for match in _MARK.finditer(text):
        while spans and spans[0][1] <= match.start():
            spans.pop(0)
        if not spans or match.start() < spans[0][0]:
            found.append(_read(match, text))
    return found


def _opens(mark: _Mark, later: list[_Mark]) -> bool:
    """Tell whether a thought begins here."""
    if mark.closes or mark.harmless:
        return False
    if mark.thinks or any(_ends(other, mark) for other in later):
        return True
    if mark.raw.startswith("<") and "|" not in mark.raw and "｜" not in mark.raw:
        return mark.leads and not mark.raw.endswith("/>")
    return mark.leads and mark.is_first and not any(other.raw[0] == mark.raw[0] for other in later)


def _ends(mark: _Mark, opened: _Mark) -> bool:
    """Tell whether a mark ends the thought that another has opened."""
    if mark.name == opened.name:
        return mark.raw != opened.raw or (mark.name == "channel" and mark.harmless)
    return mark.closes and mark.thinks and opened.thinks and mark.raw[0] == opened.raw[0]


def _unannounced(text: str) -> str:
    """Leave out thoughts that a line announces, to the line that announces the answer, or to the end of their fence.

    Where neither comes, JSON at the very end is the answer.
    """
    pieces = list(whole_json(text))
    outside = blanked(text, pieces)
    found = _HEADING.search(outside)
    if found is None:
        return text
    fence = next((end for begin, end in _FENCES.items() if found.group().lstrip().startswith(begin)), _ANSWER)
    before = text[: found.start()] if any(last <= found.start() for _, last, _ in pieces) else ""
    if ended := re.compile(fence, re.I | re.M).search(outside, found.end()):
        return before + _unannounced(text[ended.end() :])
    if pieces and pieces[-1][0] >= found.end() and not re.search(r"\w", text[pieces[-1][1] :]):
        return text[pieces[-1][0] : pieces[-1][1]]
    return before


def spoken(answer: str) -> str:
    """Leave out what the model thought aloud, finished or not, and the marks of its chat format.

    Example:
        >>> spoken("<musing>a ring, or a wedge?</musing>a ring"), spoken("<musing>a ring, or")
        ('a ring', '')
    """
    answer = _unannounced(answer)
    if _STRIPPED.match(answer):
        answer = answer.rpartition(_STRIPPED_FINAL)[2] if _STRIPPED_FINAL in answer else ""
    marks = _marks(answer)
    said: list[str] = []
    begin = 0
    opened: _Mark | None = None
    for place, mark in enumerate(marks):
        if opened is not None:
            if _ends(mark, opened):
                opened, begin = None, mark.last
            continue
        if _opens(mark, marks[place + 1 :]):
            # What stands before a thought only leads up to it, unless it is whole JSON.
            before = "".join([*said, answer[begin : mark.first]])
            said = [before] if any(whole_json(before)) else []
            opened = mark
        elif mark.closes and not mark.harmless:  # opened by the server's template
            said, begin = [], mark.last
        elif mark.harmless and not _HTML.match(mark.name) and mark.raw[0] != "[":
            said.append(answer[begin : mark.first])
            begin = mark.last
    if opened is None:
        said.append(answer[begin:])
    return re.sub(r"\[/?INST\]|<\|[^|<>]{1,40}\|>", "", "".join(said)).strip()
