"""The methods by name: KPL's own, and those that installed packages offer under the entry point `kpl.methods`."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint
from typing import Any

from kpl.errors import InputError, UnknownNameError
from kpl.later import offered
from kpl.methods.adapt import ADAPT
from kpl.methods.contract import Method
from kpl.methods.em_dirichlet import EMDirichlet
from kpl.methods.frolic import Frolic
from kpl.methods.gda import GDA
from kpl.methods.inmap import InMaP
from kpl.methods.kpl import KPL, ClosedKPL
from kpl.methods.mixtures import StatA, TransCLIP
from kpl.methods.official import OfficialKPL
from kpl.methods.otter import OTTER
from kpl.methods.textual import CHiLS, ClassNames, CuPL, PromptEnsemble, TextProxy, VisDesc, Waffle, Xplainer
from kpl.methods.zlap import ZLaP

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
        GDA,
        ADAPT,
        KPL,
    )
}
"""Every method that can be used, by name."""
_UNUSABLE: dict[str, str] = {}  # name of an entry point to the reason why it is none


def _offered(point: EntryPoint) -> type[Method]:
    """Load the method of an installed package; a TypeError or ValueError says what is wrong with it."""
    method = point.load()
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise TypeError(f"{point.value} is no subclass of kpl.Method")
    if method.name != point.name:
        raise ValueError(f"{point.value} calls itself {method.name!r}: both names must be the same")
    if point.name in METHODS:
        raise ValueError("the name is taken")
    return method


def add_offered() -> None:
    """Add the methods of installed packages; those that cannot be used are kept with the reason."""
    for point in offered("kpl.methods"):
        try:
            METHODS[point.name] = _offered(point)
        except Exception as error:  # somebody else's code: whatever it raises must not stop the other methods
            _UNUSABLE.setdefault(point.name, f"{type(error).__name__}: {error}")


def make_method(name: str, **settings: Any) -> Method:  # noqa: ANN401 - each method has its own settings
    """Return an unfitted method by its registry name; settings left out keep their defaults.

    Raises:
        UnknownNameError: no such method, or a setting that the method does not have; suggests the nearest.
        InputError: an installed package offers a method of that name that cannot be used; says why.

    Example:
        >>> make_method("text", k=5).k, make_method("kpl", k=None).k
        (5, None)
    """
    if name in _UNUSABLE and name not in METHODS:
        raise InputError(f"method {name!r} of an installed package cannot be used: {_UNUSABLE[name]}")
    if not isinstance(name, str) or name not in METHODS:
        raise UnknownNameError("method", str(name), METHODS)
    known = {f.name for f in dataclasses.fields(METHODS[name]) if f.init}
    if unknown := sorted(set(settings) - known):
        raise UnknownNameError(f"setting of {name}", unknown[0], known)
    return METHODS[name](**settings)


def as_method(method: str | Method, **settings: Any) -> Method:  # noqa: ANN401 - each method has its own settings
    """Return a method that is given by its registry name, or a fresh copy of one that is given itself.

    Raises:
        UnknownNameError: no such method, or a setting that the method does not have.
        InputError: it is neither a name nor a method; or settings beside a method, which has its own.

    Example:
        >>> as_method("text", k=5).k, as_method(as_method("kpl", k=None)).k
        (5, None)
    """
    if isinstance(method, str):
        return make_method(method, **settings)
    if not isinstance(method, Method):
        raise InputError(
            f"a method is a name of `kpl methods list` or made by hand, such as kpl.KPL(k=None); got {method!r:.100}"
        )
    if settings:
        raise InputError(
            f"the method given has its settings already: leave {sorted(settings)[0]!r} out, or set it there"
        )
    return dataclasses.replace(method)
