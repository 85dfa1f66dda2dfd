"""The knowledge base: what KPL is told about the classes, read from a file that people edit, and checked."""

from kpl.knowledge.lint import Doubt, check_tokens, count_prompt_tokens, find_doubts, fits_modality
from kpl.knowledge.packs import PackHead, pack_names, read_pack_head
from kpl.knowledge.reading import load_knowledge, load_tidied
from kpl.knowledge.schema import DEFAULT_TEMPLATE, Description, KnowledgeBase, KnowledgeClass, Provenance, Task
from kpl.knowledge.shapes import Tidied
from kpl.knowledge.writing import write_knowledge

__all__ = [
    "DEFAULT_TEMPLATE",
    "Description",
    "Doubt",
    "KnowledgeBase",
    "KnowledgeClass",
    "PackHead",
    "Provenance",
    "Task",
    "Tidied",
    "check_tokens",
    "count_prompt_tokens",
    "find_doubts",
    "fits_modality",
    "load_knowledge",
    "load_tidied",
    "pack_names",
    "read_pack_head",
    "write_knowledge",
]
