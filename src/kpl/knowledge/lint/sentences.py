"""The rules that judge one sentence by itself."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator

from kpl.knowledge.lint.clinical import CLINICAL
from kpl.knowledge.lint.sheet import Row, Sheet
from kpl.knowledge.lint.words import (
    ASIDE,
    EMPTY_TALK,
    FINDINGS,
    NEGATION,
    NOT_NEGATION,
    OPINION,
    UNSEEN,
    VISIBLE,
)
from kpl.knowledge.shapes import BULLET, REFUSAL

_OPENING = re.compile(
    r"^\W*((sure|certainly|of course|okay|here (are|is)|here's|below (are|is|you)|the following|let me|as requested"
    r"|i(['’]d| would| am|['’]m) (be )?(happy|glad)|(yes|absolutely|definitely|gladly|great( question)?|all ?right"
    r"|no problem|ok)\s*[!,.:])|(below|here),? you['’]? ?(will|ll|can|may)? find)(?!\w)",
    re.IGNORECASE,
)
_PREAMBLE = re.compile(
    r"\b(here are|these are|following|below|as follows|include)\b[^.]*:\W*\d*\W*$"
    r"|\b(some|key|common|main|general|typical|possible|basic)( \w+){0,2} (features?|characteristics"
    r"|descriptions?|attributes)"
    r"[^.]*:\W*\d*\W*$|\b(described|description|details|characteristics|features|look like) ?(as follows"
    r"|below)?:\W*\d*\W*$|:\s*$",
    re.IGNORECASE,
)
_CUT = re.compile(
    r"([,;(\-–—]|\.\.\.|…)\s*$"
    r"|\b(a|an|the|of|with|and|or|to|from|for|by|that|which|is|are|its|their|as|at|than|about|such as"
    r"|approximately|called)\W*$"
    r"|(\b(from|to|about|around|approximately|between|of|than|is|over|at|nearly|roughly|and|or|only|just|least"
    r"|most)|(?<![A-Za-z])[-–])"
    r" ?\$?\d+\.$|\b\d\.$"
    r"|\b(e\.g|i\.e|approx|vs|Dr|Mr|Mrs|St|U\.S|cf|ca|sp|spp|v|no|a\.k\.a)\.$"
)
_TAIL = re.compile(r"^\W*(and|or|but|which|whose|that|with|of) ", re.IGNORECASE)
_OPEN_END = re.compile(
    r"[a-z)]{2}[.!?] +(It|This|They|These|There|The|An?|In|Its|Their)( [\w-]+)?$"
    r"|\b(also|this|these|has|have|was|were|very|can|may)$"
)
_GLUED = re.compile(
    r"^[a-z]+[A-Z][a-z]|^(?!\.\d)[,;:.!?)\]]\s*\w|[a-z)]{2}[.!?:;][A-Z][a-z]|[a-z],[A-Z][a-z]|\w[.!?:]\d\."
)
_LEAD = re.compile(r"^(?:(?!\.\d)[\s,;:.!?)\]])+(?=\.?\w)")
_TAG = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|body|br|center|cite|code|dd|del|div|dl|dt|em|figcaption|figure|font|h[1-6]|head|hr"
    r"|html|i|iframe|img|ins|kbd|li|link|mark|meta|ol|p|pre|q|s|script|section|small|span|strike|strong|style|sub|sup"
    r"|svg|table|tbody|td|th|thead|title|tr|tt|u|ul)"
    r"(?:\s+[\w:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>]+))*\s*/?>",
    re.IGNORECASE,
)
"""HTML's own tags, with attributes that have values: `<a few mm and others >` is none."""
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-fA-F]+|[A-Za-z]{2,8});")
_MARKUP = re.compile(r"\*\*|^\s*([-*•·●]|\d{1,2}[.)])\s+\w|^#+ |`")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
"""What steers a terminal's colours and cursor (ECMA-48)."""
_HEADING = re.compile(r"^#+ ")
_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")


def judge_writing(sheet: Sheet, row: Row) -> Iterator[tuple[str, str]]:
    """Tell what is wrong in how a sentence is written, as (code, message)."""
    text = row.text
    if REFUSAL.search(text):
        yield "K102", "reads like a language model's refusal"
        return
    if _OPENING.match(text) or (":" in text and _PREAMBLE.search(text)):
        yield "K103", "introduces a list instead of describing"
        return
    if hidden := _hidden(row.raw):
        yield "K107", f"an invisible or control character ({hidden})"
    elif _MARKUP.search(text) or ("<" in text and _TAG.search(text)) or ("&" in text and _ENTITY.search(text)):
        yield "K107", "HTML, Markdown or a bullet"
    if cut := _how_cut(sheet, text):
        yield "K104", cut
    elif _GLUED.search(text):
        yield "K105", "its beginning, or two sentences in it, look glued together"
    elif _says_twice(row.lowered):
        yield "K105", "the same words stand twice behind each other"
    elif len(_WORD.findall(text)) < (3 if sheet.whole_sentences else 2) and not _is_compact(text):
        yield "K106", "too short to say what is seen"


def judge_content(sheet: Sheet, row: Row) -> Iterator[tuple[str, str]]:
    """Tell what is wrong in what a sentence says of its class."""
    declared = row.kind == "absent" or (row.facts is not None and row.facts.against is not None)
    denies = not declared and NEGATION.search(row.lowered)
    if denies and (negation := NEGATION.search(NOT_NEGATION.sub(" ", row.lowered))):
        yield "K301", f"says {negation.group()!r}: say what is there"
    clinical = CLINICAL.search(row.lowered)
    if clinical:
        yield "K302", f"{clinical.group()!r} is not in a picture"
    empty, unseen = EMPTY_TALK.search(row.lowered), UNSEEN.search(row.lowered)
    if clinical or not (empty or unseen) or _shows(_without_names(sheet, row)):
        return
    if empty:
        yield "K304", f"{empty.group()!r} holds for every class"
    elif unseen:
        yield "K303", f"nothing in it can be seen ({unseen.group()!r})"


def cleaned(raw: str) -> str:
    """Return a sentence without markup, invisible characters and leading punctuation."""
    text = _TAG.sub(" ", _ENTITY.sub(lambda entity: html.unescape(entity.group()), _ANSI.sub("", raw)))
    text = text.replace("**", "").replace("`", "")
    text = "".join(
        " " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf")
    )
    return " ".join(_LEAD.sub("", BULLET.sub("", _HEADING.sub("", text))).split())


def _shows(lowered: str) -> bool:
    """Whether a sentence names something to be seen, beside what a thing is for, where it is from, and praise."""
    rest = OPINION.sub(" ", ASIDE.sub(" ", lowered))
    words = (word.rpartition("-")[2] for word in _WORD.findall(rest))
    return any(word in VISIBLE or word in FINDINGS for word in words)


def _without_names(sheet: Sheet, row: Row) -> str:
    """Leave the names of the class out: 'red wolf' says nothing of a colour."""
    entry = sheet.knowledge.classes[row.class_number]
    text = row.lowered
    for name in sorted({entry.key, entry.name, *entry.aliases}, key=len, reverse=True):
        text = text.replace(name.replace("_", " ").lower(), " ")
    return text


def _hidden(raw: str) -> str:
    """Name the first character that prints nothing, or a character that could not be decoded."""
    if raw.isascii() and raw.isprintable():
        return ""
    for character in raw:
        if character == "\ufffd" or (
            unicodedata.category(character) in ("Cc", "Cf") and character not in "\n\r\t\u200c\u200d"
        ):
            return f"U+{ord(character):04X}"
    return ""


def _how_cut(sheet: Sheet, text: str) -> str:
    if _CUT.search(text, max(0, len(text) - 40)):  # all its alternatives stand at the end
        return "its end looks cut"
    if text[-1].isalnum() and _OPEN_END.search(text):
        return "its last sentence looks cut"
    if text.count("(") != text.count(")") or text.replace('\\"', "").count('"') % 2:
        return "a bracket or quote stands open"
    if sheet.whole_sentences and (text[0].islower() or _TAIL.match(text)) and not _GLUED.search(text):
        return "its beginning looks cut"
    if sheet.whole_sentences and text[-1].isalnum() and text.isascii():
        return "it ends without a stop, unlike the others"
    return ""


def _says_twice(lowered: str) -> bool:
    """Whether a run of three or more words follows itself."""
    words = lowered.split()
    if len(set(words)) > len(words) - 3:
        return False
    last: dict[str, int] = {}
    for place, word in enumerate(words):
        before = last.get(word)
        last[word] = place
        if before is not None and place - before >= 3:
            run = words[before:place]
            if run == words[place : 2 * place - before]:
                return True
    return False


def _is_compact(text: str) -> bool:
    """Whether a text is of a script that sets no spaces between words."""
    return any(unicodedata.category(c) == "Lo" for c in text) and len(text) >= 4
