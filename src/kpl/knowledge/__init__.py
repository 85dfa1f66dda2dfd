"""The knowledge base: what KPL is told about the classes, read from a file that people edit, and checked."""

from kpl.knowledge.limits import check_tokens, count_prompt_tokens, fits_modality
from kpl.knowledge.lint import RULES, Finding, LintReport, Rule, fix_knowledge, lint_knowledge
from kpl.knowledge.packs import PackHead, pack_names, read_pack_head
from kpl.knowledge.reading import load_knowledge, load_tidied
from kpl.knowledge.schema import DEFAULT_TEMPLATE, Description, KnowledgeBase, KnowledgeClass, Provenance, Task
from kpl.knowledge.shapes import Tidied
from kpl.knowledge.writing import write_knowledge

__all__ = [
    "DEFAULT_TEMPLATE",
    "RULES",
    "Description",
    "Finding",
    "KnowledgeBase",
    "KnowledgeClass",
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
    "lint_knowledge",
    "load_knowledge",
    "load_tidied",
    "pack_names",
    "read_pack_head",
    "write_knowledge",
]
