"""Choose the pictures of the demo by a rule that no result enters, and put them into the package.

python training/choose_demo.py

Of `pbc_blood_cells/test`, which training never read, each kind gives its share of the whole published data set
(`PUBLISHED`) among 200: whole pictures first, the rest to the largest remainders. The pictures of a kind are taken in
the order of the SHA-256 of their bytes, and what was taken is numbered in that order over all kinds. No feature and no
prediction enters, and no label but the folder of the kind.
"""

from __future__ import annotations

import csv
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Final

__all__ = ["COUNT", "PUBLISHED", "chosen"]

COUNT: Final = 200
PUBLISHED: Final = {
    "neutrophil": 3329,
    "eosinophil": 3117,
    "ig": 2895,
    "platelet": 2348,
    "erythroblast": 1551,
    "monocyte": 1420,
    "basophil": 1218,
    "lymphocyte": 1214,
}
"""Pictures of each kind in the data set as it was published (Acevedo et al. 2020)."""
DATA: Final = Path(__file__).parents[1] / "../shared/data/images/pbc_blood_cells/test"
TARGET: Final = Path(__file__).parents[1] / "src" / "kpl" / "demo"


def chosen(folder: Path) -> list[tuple[Path, str]]:
    """The pictures in the order of their numbers, each with its kind."""
    exact = {kind: COUNT * count / sum(PUBLISHED.values()) for kind, count in PUBLISHED.items()}
    shares, taken = {kind: int(share) for kind, share in exact.items()}, []
    for kind in sorted(exact, key=lambda kind: shares[kind] - exact[kind])[: COUNT - sum(shares.values())]:
        shares[kind] += 1
    for kind, count in shares.items():
        ordered = sorted((sha256(path.read_bytes()).hexdigest(), path) for path in (folder / kind).glob("*.jpg"))
        taken += [(digest, path, kind) for digest, path in ordered[:count]]
    return [(path, kind) for _, path, kind in sorted(taken)]


def main() -> None:
    """Write `pictures/` and `cells.csv` anew."""
    shutil.rmtree(TARGET / "pictures", ignore_errors=True)
    (TARGET / "pictures").mkdir()
    rows = []
    for number, (path, kind) in enumerate(chosen(DATA), start=1):
        name = f"cell-{number:04d}"
        shutil.copyfile(path, TARGET / "pictures" / f"{name}.jpg")
        rows.append((name, kind, path.name))
    with (TARGET / "cells.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("cell", "label", "source"), *rows])


if __name__ == "__main__":
    main()
