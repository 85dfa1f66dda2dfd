"""Thin estimators over the proxies: one contract, one registry."""

from kpl.methods.contract import Method
from kpl.methods.descent import InMaP, OfficialKPL
from kpl.methods.evidence import Evidence, Sentence, explain
from kpl.methods.kpl import KPL, ClosedKPL
from kpl.methods.registry import METHODS, make_method
from kpl.methods.textual import ClassNames, CuPL, TextProxy

__all__ = [
    "KPL",
    "METHODS",
    "ClassNames",
    "ClosedKPL",
    "CuPL",
    "Evidence",
    "InMaP",
    "Method",
    "OfficialKPL",
    "Sentence",
    "TextProxy",
    "explain",
    "make_method",
]
