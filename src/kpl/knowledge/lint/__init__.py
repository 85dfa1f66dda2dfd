"""Lint for knowledge files: rules with codes, what they find, how the safe ones are mended."""

from kpl.knowledge.lint.fixing import fix_knowledge
from kpl.knowledge.lint.linting import LintReport, lint_knowledge
from kpl.knowledge.lint.rules import RULES, Finding, Rule

__all__ = ["RULES", "Finding", "LintReport", "Rule", "fix_knowledge", "lint_knowledge"]
