"""The elements of an ordinary DICOM header in little endian, without the cost of reading those that nobody asks for.

Most of the time of planning a series would go into private elements and nested sequences. Whatever is out of the
ordinary here is left to pydicom, which reads everything.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SCANNED = 1 << 16
"""Bytes of a file that are looked at; of a longer header pydicom reads all."""

_SHORT_TYPES = "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US"
_LONG_TYPES = "OB OD OF OL OV OW SQ SV UC UN UR UT UV"
_SHORT, _LONG = ({vr.encode(): vr for vr in types.split()} for types in (_SHORT_TYPES, _LONG_TYPES))
_UNDEFINED = 0xFFFFFFFF
_DELIMITERS = 0xFFFE
_ITEM, _ITEM_END, _SEQUENCE_END = (_DELIMITERS, 0xE000), (_DELIMITERS, 0xE00D), (_DELIMITERS, 0xE0DD)
_SYNTAX = 0x00020010
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_NOT_LITTLE = (b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99")  # big endian, deflated
_IMPLICIT = b"1.2.840.10008.1.2"
_NEEDED_WHOLE = (0x52009229, 0x52009230, 0x00283000, 0x00283010, 0x00186011, 0x00041220)
"""Sequences that are read: where one of undefined length is met, pydicom reads the file."""

_read_tag, _read_long = struct.Struct("<HH").unpack_from, struct.Struct("<I").unpack_from
_read_short = struct.Struct("<H").unpack_from


_Element = tuple[int, str | None, int, int]
"""Tag, type (None where it is implicit), where its value begins, how long that is."""


class _UnusualError(Exception):
    """Something that pydicom should look at."""


def scan(data: bytes) -> tuple[Dataset, int | None] | None:
    """Read the public elements of a header up to the pixels.

    Args:
        data: the first `SCANNED` bytes of a file, or all of a shorter one.

    Returns:
        The elements, with an empty one in the place of the pixels, and where these begin in the file, None where it
        has none; or None for a header that is out of the ordinary.
    """
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    def add(to: dict[BaseTag, RawDataElement], element: _Element, *, explicit: bool = True) -> None:
        tag, vr, start, length = element
        known = BaseTag(tag)
        to[known] = RawDataElement(known, vr, length, data[start : start + length], start, not explicit, True)

    if data[128:132] != b"DICM":
        return None
    try:
        at = 132
        meta: dict[BaseTag, RawDataElement] = {}
        held: dict[BaseTag, RawDataElement] = {}
        for element in _elements(data, at, explicit=True):
            if element[0] >> 16 != 2:
                break
            add(meta, element)
            at = element[2] + element[3]
        syntax = (meta[BaseTag(_SYNTAX)].value or b"").rstrip(b"\0 ")
        if syntax in _NOT_LITTLE or not syntax:
            return None
        explicit, offset = syntax != _IMPLICIT, None
        for element in _elements(data, at, explicit=explicit):
            tag, vr, start, length = element
            if tag in _PIXELS:
                offset = start
                add(held, (tag, vr, start, 0), explicit=explicit)
                break
            if length == _UNDEFINED:
                if tag in _NEEDED_WHOLE:
                    return None
            elif not tag >> 16 & 1:  # public
                add(held, element, explicit=explicit)
    except (_UnusualError, struct.error, KeyError, StopIteration, RecursionError):
        return None
    dataset = Dataset(held)
    dataset.set_original_encoding(not explicit, is_little_endian=True)
    dataset.file_meta = Dataset(meta)
    return dataset, offset


def _elements(data: bytes, at: int, *, explicit: bool) -> Iterator[_Element]:
    """Yield the elements from a place on; those of sequences of undefined length are stepped over."""
    end = len(data)
    while at < end:
        group, number = _read_tag(data, at)
        if group == _DELIMITERS:
            raise _UnusualError
        vr: str | None = None
        if not explicit:
            start, length = at + 8, _read_long(data, at + 4)[0]
        elif vr := _SHORT.get(data[at + 4 : at + 6]):
            start, length = at + 8, _read_short(data, at + 6)[0]
        elif vr := _LONG.get(data[at + 4 : at + 6]):
            start, length = at + 12, _read_long(data, at + 8)[0]
        else:
            raise _UnusualError
        yield group << 16 | number, vr, start, length
        at = _past_items(data, start, explicit=explicit and vr != "UN") if length == _UNDEFINED else start + length
        if at > end:
            raise _UnusualError


def _past_items(data: bytes, at: int, *, explicit: bool) -> int:
    """Return where a sequence of undefined length ends."""
    while (tag := _read_tag(data, at)) != _SEQUENCE_END:
        if tag != _ITEM:
            raise _UnusualError
        length, at = _read_long(data, at + 4)[0], at + 8
        at = _past_item(data, at, explicit=explicit) if length == _UNDEFINED else at + length
    return at + 8


def _past_item(data: bytes, at: int, *, explicit: bool) -> int:
    while _read_tag(data, at) != _ITEM_END:
        _, vr, start, length = next(_elements(data, at, explicit=explicit))
        at = _past_items(data, start, explicit=explicit and vr != "UN") if length == _UNDEFINED else start + length
    return at + 8
