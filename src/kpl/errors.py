"""Every error that KPL raises on purpose, in one tree.

Catch the first to catch them all::

    KplError                  anything the user can mend; the command prints it in one line, exit code 1
    ├── InputError            something handed in cannot be used
    │   ├── KnowledgeError    a knowledge base: names the file, the line or key, and the mend
    │   ├── PictureError      one picture cannot be read: the run sets it aside and goes on
    │   ├── FeaturesError     a feature folder, bundle or array
    │   ├── ModelError        a saved model: damaged, of another version, encoder or knowledge; or a method without one
    │   ├── LabelsError       labels for `kpl evaluate`
    │   ├── TableError        a table that cannot be read: names the file and the line
    │   └── UnknownNameError  a name that no registry knows; suggests the nearest
    ├── EncoderError          an encoder that cannot be loaded, or does not fit the knowledge
    ├── LanguageModelError    a language model or its server: not there, refuses, answers nothing usable, budget spent
    ├── MissingExtraError     an optional dependency is not installed; gives its install line
    ├── ContractError         a method of one's own breaks the contract of methods
    ├── NotFittedError        `predict` before `fit`
    └── OutputError           an output folder that exists, a full disk, no permission
        └── AlreadyThereError the very output that was asked for exists: the command says so, exit code 0
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class KplError(Exception):
    """Anything the user can mend. The message says what failed, what was seen, what is allowed, what to do next."""


class InputError(KplError):
    """Something handed in cannot be used."""


class KnowledgeError(InputError):
    """A knowledge base is wrong: the message names the file, the line or key, and the mend."""


class PictureError(InputError):
    """One picture cannot be read. Runs set the picture aside with this reason and go on."""


class FeaturesError(InputError):
    """A feature folder, a feature bundle or a feature array is not what it should be."""


class ModelError(InputError):
    """A saved model cannot be read, or is not one of this encoder, this knowledge or this version."""


class LabelsError(InputError):
    """The labels given for scoring do not fit the predictions."""


class TableError(InputError):
    """A table cannot be read: the message names the file, the line where there is one, and the mend."""


class UnknownNameError(InputError):
    """A name that no registry knows.

    Example:
        >>> str(UnknownNameError("method", "kpll", ["kpl", "cupl"]))
        "unknown method 'kpll': did you mean 'kpl'? Known: cupl, kpl"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        super().__init__(f"unknown {kind} {name!r}: {hint}Known: {', '.join(names)}")


class EncoderError(KplError):
    """An encoder cannot be loaded, fails its self-test, or does not fit the knowledge it is asked to read."""


class LanguageModelError(KplError):
    """A language model cannot be asked: its server is not there or refuses, or the budget is spent."""


class MissingExtraError(KplError):
    """An optional dependency is not installed.

    Example:
        >>> str(MissingExtraError("reading DICOM", "dicom"))
        "reading DICOM needs an extra that is not installed: pip install 'knowledge-proxy-learning[dicom]'"
    """

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs an extra that is not installed: pip install 'knowledge-proxy-learning[{extra}]'"
        )


@contextmanager
def from_extra(extra: str, purpose: str, error: type[KplError] | None = None) -> Iterator[None]:
    """Import what an extra brings in a block, or say how to get it.

    Raises:
        MissingExtraError: it is not installed; or the error that is named, with its words.

    Example:
        >>> with from_extra("dicom", "reading DICOM"):
        ...     import math
    """
    try:
        yield
    except ImportError as missing:
        said = MissingExtraError(purpose, extra)
        raise (said if error is None else error(str(said))) from missing


class ContractError(KplError):
    """A method breaks the contract of methods: `kpl.testing` names the checks that failed and what was seen."""


class NotFittedError(KplError):
    """`predict`, `predict_proba` or `explain` was called before `fit`."""


class OutputError(KplError):
    """The output cannot be written: the folder exists, the disk is full, permission is missing."""


class AlreadyThereError(OutputError):
    """What was asked for is there already, made from the same: nothing was done, and nothing needs to be."""

    def __init__(self, output: object) -> None:
        super().__init__(f"{str(output)!r} is there already, made from the same: nothing to do")


def one_line(error: BaseException, length: int = 200) -> str:
    """What a library says, in one line.

    Example:
        >>> one_line(ValueError("expected one of:\\n  * a\\n  * b"))
        'expected one of: * a * b'
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else f"{text[:length]} ..."
