"""What people said of a run's pictures: kept beside the predictions, never among them, with who and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kpl.errors import FeaturesError, InputError, LabelsError, UnknownNameError
from kpl.evaluation import NONE_OF_THESE, Reading, cohen_kappa, read_labels
from kpl.files import locked, write_file
from kpl.knowledge import KnowledgeBase
from kpl.knowledge.folding import fold_name
from kpl.runs.folder import CORRECTIONS_FILE
from kpl.runs.predictions import Predictions
from kpl.runs.single_label import CORRECTED, SingleLabelRun
from kpl.runs.units import identified

UNSURE = "unsure"
LEARNT = "not scored, the run learnt from them: {} corrected images"
_LONGEST = 64 * 2**20  # bytes of the file


class Decided(Protocol):
    """Pictures with predictions that people may correct: a finished run, or what the page shows of a session."""

    @property
    def path(self) -> Path:
        """The folder in which the corrections lie."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the pictures, (n,)."""

    @property
    def keys(self) -> Sequence[str]:
        """Of the classes."""

    @property
    def knowledge(self) -> KnowledgeBase:
        """That was used."""

    @property
    def predictions(self) -> Predictions:
        """What is said of each picture."""

    def row_of(self, image: str) -> int:
        """Return the row of a picture."""


class Correction(BaseModel):
    """What one reader said of one picture.

    Attributes:
        image: the picture's id.
        label: a class key, `NONE_OF_THESE` or `UNSURE`.
        said: what the run had said, a class key; None where it abstained.
        by: who says it.
        when: UTC, to the second.
        final: the word that settles what readers disagree on.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    image: str
    label: str
    said: str | None = None
    by: str = Field(min_length=1, max_length=200)
    when: str = ""
    final: bool = False


@dataclass(frozen=True)
class Agreement:
    """How far readers agree.

    Attributes:
        pairs: (one reader, another) to (pictures that both judged, Cohen's kappa; None where it is not defined).
        disputed: picture to what each reader said, of those that are not settled.
    """

    pairs: Mapping[tuple[str, str], tuple[int, float | None]]
    disputed: Mapping[str, Mapping[str, str]]


def read_corrections(run: Decided) -> tuple[Correction, ...]:
    """Return the corrections of a run in the order in which they were made; none if there is no file of them.

    Raises:
        FeaturesError: the file is damaged, or names pictures or classes that the run does not have.
    """
    path = run.path / CORRECTIONS_FILE
    if not path.exists():
        return ()
    ids, allowed = set(run.ids), {*run.keys, NONE_OF_THESE, UNSURE}
    found = []
    try:
        if path.stat().st_size > _LONGEST:
            raise FeaturesError(f"{str(path)!r} is larger than {_LONGEST // 2**20} MiB: no file of corrections is")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            each = Correction.model_validate_json(line)
            if each.image not in ids or each.label not in allowed:
                what = f"picture {each.image!r}" if each.image not in ids else f"class {each.label!r}"
                raise FeaturesError(f"{str(path)!r}, line {number}: the run has no {what}: take the line out")
            found.append(each)
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise FeaturesError(f"{str(path)!r} is damaged: restore it, or move it away to begin anew") from error
    return tuple(found)


def add_corrections(
    run: Decided, verdicts: Mapping[str, str], *, by: str, final: bool = False
) -> tuple[Correction, ...]:
    """Keep what a reader says of pictures; what the same reader said of them before is replaced.

    Args:
        run: whose pictures they are.
        verdicts: picture to a class (key, name or alias), `NONE_OF_THESE` or `UNSURE`.
        by: who says it.
        final: it settles what readers disagree on.

    Returns:
        All corrections of the run now.

    Raises:
        UnknownNameError: no such picture or class.
        InputError: nobody says it.
        FeaturesError, OutputError: the file is damaged or cannot be written.
    """
    reader = by.strip()
    if not 0 < len(reader) <= 200:
        raise InputError("say who corrects, in up to 200 characters: --by NAME")
    said, when = run.predictions, datetime.now(UTC).isoformat(timespec="seconds")
    fresh = [
        Correction(
            image=image, label=_class(run, label), said=said[run.row_of(image)].label, by=reader, when=when, final=final
        )
        for image, label in verdicts.items()
    ]
    replaced = {(each.image, each.by, each.final) for each in fresh}
    with locked(run.path / CORRECTIONS_FILE, wait=True):
        kept = [each for each in read_corrections(run) if (each.image, each.by, each.final) not in replaced]
        return _write(run, [*kept, *fresh])


def undo(run: Decided, *, by: str) -> Correction:
    """Take back the last thing that a reader said, and return it.

    Raises:
        InputError: the reader has said nothing.
        FeaturesError, OutputError: the file is damaged or cannot be written.
    """
    with locked(run.path / CORRECTIONS_FILE, wait=True):
        known = list(read_corrections(run))
        last = next((each for each in reversed(known) if each.by == by), None)
        if last is None:
            raise InputError(f"{by!r} has corrected nothing in this run: there is nothing to take back")
        known.remove(last)
        _write(run, known)
        return last


def keep_corrections(run: Decided, corrections: Sequence[Correction]) -> None:
    """Keep corrections that were made elsewhere of the same pictures and classes, in the place of what is there.

    Raises:
        OutputError: the file cannot be written.
    """
    with locked(run.path / CORRECTIONS_FILE, wait=True):
        _write(run, corrections)


def _write(run: Decided, corrections: Sequence[Correction]) -> tuple[Correction, ...]:
    write_file(run.path / CORRECTIONS_FILE, lines_of(corrections))
    return tuple(corrections)


def lines_of(corrections: Sequence[Correction]) -> str:
    """Return corrections as their file has them, a line each."""
    return "".join(each.model_dump_json() + "\n" for each in corrections)


def _class(run: Decided, label: str) -> str:
    """Return the key that a word of a reader means."""
    for word in (NONE_OF_THESE, UNSURE):
        if fold_name(label) == fold_name(word):
            return word
    index = run.knowledge.resolve(label)
    if index is None:
        raise UnknownNameError("class", label, [*run.keys, NONE_OF_THESE, UNSURE])
    return run.keys[index]


def read_verdicts(
    run: SingleLabelRun, table: str | Path, *, reading: Reading | None = None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read what a table says of the run's pictures, as `read_labels` reads one; `NONE_OF_THESE`, `UNSURE` are labels.

    Returns:
        Picture to verdict, and what the user should be told.

    Raises:
        LabelsError: the table contradicts itself, has an unknown class, or none of the pictures.
    """
    known, labels = identified(run.path, run.ids), (NONE_OF_THESE, UNSURE)
    truth = read_labels(table, run.ids, run.knowledge, reading=reading, also=labels, identifiers=known)
    words = (*run.keys, NONE_OF_THESE, UNSURE)
    verdicts = {run.ids[row]: words[truth.labels[row]] for row in np.flatnonzero(truth.labels >= 0).tolist()}
    if not verdicts:
        raise LabelsError(f"{str(table)!r} says nothing of the run's pictures")
    told = (truth.said, f"labels whose image is not in the run: {truth.unused}" if truth.unused else "")
    return verdicts, tuple(filter(None, told))


def settled(corrections: Iterable[Correction]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return picture to verdict where there is one, and picture to what each reader said where they disagree.

    A final word holds; else all readers of a picture must agree, of whom those who are unsure do not count.

    Example:
        >>> said = [("a", "cat", "Ann"), ("a", "dog", "Bob"), ("b", "dog", "Ann"), ("b", "unsure", "Bob")]
        >>> settled(Correction(image=image, label=label, by=by) for image, label, by in said)
        ({'b': 'dog'}, {'a': {'Ann': 'cat', 'Bob': 'dog'}})
    """
    final: dict[str, str] = {}
    said: dict[str, dict[str, str]] = {}
    for each in corrections:
        if each.final:
            final[each.image] = each.label
        else:
            said.setdefault(each.image, {})[each.by] = each.label
    agreed, disputed = dict(final), {}
    for image, words in said.items():
        sure = {word for word in words.values() if word != UNSURE}
        if image in final:
            continue
        if len(sure) > 1:
            disputed[image] = words
        elif sure:
            agreed[image] = sure.pop()
    return agreed, disputed


def learnt_from(run: SingleLabelRun) -> frozenset[str]:
    """Return the corrected pictures that a run of `kpl learn` learnt from: no score may count them.

    What was corrected in it since is among them.

    Raises:
        FeaturesError: the file of corrections is damaged.
    """
    if run.method_name != CORRECTED:
        return frozenset()
    return frozenset(image for image, word in settled(read_corrections(run))[0].items() if word != UNSURE)


def agreement(corrections: Sequence[Correction]) -> Agreement:
    """Compare readers two by two, over the pictures that both judged and were sure of."""
    said: dict[str, dict[str, str]] = {}
    for each in corrections:
        if not each.final and each.label != UNSURE:
            said.setdefault(each.by, {})[each.image] = each.label
    pairs = {}
    readers = sorted(said)
    for place, one in enumerate(readers):
        for other in readers[place + 1 :]:
            both = sorted(set(said[one]) & set(said[other]))
            words = sorted({said[who][image] for who in (one, other) for image in both})
            first, second = (np.array([words.index(said[who][image]) for image in both]) for who in (one, other))
            kappa = cohen_kappa(first, second) if both else float("nan")
            pairs[one, other] = (len(both), None if np.isnan(kappa) else float(kappa))
    return Agreement(pairs, settled(corrections)[1])
