"""Names in the place of what could tell who a patient is: keyed hashes, whose key never leaves the user's own folder.

Whoever has a run cannot find out what a pseudonym stands for, nor try all patient numbers; whoever has the key can hash
the identifiers of a table and so join it to the run. The same identifiers give the same pseudonyms under the same key.
"""

from __future__ import annotations

import hmac
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, get_args

from kpl.errors import OutputError
from kpl.files import locked, make_way, write_file
from kpl.home import home

Identifier = Literal["patient", "study", "series", "instance", "path"]
"""What is hashed; the same text gives different pseudonyms as one and as the other."""

_KEY_BYTES = 32
_DIGITS = 32
_OF_NUMBER = 20  # of these, in a patient's pseudonym with an issuer, the first, which the number alone decides


def key_file() -> Path:
    """Return where the key is, or will be: in the folder of what KPL keeps for the user."""
    return home() / "pseudonyms.key"


def pseudonym(what: Identifier, *parts: str, key: bytes | None = None) -> str:
    """Hash an identifier with the user's key, which is made where there is none yet; 32 hexadecimal digits.

    Args:
        what: the kind of identifier.
        parts: the identifier; of a patient the number and, where there is one, its issuer, which decides the last
            digits only. Outer spaces and empty parts do not count.
        key: in the place of the user's own, as `read_key` gave it.

    Raises:
        OutputError: the key cannot be read or made.

    Example:
        >>> pseudonym("patient", " 4711 ", key=b"k") == pseudonym("patient", "4711", "", key=b"k")
        True
        >>> pseudonym("patient", "4711", key=b"k") == pseudonym("study", "4711", key=b"k")
        False
    """
    given = [what, *filter(None, (part.strip() for part in parts))]
    key = key or _made_key()
    if what == "patient" and len(given) > 2:
        return _hashed(given[:2], key)[:_OF_NUMBER] + _hashed(given, key)[_OF_NUMBER:]
    return _hashed(given, key)


def _hashed(parts: list[str], key: bytes) -> str:
    said = "\0".join(parts)
    return hmac.digest(key, said.encode("utf-8", "surrogateescape"), "sha256").hex()[:_DIGITS]


def same_number(one: str | None, other: str | None) -> bool:
    """Say whether two patients' pseudonyms are of one number, whoever issued it."""
    return one is not None and other is not None and one[:_OF_NUMBER] == other[:_OF_NUMBER]


def found_by_pseudonym(rows: Iterable[tuple[int, str, Iterable[str]]], key: bytes) -> Callable[[str], list[int]]:
    """Return what gives the places that an identifier stands for, or its pseudonym.

    Args:
        rows: place, patient, and the other pseudonyms of it; "" where there is none.
        key: of the pseudonyms.

    Returns:
        The look-up. A patient's number is found whoever issued it, unless two issuers gave it to two patients.

    Example:
        >>> whose = pseudonym("patient", "4711", "Ward B", key=b"k")
        >>> look = found_by_pseudonym([(0, whose, []), (3, whose, [pseudonym("study", "1.2", key=b"k")])], b"k")
        >>> look("4711"), look("1.2"), look("4712")
        ([0, 3], [3], [])
    """
    known: dict[str, set[int]] = defaultdict(set)
    issued: dict[str, set[str]] = defaultdict(set)
    for place, patient, others in rows:
        issued[patient[:_OF_NUMBER]].add(patient)
        for each in filter(None, (patient, *others)):
            known[each].add(place)

    def look(name: str) -> list[int]:
        said = [name, *(pseudonym(kind, name, key=key) for kind in get_args(Identifier))]
        whose = issued.get(pseudonym("patient", name, key=key)[:_OF_NUMBER], ())
        said += whose if len(whose) == 1 else ()
        return next((sorted(found) for each in said if (found := known.get(each))), [])

    return look


def read_key() -> bytes | None:
    """Return the user's key; None where there is none.

    Raises:
        OutputError: it cannot be read, or is no key.
    """
    path = key_file()
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"cannot read the key of pseudonyms {str(path)!r}: {error.strerror}") from error
    except ValueError as error:
        raise OutputError(f"{str(path)!r} is no key of pseudonyms: bring back the one that was there") from error
    if len(key) != _KEY_BYTES:
        raise OutputError(f"{str(path)!r} is no key of pseudonyms: bring back the one that was there")
    return key


def _made_key() -> bytes:
    if key := read_key():
        return key
    path = key_file()
    make_way(path.parent)
    with locked(path, wait=True):
        if not path.exists():
            write_file(path, secrets.token_hex(_KEY_BYTES) + "\n", private=True)
    return read_key() or b""
