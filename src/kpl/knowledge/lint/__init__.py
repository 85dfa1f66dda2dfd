"""Lint for knowledge files: rules with codes, what they find, how the safe ones are mended.

Names load on first use, so that a single rule can be read without the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kpl.later import on_first_use

if TYPE_CHECKING:
    from kpl.knowledge.lint.fixing import fix_knowledge
    from kpl.knowledge.lint.linting import LintReport, lint_knowledge
    from kpl.knowledge.lint.rules import RULES, Finding, Rule

__all__ = ["RULES", "Finding", "LintReport", "Rule", "fix_knowledge", "lint_knowledge"]

__getattr__ = on_first_use(
    __name__,
    {
        "fixing": ("fix_knowledge",),
        "linting": ("LintReport", "lint_knowledge"),
        "rules": ("RULES", "Finding", "Rule"),
    },
)
