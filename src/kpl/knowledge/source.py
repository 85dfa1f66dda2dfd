"""From a knowledge file to plain data, within bounds of size."""

from __future__ import annotations

from pathlib import Path

from kpl.errors import KnowledgeError
from kpl.knowledge.json_text import parse_json
from kpl.knowledge.places import Source

SUFFIXES = (".yaml", ".yml", ".json")
MAX_BYTES = 32 * 2**20  # a thousand classes with a hundred sentences each are about 10 MB


def read_source(path: Path) -> Source:
    """Read a YAML or JSON file of bounded size.

    Raises:
        KnowledgeError: wrong suffix, unreadable, too large, or not valid; with the line where one is known.
    """
    return parse_source(str(path), read_bytes(path), is_json=path.suffix.lower() == ".json")


def read_bytes(path: Path) -> bytes:
    """Read a file whose suffix is that of a knowledge file, up to a little more than is allowed.

    Raises:
        KnowledgeError: wrong suffix or unreadable.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise KnowledgeError(
            f"{path}: a knowledge file ends in {', '.join(SUFFIXES)}, not {path.suffix!r}: rename it, or bring "
            "other formats in with 'kpl knowledge import'"
        )
    return read_bounded(path)


def read_bounded(path: Path) -> bytes:
    """Read a file up to a little more than is allowed.

    Raises:
        KnowledgeError: unreadable.
    """
    try:
        if not path.is_file():
            raise KnowledgeError(f"{path}: not a file: give a knowledge file or the name of a pack")
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be read ({error.strerror}): check its permissions") from error


def parse_source(name: str, raw: bytes, *, is_json: bool) -> Source:
    """Parse the bytes of a file called `name` in messages.

    Raises:
        KnowledgeError: too large, not UTF-8, not valid YAML or JSON, a repeated key, an alias, nested too deeply.
    """
    text = decode(name, raw)
    if is_json:
        return parse_json(name, text)
    from kpl.knowledge.yaml_text import parse_yaml  # only here: JSON needs no YAML parser

    return parse_yaml(name, text)


def decode(name: str, raw: bytes) -> str:
    """Return the text of a file called `name` in messages.

    Raises:
        KnowledgeError: too large, or not UTF-8.
    """
    if len(raw) > MAX_BYTES:
        raise KnowledgeError(f"{name}: larger than {MAX_BYTES // 2**20} MB: remove what is not a description")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise KnowledgeError(f"{name}, line {line}: not UTF-8 text: save the file with encoding UTF-8") from error
