"""The knowledge base: what KPL is told about the classes, read from a file that people edit, and checked.

Lint loads on first use: its rules are many, and a run needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kpl.knowledge.limits import check_tokens, count_prompt_tokens, fits_modality
from kpl.knowledge.packs import own_pack, own_packs_folder, pack_names, shipped_packs
from kpl.knowledge.reading import PackHead, load_knowledge, load_tidied, read_pack_head
from kpl.knowledge.records import Provenance
from kpl.knowledge.schema import Description, KnowledgeBase, KnowledgeClass, Task
from kpl.knowledge.shapes import Tidied
from kpl.knowledge.template import DEFAULT_TEMPLATE
from kpl.knowledge.tree import Level, levels, only_classes
from kpl.knowledge.writing import write_knowledge
from kpl.later import on_first_use

if TYPE_CHECKING:
    from kpl.knowledge.lint import RULES, Finding, LintReport, Rule, fix_knowledge, lint_knowledge

__all__ = [
    "DEFAULT_TEMPLATE",
    "RULES",
    "Description",
    "Finding",
    "KnowledgeBase",
    "KnowledgeClass",
    "Level",
    "LintReport",
    "PackHead",
    "Provenance",
    "Rule",
    "Task",
    "Tidied",
    "check_tokens",
    "count_prompt_tokens",
    "fits_modality",
    "fix_knowledge",
    "levels",
    "lint_knowledge",
    "load_knowledge",
    "load_tidied",
    "only_classes",
    "own_pack",
    "own_packs_folder",
    "pack_names",
    "read_pack_head",
    "shipped_packs",
    "write_knowledge",
]

__getattr__ = on_first_use(
    __name__, {"lint": ("RULES", "Finding", "LintReport", "Rule", "fix_knowledge", "lint_knowledge")}
)
