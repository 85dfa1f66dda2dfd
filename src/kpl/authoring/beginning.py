"""A knowledge file to begin with: the classes, and remarks on how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kpl.errors import KnowledgeError, OutputError
from kpl.files import locked, write_file
from kpl.knowledge import DEFAULT_TEMPLATE, KnowledgeBase
from kpl.knowledge.editing import KnowledgeFile
from kpl.knowledge.packs import read_pack
from kpl.knowledge.reading import load_knowledge, validate
from kpl.knowledge.schema_file import with_schema_line
from kpl.knowledge.source import SUFFIXES, parse_source
from kpl.knowledge.writing import write_new
from kpl.knowledge.yaml_edit import to_scalar

_HEAD = """\
# {title}: how each class looks in the pictures.
# Write descriptions by hand under each class, like
#     descriptions:
#       - a nucleus split into several lobes joined by thin strands
# or let a language model write them; what you wrote stays as it is:
#   kpl knowledge write {file} --llm http://localhost:11434/v1 --model qwen3:8b --per-class 50
# Check the file with
#   kpl knowledge lint {file}
kpl_knowledge: 2
task:
  name: {name}
{modality}  template: {template}  # the prompt that an encoder reads
# Of every sentence that does not state its own; take the mark away if you write by hand:
# provenance: {{author: your name, source: what you read}}
classes:
"""


def begin_knowledge(
    path: Path,
    classes: Sequence[str],
    *,
    title: str | None = None,
    modality: str | None = None,
    template: str = DEFAULT_TEMPLATE,
    overwrite: bool = False,
) -> KnowledgeBase:
    """Write a YAML file of class names with remarks on how to go on, and return what it says.

    Raises:
        KnowledgeError: names that cannot be classes, a template that cannot be filled.
        AlreadyThereError: the file is there with this very content.
        OutputError: the file exists and `overwrite` is not set, a suffix that is not YAML's, or the disk refuses.
    """
    if path.suffix.lower() not in SUFFIXES[:2]:
        raise OutputError(f"{path}: a file with remarks is YAML: end it in .yaml, not {path.suffix!r}")
    name = " ".join((title or path.stem.replace("_", " ")).split())
    text = _HEAD.format(
        title="".join(c if c.isprintable() else " " for c in name),
        file=path.name,
        name=to_scalar(name),
        modality=f"  modality: {to_scalar(modality)}\n" if modality else "",
        template=to_scalar(template),
    )
    text += "".join(f"  - key: {to_scalar(' '.join(entry.split()))}\n" for entry in classes)
    if not classes:
        raise KnowledgeError(f"{path}: no classes: name at least two, --classes 'tuberculosis, normal'")
    base = validate(parse_source(str(path), text.encode("utf-8", "replace"), is_json=False))
    write_new(path, with_schema_line(text, path), overwrite=overwrite)
    return base


def copy_pack(name: str, path: Path) -> None:
    """Write a pack to a file as it is, to be written on; a copy that is there already stays.

    Raises:
        OutputError: another file has this name, or the disk refuses.
    """
    with locked(path, wait=True):
        if not path.exists():
            write_file(path, with_schema_line(read_pack(name).decode(), path))
            return
    if [entry.key for entry in KnowledgeFile(path).knowledge.classes] != [e.key for e in load_knowledge(name).classes]:
        raise OutputError(f"{path}: exists and is no copy of the pack {name!r}: give another file with --out")
