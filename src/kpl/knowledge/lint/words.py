"""The words by which lint tells what can be seen from what cannot. English: other languages pass these rules unread.

All are for text in lower case: a pattern that looks past case takes several times as long.
"""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files

_PLACE = re.compile("<([a-z]+)>")


def any_of(listed: str) -> str:
    """Return the pattern that fits any line of a list; <name> in it stands for any line of that part."""
    alternatives = "|".join(listed.split("\n")[:-1])
    return f"(?:{_PLACE.sub(lambda found: any_of(LISTS['parts'][found[1]]), alternatives)})"


LISTS = tomllib.loads((files("kpl.knowledge.lint") / "words.toml").read_text(encoding="utf-8"))
_PRAISE, _MANNER, _GENERAL, _LOOKS = (any_of(LISTS["parts"][name]) for name in ("praise", "manner", "general", "looks"))

NEGATION, UNSEEN = (re.compile(rf"\b{any_of(LISTS['patterns'][name])}\b") for name in ("negation", "unseen"))
NOT_NEGATION = re.compile(
    r"\bnot (only|just|merely|to mention)\b|\bwhether or not\b|\bno(?=\. ?\d)|\b(absolute|sub|near)[- ]zero\b"
)

_VERY = r"(?:(?:very|highly|quite|truly|easily|most|more|rather|somewhat|visually) )"
_WORTH = rf"(?:{_PRAISE}|{_MANNER}|{_GENERAL})"
OPINION = re.compile(rf"\b{_VERY}?{_WORTH}(?:(?:,? and|,|,? yet|,? but)? {_VERY}?{_WORTH})*(?:,? {_LOOKS})?\b(?! of )")
"""Praise, with the noun that it goes with: 'a sleek and powerful appearance' shows nothing."""

EMPTY_TALK = re.compile(
    rf"\b{_VERY}?{_PRAISE}\b[\w ,'-]{{0,60}}?\b(?:appearances?|looks?|features?|characteristics?|traits?|shapes?"
    rf"|designs?"
    r"|object|qualities|attributes|animals?|birds?|dogs?|creatures?)\b"
    rf"|\b{_MANNER}\b[\w ,'-]{{0,40}}?\b(?:appearances?|looks?|designs?|styles?|expressions?)\b"
    r"|\b(?:easily|instantly|immediately|readily) (?:be )?(?:recogni[sz]\w+|identif\w+|distinguish\w+)"
    r"|\bdescri(?:be|bed|ption)\b.{0,40}\b(?:as follows|below|following)\b|\b(?:can|may) (?:vary|come|be found"
    r"|have|be)\b.{0,30}\b(?:variet(?:y|ies)|depending|range|various|variety|different) |\bvar(?:y|ies) (?:widely"
    r"|greatly|in|from)\b"
)

ASIDE = re.compile(
    r"\b(?:(?:is|are|was|were|be|been|being|often|commonly|typically|usually|primarily|mainly|originally"
    r"|specifically|specially|also|widely) )*(?:(?:used|designed|intended|built|made|meant|suited|suitable|ideal"
    r"|perfect) (?:for|to|in|as|by)|worn (?:by|in|for|on|during|over|as|around)|serv(?:es?|ed|ing) (?:as|to|at"
    r"|for)|native to|(?:found|seen|spotted|grown|kept|stored|located|placed|sold|eaten|consumed|enjoyed"
    r"|played) (?:in|on|at|near|along|across|throughout|by|around|during|as|all over)|originat\w+|aris(?:es"
    r"|ing) from|for comparison with|invented|developed|bred|belongs? to|member of|in order to|that (?:can|may"
    r"|will)|(?:that|which|to|can|may) (?:store|hold|project|measure|carry|transport|move|cut|keep|make|produce"
    r"|play|provide|allow|help|protect|control|display|create|clean|cook|heat|cool|perform|record|amplify|catch"
    r"|hunt|eat|feed|live)s?|(?:provid|protect)(?:es?|s|ing)|(?:allow|help)(?:s|ing)?|prey(?:s|ing)? (?:on|upon)"
    r"|hunt(?:s|ing|ed)?|feed(?:s|ing)? on|eats?|lives? in|weigh(?:s|ing)?)\b[^,;.:]*?(?=[,;.:]|$|\b(?:with"
    r"|featuring|has|have|having|and (?:is|are|has|have|can be|consists?))\b)|\b(?:type|kind|form) of \w+"
)
"""The part of a sentence that says what a thing is for, where it is from, what it does: nothing in it is seen."""

EVERYDAY = frozenset(LISTS["everyday"]["words"].split()) | {"fur coat"}
"""Names whose everyday sense in a sentence is seldom the class."""
VISIBLE = frozenset(" ".join(LISTS["visible"].values()).split())
"""Words for what a picture shows: colours, shapes, textures, and the parts of things; size alone shows nothing."""
FINDINGS = frozenset(LISTS["findings"]["words"].split())
"""Words for what a medical picture shows; many of them name a class."""

_FILLERS = frozenset(LISTS["fillers"]["words"].split())


def stems(text: str) -> frozenset[str]:
    """Return the words that carry the meaning, cut to five letters, so that 'lobe' and 'lobes' count as one.

    Example:
        >>> sorted(stems("A nucleus with two lobes"))
        ['lobe', 'nucle']
    """
    return frozenset(w[:5].rstrip("s") for w in re.findall(r"[^\W\d_]+", text.lower()) if w not in _FILLERS)
