"""Thin estimators over the proxies: one contract, one registry."""

from kpl.methods.chils import CHiLS
from kpl.methods.contract import Facts, Method, Reading
from kpl.methods.cupl import CuPL
from kpl.methods.em_dirichlet import EMDirichlet
from kpl.methods.ensemble import PromptEnsemble
from kpl.methods.evidence import Evidence, Sentence, explain, text_shares, without
from kpl.methods.frolic import Frolic
from kpl.methods.inmap import InMaP
from kpl.methods.insight import (
    ClassInsight,
    DescriptionInsight,
    Insight,
    Near,
    Verdict,
    judge_descriptions,
)
from kpl.methods.kpl import KPL, ClosedKPL
from kpl.methods.names import ClassNames
from kpl.methods.official import OfficialKPL
from kpl.methods.otter import OTTER
from kpl.methods.registry import METHODS, make_method
from kpl.methods.similarity import ClassSimilarity, class_similarity
from kpl.methods.stata import StatA
from kpl.methods.text import TextProxy
from kpl.methods.transclip import TransCLIP
from kpl.methods.transductive import Transductive
from kpl.methods.visdesc import VisDesc
from kpl.methods.waffle import Waffle
from kpl.methods.xplainer import Xplainer
from kpl.methods.zlap import ZLaP

__all__ = [
    "KPL",
    "METHODS",
    "OTTER",
    "CHiLS",
    "ClassInsight",
    "ClassNames",
    "ClassSimilarity",
    "ClosedKPL",
    "CuPL",
    "DescriptionInsight",
    "EMDirichlet",
    "Evidence",
    "Facts",
    "Frolic",
    "InMaP",
    "Insight",
    "Method",
    "Near",
    "OfficialKPL",
    "PromptEnsemble",
    "Reading",
    "Sentence",
    "StatA",
    "TextProxy",
    "TransCLIP",
    "Transductive",
    "Verdict",
    "VisDesc",
    "Waffle",
    "Xplainer",
    "ZLaP",
    "class_similarity",
    "explain",
    "judge_descriptions",
    "make_method",
    "text_shares",
    "without",
]
