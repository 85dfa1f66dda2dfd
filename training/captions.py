"""Captions from the phrase banks: sentences and the attribute values that each of them claims."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import yaml
from numpy.typing import NDArray

from labels import COLUMNS, columns_of

__all__ = [
    "BANKS",
    "FORBIDDEN",
    "Bank",
    "Caption",
    "compose",
    "is_held_out",
    "load_bank",
    "states_of",
    "write_caption",
]

BANKS: Final = Path(__file__).parent / "phrases"
_NAMES: Final = (
    r"neutro|eosin|baso|lympho|monocy|mononuc|erythro|normoblast|platelet|thrombo|granulocyt|myelo|blast|leu[ck]o"
    r"|white (blood )?cell|malaria|plasmod|tropho|mero|schizo|gameto|polymorpho|immature|megakaryo|plasma cell"
)
FORBIDDEN: Final = re.compile(_NAMES, re.IGNORECASE)
"""Names of kinds of cells or diseases and words made from them: no caption has one."""

HELD_OUT_SHARE: Final = 0.15
_WEIGHT: Final = {
    "nucleus": 2.0, "granules": 2.0, "cytoplasm_tone": 2.0, "size": 1.6, "nucleus_form": 1.6, "nucleus_share": 1.3,
    "cytoplasm_amount": 1.3, "nucleus_tone": 1.3, "border": 0.7, "nucleoli": 0.6, "vacuoles": 0.6, "inclusion": 0.4,
    "pallor": 0.4,
}  # fmt: skip
_LEAD: Final = (
    "a photo of a {n}, which has {d}",
    "a photo of a {n}, which has {d}.",
    "a photo of a {n}, which has {d}",
    "a photo of a {n}, which has {d}",
    "a photo of a {n}: {d}",
    "a photo of a {n} with {d}",
    "a picture of {n} showing {d}",
    "a micrograph of a {n}, {d}",
    "this is a {n}, which has {d}",
    "{n}: {d}",
    "{n}, {d}",
    "a {n} with {d}",
    "the {n} has {d}",
    "{n} {d}",
)
_SLOT: Final = ("[UNK]", "[UNK]", "[UNK]", "[UNK] [UNK]", "[UNK] cell", "[UNK] red cell", "[UNK] blood cell")
_JOINTS: Final = (", ", ", ", " and ", " with ", "; ", ". ", ", and ", ", with ", " while ", ", which has ", " - ")


@dataclass(frozen=True)
class Caption:
    """A sentence and what it claims: per attribute the columns of which one must hold."""

    text: str
    claims: tuple[tuple[int, ...], ...]


@dataclass
class Bank:
    """Phrases by attribute value, sentences of several attributes, and words that say nothing."""

    phrases: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    mixed: list[Caption] = field(default_factory=list)
    fillers: list[str] = field(default_factory=list)

    def texts(self) -> list[str]:
        """Every piece of text of the bank."""
        pieces = [text for texts in self.phrases.values() for text in texts]
        return pieces + [caption.text for caption in self.mixed] + self.fillers


def is_held_out(text: str) -> bool:
    """Whether this wording is kept out of training: a fixed share, by the hash of the text."""
    digest = hashlib.sha256(text.strip().lower().encode()).digest()
    return digest[0] < HELD_OUT_SHARE * 256


def load_bank(names: Sequence[str], *, held_out: bool) -> Bank:
    """The phrases of some bank files: those for training, or those kept out of it (which have no fillers)."""
    bank = Bank()
    for name in names:
        data = yaml.safe_load((BANKS / f"{name}.yaml").read_text(encoding="utf-8"))
        for attribute, values in data["phrases"].items():
            for value, texts in values.items():
                kept = [t for t in texts if is_held_out(t) is held_out and not FORBIDDEN.search(t)]
                bank.phrases.setdefault((attribute, value), []).extend(kept)
        for entry in data.get("mixed", ()):
            text, holds = entry["text"], entry["holds"]
            if is_held_out(text) is held_out and not FORBIDDEN.search(text):
                claims = [columns_of(a, [v] if isinstance(v, str) else v) for a, v in holds.items()]
                bank.mixed.append(Caption(text, tuple(tuple(c) for c in claims)))
        if not held_out:
            bank.fillers += [t for t in data.get("fillers", ()) if not FORBIDDEN.search(t)]
    return bank


def states_of(states: NDArray[np.int8], captions: Sequence[Caption]) -> NDArray[np.int8]:
    """Whether each caption holds for each picture: (n, m) of +1 (holds), 0 (cannot be told), -1 (does not hold).

    A claim of several values holds when one of them does; a caption holds when all its claims do.
    """
    table = np.empty((len(states), len(captions)), dtype=np.int8)
    for k, caption in enumerate(captions):
        table[:, k] = np.min([states[:, list(claim)].max(axis=1) for claim in caption.claims], axis=0)
    return table


def _join(pieces: list[str], bank: Bank, rng: np.random.Generator) -> str:
    if bank.fillers and rng.random() < 0.3:
        pieces.insert(int(rng.integers(len(pieces) + 1)), bank.fillers[int(rng.integers(len(bank.fillers)))])
    text = pieces[0]
    for piece in pieces[1:]:
        text += _JOINTS[int(rng.integers(len(_JOINTS)))] + piece
    return text


def write_caption(
    row: NDArray[np.int8], mixed_fits: NDArray[np.intp], bank: Bank, rng: np.random.Generator, most: int = 4
) -> Caption:
    """A sentence that holds for a picture with this row of states; `mixed_fits` are the mixed sentences that do."""
    pieces: list[str] = []
    claims: list[tuple[int, ...]] = []
    if len(mixed_fits) and rng.random() < 0.35:
        caption = bank.mixed[int(mixed_fits[rng.integers(len(mixed_fits))])]
        pieces.append(caption.text)
        claims += caption.claims
        most -= 2
    true: dict[str, list[str]] = {}
    for (attribute, value), column in COLUMNS.items():
        if row[column] == 1:
            true.setdefault(attribute, []).append(value)
    names = list(true)
    chances = np.array([_WEIGHT.get(name, 1.0) for name in names])
    count = min(int(rng.integers(0 if pieces else 1, most + 1)), len(names))
    for k in rng.choice(len(names), count, replace=False, p=chances / chances.sum()):
        value = true[names[k]][int(rng.integers(len(true[names[k]])))]
        choices = bank.phrases[names[k], value]
        pieces.append(choices[int(rng.integers(len(choices)))])
        claims.append((COLUMNS[names[k], value],))
    order = rng.permutation(len(pieces))
    text = _join([pieces[k] for k in order], bank, rng)
    if rng.random() < 0.5:
        lead = _LEAD[int(rng.integers(len(_LEAD)))]
        text = lead.format(n=_SLOT[int(rng.integers(len(_SLOT)))], d=text)
    return Caption(text, tuple(claims))


def compose(typical: dict[str, str], bank: Bank, rng: np.random.Generator, least: int = 2, most: int = 4) -> str:
    """A description of `least` to `most` typical attributes ("a b" means either), in the wordings of the bank."""
    names = [n for n, values in typical.items() if any(bank.phrases.get((n, v)) for v in values.split())]
    count = int(rng.integers(least, most + 1))
    pieces = []
    for k in rng.permutation(len(names))[:count]:
        values = [v for v in typical[names[k]].split() if bank.phrases.get((names[k], v))]
        choices = bank.phrases[names[k], values[int(rng.integers(len(values)))]]
        pieces.append(choices[int(rng.integers(len(choices)))])
    return ", ".join(pieces)
