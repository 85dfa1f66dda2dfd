"""From what a language model answers to clean sentences; whatever is no description stays outside."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kpl.authoring.thoughts import BEGIN, blanked, spoken, whole_json
from kpl.knowledge.folding import fold_name, fold_sentence
from kpl.knowledge.lint.language import script_of
from kpl.knowledge.shapes import REFUSAL

MAX_CHARACTERS = 300  # about 75 tokens: no encoder of the CLIP family reads more in one prompt


@dataclass(frozen=True)
class Said:
    """One sentence of an answer, and the number of the passage or of the item that it names."""

    text: str
    number: int | None = None


def read_json(answer: str, form: Mapping[str, Any] | None = None, *, cut: bool = False) -> Any:  # noqa: ANN401 - JSON
    """Find the JSON in an answer: bare, in a fence, behind a preamble, or cut off; None if there is none.

    Of several pieces it is the last that has the `form` asked for, a JSON Schema, or else the last: what comes before
    was thought aloud. Of a `cut` answer only what stands at its end can be the answer; an empty list is returned
    where there is other JSON only.

    Example:
        >>> read_json('Sure! {"descriptions": ["a round nucleus", "pale cyto')
        {'descriptions': ['a round nucleus']}
        >>> read_json('Perhaps {"numbers": [1]}, no: {"numbers": [2]}')
        {'numbers': [2]}
    """
    text = spoken(answer)
    if re.fullmatch(r"\W*\[[\s\d,]*\]\W*", text):  # numbers alone; amid prose such brackets are citations
        return json.loads(f"[{','.join(re.findall(r'[1-9][0-9]*', text))}]")
    whole = list(whole_json(text))
    begun = _begun(text, whole)
    found = sorted([(first, last, data) for first, last, data in (*whole, *begun)], key=lambda piece: piece[0])
    fitting = [piece for piece in found if form is not None and _fits(piece[2], form)]
    # Where nothing fits, what is cut off holds the pieces behind its beginning.
    chosen = (fitting or begun[:1] or found)[-1:]
    if not chosen:
        return None
    _, last, data = chosen[0]
    return [] if cut and re.search(r"\w", text[last:]) else data


def _begun(text: str, whole: Sequence[tuple[int, int, Any]]) -> list[tuple[int, int, Any]]:
    """Read what begins like JSON outside the whole pieces and is cut off, each to its last whole entry."""
    found = []
    for match in list(BEGIN.finditer(blanked(text, whole)))[:_TRIES]:
        if (mended := _mend(text[match.start() :])) is not None:
            found.append((match.start(), len(text), mended))
    return found


def _fits(data: Any, form: Mapping[str, Any]) -> bool:  # noqa: ANN401 - whatever the model wrote
    """Tell whether a piece of JSON has the outline of the form asked for; small models fill it in loosely."""
    if form.get("type") != "object" or not isinstance(data, dict):
        return False
    kinds = {"array": list, "object": dict}
    parts = form.get("properties", {})
    return all(
        name in data and isinstance(data[name], kinds.get(parts.get(name, {}).get("type"), object))
        for name in form.get("required", ())
    )


_TRIES = 20  # beginnings of JSON in one answer
_JSON_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],]|[^\s{}\[\],"]+')


def _mend(text: str) -> Any:  # noqa: ANN401 - whatever the model wrote
    """Close the brackets of a cut answer behind its last whole entry."""
    open_brackets: list[str] = []
    safe: tuple[int, str] | None = None
    for match in _JSON_PIECE.finditer(text):
        piece = match.group()
        if piece in "{[":
            open_brackets.append("}" if piece == "{" else "]")
        elif piece in "}]":
            if not open_brackets or open_brackets.pop() != piece:
                break
            safe = (match.end(), "".join(reversed(open_brackets)))
        elif piece == "," and open_brackets:
            safe = (match.start(), "".join(reversed(open_brackets)))
        if len(open_brackets) > 12:
            break
    if safe is None:
        return None
    try:
        return json.loads(text[: safe[0]] + safe[1])
    except (json.JSONDecodeError, RecursionError):
        return None


def read_numbers(answer: str, form: Mapping[str, Any] | None = None, *, cut: bool = False) -> dict[int, str]:
    """Read `{"items": [{"number": 3, "text": ...}]}`, or lines that begin with a number.

    Of a `cut` answer the last line is not read; JSON is read to its last whole entry in any case.

    Example:
        >>> read_numbers("1. clear lungs\\n2) a sharp angle")
        {1: 'clear lungs', 2: 'a sharp angle'}
    """
    data = read_json(answer, form, cut=cut)
    if data is None:
        said = _without_end(spoken(answer)) if cut else spoken(answer)
        lines = re.findall(r"^\W*(\d{1,4})\s*[.:)\]-]\W*(.*)$", said, re.MULTILINE)
        return {int(number): text for number, text in lines}
    numbers: dict[int, str] = {}
    for item in _leaves(data):
        if isinstance(item, int):
            numbers.setdefault(item, "")
        elif (number := item.number if item.number is not None else _as_number(item.text)) is not None:
            numbers.setdefault(number, item.text)
    return numbers


def _without_end(text: str) -> str:
    """Take off the last line."""
    return text.rpartition("\n")[0]


_TEXT_KEYS = ("text", "description", "feature", "sentence", "absent", "reason", "why")
_NUMBER_KEYS = ("passage", "number", "id", "source")


def _leaves(data: Any, depth: int = 0) -> Iterator[Said | int]:  # noqa: ANN401 - whatever the model wrote
    """Walk through lists and mappings of any shape down to their sentences."""
    if depth > 6 or isinstance(data, bool):
        return
    match data:
        case str():
            yield Said(data)
        case int():
            yield data
        case list():
            for item in data:
                yield from _leaves(item, depth + 1)
        case dict():
            text = next((data[key] for key in _TEXT_KEYS if isinstance(data.get(key), str)), None)
            number = next((found for key in _NUMBER_KEYS if (found := _as_number(data.get(key))) is not None), None)
            if text is not None or number is not None:
                yield Said(text or "", number)
                return
            for item in data.values():
                yield from _leaves(item, depth + 1)


def _as_number(value: object) -> int | None:
    if isinstance(value, str) and (found := re.fullmatch(r"\W*(\d{1,6})\W*", value)):
        return int(found.group(1))
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_MARKED = re.compile(r"^\s*(?:[-*•‣◦·–—]+\s|#*\s*[(\[]?\d{1,3}[.):\]]\s*|[a-zA-Z][.)]\s)")
_STOP = re.compile(r"(?<=\w[.!])\s+(?=[A-Z])|(?<=[。！])")
_PASSAGE = re.compile(r"\s*[\[(](?:passage\s*)?(\d{1,6})[\])]\s*\.?\s*$", re.I)


def read_answer(
    answer: str, banned: Iterable[str] = (), form: Mapping[str, Any] | None = None, *, cut: bool = False
) -> list[Said]:
    """Read the sentences of an answer, in JSON or in prose, cleaned and each once.

    `banned` are names that alone describe nothing: those of the classes; `form` is the JSON Schema asked for.
    Of a `cut` answer the last sentence of prose
    is left out; JSON is read to its last whole entry in any case.

    Example:
        >>> read_answer("Here are 2 features:\\n1. **Colour:** A *dark* nucleus.\\n2. I'm sorry, I cannot.")
        [Said(text='a dark nucleus', number=None)]
    """
    data = read_json(answer, form, cut=cut)
    raw = [item for item in _leaves(data) if isinstance(item, Said)]
    if data is None:
        prose = spoken(answer)
        lines = [line for line in prose.splitlines() if line.strip() and not line.strip().startswith("```")]
        marked = [line for line in lines if _MARKED.match(line)]
        if len(marked) < 2:  # running text: its sentences, unless it declines
            marked = [] if REFUSAL.search(prose) else [part for line in lines for part in _STOP.split(line)]
        raw = [Said(line) for line in (marked[:-1] if cut else marked)]
    names = {fold_name(name) for name in banned}
    said: dict[str, Said] = {}
    for item in raw:
        number = item.number
        text = item.text
        if number is None and (cited := _PASSAGE.search(text)):
            number, text = int(cited.group(1)), text[: cited.start()]
        sentence = clean_sentence(text)
        if sentence and fold_name(sentence) not in names:
            said.setdefault(fold_loosely(sentence), Said(sentence, number))
    return list(said.values())


def why_unusable(answer: str, form: Mapping[str, Any], *, cut: bool = False) -> str | None:
    """Say why an answer holds nothing of what was asked for; None if it does, were it an empty list.

    Example:
        >>> why_unusable("<think>so many things", {})
        'it holds a thought without an end, and no answer'
    """
    said_aloud = spoken(answer)
    if _fits(read_json(answer, form, cut=cut), form):
        return None
    wants_sentences = "descriptions" in form.get("properties", {})
    if read_answer(answer, (), form, cut=cut) if wants_sentences else read_numbers(answer, form, cut=cut):
        return None
    if cut:
        return "it was cut at the limit of its length before anything in it was whole: raise that limit at the server"
    if not said_aloud:
        return "it holds a thought without an end, and no answer" if answer.strip() else "it is empty"
    if REFUSAL.search(said_aloud):
        return "the model declines"
    return "it holds nothing of the form asked for" if wants_sentences or not re.search(r"\w", said_aloud) else None


def fold_loosely(text: str) -> str:
    """Bring a sentence to the form in which near repeats are equal: articles and punctuation do not count.

    Example:
        >>> fold_loosely("A round, dark nucleus.") == fold_loosely("the round dark nucleus")
        True
    """
    words = re.sub(r"[^\w\s]|_", " ", fold_sentence(text)).split()
    return " ".join(word for word in words if word not in ("a", "an", "the")) or fold_sentence(text)


_PREAMBLE = re.compile(
    r"^((sure|certainly|of course|okay|ok|great|absolutely|yes)(\W*$|\s*[!,.:]|\s(here|i)\b)|"
    r"here (are|is)\b|here('s| you go)|below (are|is)\b|"
    r"(these|the following|this (list|set))\b.*\b(features?|descriptions?|list|answers?|characteristics)|let me know|"
    r"i hope|i (will|would|have|can|could|must|apologi[sz]e|think|believe)\b|i'(m|ll|ve|d)\b|as requested|"
    r"please (note|let|consult)|note( that)?\b|remember\b|in (summary|conclusion)|disclaimer|important:|"
    r"to (summari[sz]e|describe)|unfortunately|"
    r"feel free|thank you|you can\b|consult|(visual )?(features?|descriptions?|characteristics) (of|for)\b.{0,60}$|"
    r"n/?a$|none$|unknown$|\.\.\.|etc\.?$|(the )?json\b|we (need|have|are|should|must)\b|the user\b)",
    re.IGNORECASE,
)
_LABEL = re.compile(r"^[^\W\d_][\w /&-]{1,30}:\s+(?=\S+\s+\S)")
_ARTICLE = re.compile(r"^(A|An|The|Some|Several|Many|Multiple|One|Two|Three|Its)\s(?=[a-z])")


def clean_sentence(text: str) -> str | None:
    """Strip numbering, markdown, HTML, control characters, labels and quotes; None when no description is left.

    Example:
        >>> clean_sentence('3) **Shape:** <b>A round</b> nucleus&nbsp;with `sharp` edges.')
        'a round nucleus with sharp edges'
        >>> clean_sentence("Here are 50 visual features:") is None
        True
    """
    text = _plain_text(text)
    for _ in range(2):  # "1. - text"
        text = _MARKED.sub("", text, count=1).strip()
    text = text.strip("\"'“”„«»‘’`").strip()
    if not text or text.endswith((":", "?", "：", "？")) or REFUSAL.search(text) or _PREAMBLE.match(text):
        return None
    text = _LABEL.sub("", text, count=1).strip()
    text = text.rstrip(".;, ").strip('"“”„«»`').strip() if not text.endswith("...") else ""
    text = _ARTICLE.sub(lambda found: found.group().lower(), text)
    letters = sum(map(str.isalpha, text))
    if letters < (4 if text.isascii() else 2) or len(text) > MAX_CHARACTERS or text[0] in "{}[]<|":
        return None
    return None if _PREAMBLE.match(text) or _is_gibberish(text) else text


def _is_gibberish(text: str) -> bool:
    """Whether a text is of too many scripts, or of too few letters, for anybody to have meant it."""
    scripts = {script_of(c) for c in text if c.isalpha()}
    words = sum(c.isalnum() or c.isspace() or unicodedata.category(c).startswith("M") for c in text)
    return len(scripts) > 3 or words < 0.75 * len(text)


def _plain_text(text: str) -> str:
    """Take markdown, HTML and everything that cannot be seen out of a text."""
    text = html.unescape(text)
    text = re.sub(r"<(script|style)\b.*?(</\1>|\Z)", " ", text, flags=re.S | re.I)
    text = re.sub(r"</?[a-zA-Z!][^<>]{0,200}>", " ", text)
    text = re.sub(r"!?\[([^\[\]]{1,200})\]\([^()\s]{1,300}\)", r"\1", text)
    text = re.sub(r"(\*\*|__|\*|`|~~)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = re.sub(r"\*\*|`|^\s*#{1,6}\s|^\s*>\s", " ", text)
    kept = [c if unicodedata.category(c) not in ("Cc", "Cs", "Co", "Cn") else " " for c in text]
    # Joiners are letters of some scripts; other invisible characters only disturb.
    visible = (c for c in kept if unicodedata.category(c) != "Cf" or c in "\u200c\u200d")
    return " ".join(unicodedata.normalize("NFC", "".join(visible)).split())
