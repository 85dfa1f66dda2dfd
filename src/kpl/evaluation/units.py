"""What an interval is over: pictures, or patients with all their pictures; said the same way wherever one is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kpl.evaluation.bootstrap import Groups, units_of
from kpl.evaluation.weighted import IntArray

_NOUNS = {  # a part of the name of what groups the pictures: what a group is
    "patient": "patients",
    "subject": "patients",
    "participant": "patients",
    "person": "patients",
    "donor": "patients",
    "pid": "patients",
    "mrn": "patients",
    "the run": "patients",
    "lesion": "lesions",
    "case": "cases",
    "stud": "studies",
    "accession": "studies",
    "exam": "studies",
}


def count_units(groups: Groups | None, rows: IntArray | Sequence[int]) -> int | None:
    """Count what is resampled of the `rows` of all pictures; None where it is each picture."""
    if groups is None or not len(rows):
        return None
    return int(units_of(len(rows), [groups[row] for row in np.asarray(rows).tolist()]).max()) + 1


def unit_told(images: int, units: int | None = None, column: str | None = None) -> str:
    """Say what intervals are over.

    Args:
        images: that were scored.
        units: groups of them, counted by `count_units`.
        column: what says which belong together, as `Truth.group_column` has it.

    Example:
        >>> unit_told(240, 25, "'patient_id'"), unit_told(240, 25), unit_told(240)
        ("25 patients by 'patient_id', 240 images", '25 groups, 240 images', '240 images')
    """
    if units is None:
        return f"{images} images"
    noun = next((noun for part, noun in _NOUNS.items() if part in (column or "").casefold()), "groups")
    return f"{units} {noun}{f' by {column}' if column else ''}, {images} images"
