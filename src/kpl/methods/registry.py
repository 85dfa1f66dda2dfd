"""The methods by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from kpl.errors import UnknownNameError
from kpl.methods.chils import CHiLS
from kpl.methods.contract import Method
from kpl.methods.cupl import CuPL
from kpl.methods.em_dirichlet import EMDirichlet
from kpl.methods.ensemble import PromptEnsemble
from kpl.methods.frolic import Frolic
from kpl.methods.inmap import InMaP
from kpl.methods.kpl import KPL, ClosedKPL
from kpl.methods.names import ClassNames
from kpl.methods.official import OfficialKPL
from kpl.methods.otter import OTTER
from kpl.methods.stata import StatA
from kpl.methods.text import TextProxy
from kpl.methods.transclip import TransCLIP
from kpl.methods.visdesc import VisDesc
from kpl.methods.waffle import Waffle
from kpl.methods.xplainer import Xplainer
from kpl.methods.zlap import ZLaP

__all__ = ["METHODS", "make_method"]

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        ClassNames,
        PromptEnsemble,
        VisDesc,
        CuPL,
        Waffle,
        CHiLS,
        Xplainer,
        TextProxy,
        InMaP,
        OfficialKPL,
        ClosedKPL,
        OTTER,
        ZLaP,
        TransCLIP,
        StatA,
        EMDirichlet,
        Frolic,
        KPL,
    )
}


def make_method(name: str, **settings: Any) -> Method:  # noqa: ANN401 - each method has its own settings
    """Return an unfitted method by its registry name; settings left out or None keep their defaults.

    Raises:
        UnknownNameError: no such method, or a setting that the method does not have; suggests the nearest.

    Example:
        >>> make_method("text", k=5).k
        5
    """
    if not isinstance(name, str) or name not in METHODS:
        raise UnknownNameError("method", str(name), METHODS)
    known = {f.name for f in dataclasses.fields(METHODS[name]) if f.init}
    given = {key: value for key, value in settings.items() if value is not None}
    if unknown := sorted(set(given) - known):
        raise UnknownNameError(f"setting of {name}", unknown[0], known)
    return METHODS[name](**given)
