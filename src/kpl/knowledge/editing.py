"""Changing a knowledge file in place: only what is added is new, every other character stays where it is."""

from __future__ import annotations

import copy
import json
from codecs import BOM_UTF8
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kpl.errors import KnowledgeError, OutputError
from kpl.knowledge.packs import pack_names, read_pack
from kpl.knowledge.reading import find_source, validate, validate_document
from kpl.knowledge.records import Rejected
from kpl.knowledge.schema import Description, KnowledgeBase, KnowledgeClass, Task
from kpl.knowledge.schema_file import with_schema_line
from kpl.knowledge.shapes import BULLET, SCHEMA_KEY, find_faults, without_bullets
from kpl.knowledge.source import MAX_BYTES, parse_source, read_bytes
from kpl.knowledge.writing import check_suffix, to_class_entry, to_entry, write_new
from kpl.knowledge.yaml_edit import YamlEdit


class KnowledgeFile:
    """A knowledge file opened for additions; comments, order, quotes and layout are the user's and stay.

    What is added is held back until `save`, which writes the whole file at once or nothing.

    Attributes:
        path: where the file lies.
        knowledge: what it said when it was opened; classes may still lack descriptions.

    Raises:
        KnowledgeError: as by `load_knowledge`; also a plain file of sentences, which has no place for provenance.
    """

    def __init__(self, path: Path, *, faulty: bool = False, raw: bytes | None = None) -> None:
        """Open a file; `faulty` allows empty and repeated descriptions, to be mended; `raw` is what it holds."""
        self.path = path
        self._is_json = path.suffix.lower() == ".json"
        self._raw = read_bytes(path) if raw is None else raw
        self._on_disk = self._raw
        source = parse_source(str(path), self._raw, is_json=self._is_json)
        self.knowledge = validate(source, unfinished=True, faulty=faulty)
        if "kpl_knowledge" not in source.data:
            raise KnowledgeError(f"{path}: a plain file of sentences: bring it in with 'kpl knowledge import' first")
        self._opened: dict[str, Any] = source.data
        self._data = _opened(source.data)
        self._provenance = self.knowledge.provenance
        self._edit = None if self._is_json else YamlEdit(self._text())
        self._removed: list[tuple[int, str, int]] = []
        """Positions stay those of the file until it is saved."""

    def reopened(self) -> KnowledgeFile:
        """Return the file as it was when it was opened, to be changed in another way."""
        again = copy.copy(self)
        again._data = _opened(self._opened)
        again._edit = self._edit and self._edit.afresh()
        again._removed = []
        return again

    def follow(self, other: KnowledgeFile) -> None:
        """Take note of what another one, reopened from this, has written."""
        self._on_disk = other._on_disk

    def add_descriptions(self, number: int, descriptions: Sequence[Description]) -> None:
        """Add to the class at this index, behind what it has."""
        if any(map(_is_of_version_2, descriptions)):
            self.set_version()
        entries = [to_entry(description, self._provenance) for description in descriptions]
        self._extend(number, "descriptions", entries)

    def add_absent(self, number: int, sentences: Sequence[str]) -> None:
        """Add sentences on what is seen when the class at this index is not there, behind those it has."""
        self._extend(number, "absent", list(sentences))

    def extend_to(self, classes: Sequence[KnowledgeClass]) -> None:
        """Bring the file to these classes: those that it has, in their order and with more in each, and new ones."""
        for number, (old, new) in enumerate(zip(self.knowledge.classes, classes, strict=False)):
            for position, (was, becomes) in enumerate(zip(old.descriptions, new.descriptions, strict=False)):
                if becomes != was:
                    self.change_description(number, position, becomes)
            self._extend(number, "aliases", list(new.aliases[len(old.aliases) :]))
            self.add_descriptions(number, new.descriptions[len(old.descriptions) :])
            self.add_absent(number, new.absent[len(old.absent) :])
            for record in new.rejected[len(old.rejected) :]:
                self.record_rejected(number, record)
        for entry in classes[len(self.knowledge.classes) :]:
            self._add_class(entry)

    def change_description(self, number: int, position: int, description: Description) -> None:
        """Give the description at this place another text or provenance."""
        held = self._data["classes"][number]["descriptions"]
        before = held[position] if isinstance(held[position], dict) else {}
        entry = to_entry(description, None if "provenance" in before else self._provenance)
        if before:  # it keeps saying by itself what it said by itself
            entry = {**before, **({"text": entry} if isinstance(entry, str) else entry)}
        if self._edit:
            self._edit.replace(number, position, entry)
        held[position] = entry
        if _is_of_version_2(description):
            self.set_version()

    def texts(self, number: int) -> list[str]:
        """Return the descriptions of the class at this index as the file has them."""
        entries = self._data["classes"][number].get("descriptions") or []
        return [str((entry.get("text") if isinstance(entry, dict) else entry) or "") for entry in entries]

    def change_text(self, number: int, position: int, text: str) -> None:
        """Give the description at this place another text; whatever else it states stays."""
        held = self._data["classes"][number]["descriptions"]
        entry = {**held[position], "text": text} if isinstance(held[position], dict) else text
        if self._edit:
            self._edit.replace(number, position, entry)
        held[position] = entry

    def remove_descriptions(self, number: int, positions: Sequence[int]) -> None:
        """Take descriptions out of a class, and the absent sentences that are paired with them.

        Raises:
            KnowledgeError: none would be left, and a class needs one.
        """
        entry = self._data["classes"][number]
        count = len(entry["descriptions"])
        if len(set(positions)) >= count:
            raise KnowledgeError(f"{self.path}, class {entry['key']!r}: its last description cannot go: write another")
        paired = count > 1 and len(entry.get("absent") or ()) == count
        for key in ("descriptions", "absent") if paired else ("descriptions",):
            for position in sorted(set(positions), reverse=True):
                if self._edit:
                    self._edit.remove(number, key, position)
                self._removed.append((number, key, position))

    def record_rejected(self, number: int, rejected: Rejected) -> None:
        """Keep a removed sentence for the record, behind those that the class at this index has there."""
        self.set_version()
        self._extend(number, "rejected", [rejected.model_dump(exclude_none=True)])

    def change_task(self, task: Task) -> None:
        """State another title, modality or template."""
        before = self.knowledge.task.model_dump()
        stated = {key: value for key, value in task.model_dump(exclude_none=True).items() if value != before[key]}
        if self._edit:
            self._edit.change_task(stated)
        self._data["task"] = {**self._data["task"], **stated}

    def tidy(self) -> None:
        """Take bullets off, and entries out that say nothing, as `load_tidied` does.

        Raises:
            KnowledgeError: none would be left, and a class needs one.
        """
        bare, _ = without_bullets(self._data)
        for number, reasons in find_faults(bare).items():
            self.remove_descriptions(number, [place for place, reason in enumerate(reasons) if reason])
            for position, text in enumerate(self.texts(number)):
                if not reasons[position] and BULLET.match(text):
                    self.change_text(number, position, BULLET.sub("", text))

    def becomes(self) -> KnowledgeBase:
        """Return what the file says with what was added.

        Raises:
            KnowledgeError: it could not be read again.
        """
        document = {key: value for key, value in self._data.items() if key != SCHEMA_KEY}
        return validate_document(str(self.path), document, lambda _place: None)

    def save(self) -> None:
        """Write the file with what was added.

        Raises:
            OutputError: the file was changed by somebody since it was opened, or the disk refuses.
            KnowledgeError: the layout of the file is one into which nothing can be put safely.
        """
        if read_bytes(self.path) != self._on_disk:
            raise OutputError(
                f"{self.path}: was changed while the command ran, so nothing is written: give the command again"
            )
        self.save_as(self.path, overwrite=True)

    def save_as(self, path: Path, *, overwrite: bool) -> None:
        """Write what the file has become to another one, or over it.

        Raises:
            AlreadyThereError: another one is there with this very content.
            OutputError: it is there with another, or the disk refuses.
            KnowledgeError: the layout of the file is one into which nothing can be put safely.
        """
        for number, key, position in sorted(self._removed, reverse=True):
            del self._data["classes"][number][key][position]
        self._removed.clear()
        if self._edit is None:
            text = json.dumps(self._data, indent=self._indent(), ensure_ascii=False) + "\n"
        else:
            text = self._edit.text()
            self._check(text)
        text = ("\ufeff" if self._raw.startswith(BOM_UTF8) else "") + text
        write_new(path, text, overwrite=overwrite)
        self._on_disk = text.encode()

    def _text(self) -> str:
        return self._raw.decode("utf-8-sig")

    def _indent(self) -> int:
        """Guess how far a JSON file indents."""
        return next((len(line) - len(line.lstrip(" ")) for line in self._text().splitlines() if line[:1] == " "), 1)

    def _extend(self, number: int, key: str, entries: list[Any]) -> None:
        if not entries:
            return
        if self._edit:
            self._edit.extend(number, key, entries)
        held = self._data["classes"][number]
        held[key] = [*(held.get(key) or []), *entries]

    def _add_class(self, entry: KnowledgeClass) -> None:
        if entry.rejected or entry.ignore or any(map(_is_of_version_2, entry.descriptions)):
            self.set_version()
        stated = to_class_entry(entry, self._provenance)
        if self._edit:
            self._edit.add_class(stated)
        self._data["classes"].append(stated)

    def set_version(self) -> None:
        """State the present version of the format; every file of version 1 is one of it."""
        if self._data["kpl_knowledge"] != 2:
            if self._edit:
                self._edit.replace_version(2)
            self._data["kpl_knowledge"] = 2

    def _check(self, text: str) -> None:
        """Refuse to write what does not read back as meant, whatever the layout of the file was."""
        if len(text.encode()) > MAX_BYTES:
            raise KnowledgeError(f"{self.path}: would be larger than {MAX_BYTES // 2**20} MB: write fewer descriptions")
        try:
            whole = parse_source(str(self.path), text.encode(), is_json=False).data == self._data
        except KnowledgeError:
            whole = False
        if not whole:
            raise KnowledgeError(
                f"{self.path}: its layout leaves no safe place for new sentences, so nothing is written: "
                "bring it into the usual one with 'kpl knowledge import'"
            )


def copy_knowledge(name_or_path: str | Path, out: Path, task: Task, *, tidy: bool, overwrite: bool) -> bool:
    """Copy a file or pack in KPL's own format, of the present version and with this task; comments and order stay.

    Returns:
        False, and nothing is written, where one is YAML and the other JSON.

    Raises:
        KnowledgeError: as by `load_knowledge`.
        OutputError: the file exists and `overwrite` is not set, an unknown suffix, or the disk refuses.
    """
    check_suffix(out)
    file = open_copy(name_or_path, out, faulty=tidy)
    if file is None:
        return False
    file.set_version()
    file.change_task(task)
    if tidy:
        file.tidy()
    file.save_as(out, overwrite=overwrite)
    return True


def open_copy(name_or_path: str | Path, out: Path, *, faulty: bool = False) -> KnowledgeFile | None:
    """Open a file or pack that is to be saved as another file; comments and order go along.

    Returns:
        None for a plain file of sentences, and where one is YAML and the other JSON.

    Raises:
        UnknownNameError: neither a file nor a pack.
        KnowledgeError: as by `load_knowledge`.
    """
    pack = str(name_or_path) in pack_names()
    path = Path(f"{name_or_path}.yaml" if pack else name_or_path)
    data = find_source(name_or_path).data
    same_kind = (path.suffix.lower() == ".json") == (out.suffix.lower() == ".json")
    if not same_kind or not isinstance(data, dict) or "kpl_knowledge" not in data:
        return None
    raw = with_schema_line(read_pack(str(name_or_path)).decode(), out).encode() if pack else None
    return KnowledgeFile(path, faulty=faulty, raw=raw)


def _is_of_version_2(description: Description) -> bool:
    reviewed = description.provenance and description.provenance.reviewed_on
    return bool(description.against or description.ignore or reviewed)


def _opened(data: dict[str, Any]) -> dict[str, Any]:
    """Copy what changes replace: the mapping at the top, the classes, and the lists that they hold."""
    classes = [
        {key: list(value) if isinstance(value, list) else value for key, value in entry.items()}
        for entry in data["classes"]
    ]
    return {**data, "classes": classes}
