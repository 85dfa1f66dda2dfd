"""Thin estimators over the proxies: one contract, one registry."""

from kpl.methods.adapt import ADAPT
from kpl.methods.contract import Contradicted, Facts, Method, Reading
from kpl.methods.em_dirichlet import EMDirichlet
from kpl.methods.evidence import Evidence, Sentence, explain, text_shares, without
from kpl.methods.frolic import Frolic
from kpl.methods.gda import GDA
from kpl.methods.inmap import InMaP
from kpl.methods.judging import (
    ClassInsight,
    DescriptionInsight,
    Insight,
    Near,
    Verdict,
    judge_descriptions,
)
from kpl.methods.kpl import KPL, ClosedKPL
from kpl.methods.mixtures import StatA, TransCLIP
from kpl.methods.official import OfficialKPL
from kpl.methods.otter import OTTER
from kpl.methods.registry import METHODS, add_offered, as_method, make_method
from kpl.methods.similarity import ClassSimilarity, class_similarity
from kpl.methods.textual import CHiLS, ClassNames, CuPL, PromptEnsemble, TextProxy, VisDesc, Waffle, Xplainer
from kpl.methods.transductive import Transductive
from kpl.methods.zlap import ZLaP

__all__ = [
    "ADAPT",
    "GDA",
    "KPL",
    "METHODS",
    "OTTER",
    "CHiLS",
    "ClassInsight",
    "ClassNames",
    "ClassSimilarity",
    "ClosedKPL",
    "Contradicted",
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
    "as_method",
    "class_similarity",
    "explain",
    "judge_descriptions",
    "make_method",
    "text_shares",
    "without",
]

add_offered()  # last, so that a package may take anything from here for a method of its own
