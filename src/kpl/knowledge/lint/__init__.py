"""Lint for knowledge files: rules with codes, what they find, how the safe ones are mended.

Names load on first use, so that a single rule can be read without the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kpl.knowledge.lint.fixing import fix_knowledge
    from kpl.knowledge.lint.linting import LintReport, lint_knowledge
    from kpl.knowledge.lint.rules import RULES, Finding, Rule

__all__ = ["RULES", "Finding", "LintReport", "Rule", "fix_knowledge", "lint_knowledge"]

_HOME = {
    "fix_knowledge": "fixing",
    "LintReport": "linting",
    "lint_knowledge": "linting",
    "RULES": "rules",
    "Finding": "rules",
    "Rule": "rules",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds under that name
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
