"""Is `kpl-official` the published routine, and `kpl-closed` its equal?

Compares both with golden predictions that were computed independently in float64, on the whole of each bundle.

    python benchmarks/fidelity.py --json benchmarks/out/fidelity.json        (about 3 minutes)
"""

from __future__ import annotations

import json
import time

import numpy as np

from common import SHARED, parser, print_table, save
from kpl.embeddings import open_bundle
from kpl.methods import ClosedKPL, OfficialKPL


def main() -> None:
    """Print agreement and accuracy for every bundle and k."""
    options = parser(__doc__ or "")
    options.add_argument("--closed-only", action="store_true", help="skip the slow loop")
    args = options.parse_args()
    runs = json.loads((SHARED / "reference" / "official_kpl_whurs19.json").read_text())["runs"]
    rows, figures = [], {}
    for name, golden in runs.items():
        bundle = open_bundle(SHARED / "features" / name)
        images = bundle.images.load().astype(np.float64)
        for setting, said in golden.items():
            k = int(setting.removeprefix("k="))
            expected = np.array(said["predictions"])
            closed = ClosedKPL(k=k).fit(images, bundle.descriptions).predict(images)
            row = {"closed_agrees": float(np.mean(closed == expected))}
            if not args.closed_only:
                start = time.perf_counter()
                official = OfficialKPL(k=k).fit(images, bundle.descriptions).predict(images)
                row["official_agrees"] = float(np.mean(official == expected))
                row["official_accuracy"] = float(np.mean(official == bundle.labels))
                row["official_seconds"] = time.perf_counter() - start
            row["closed_accuracy"] = float(np.mean(closed == bundle.labels))
            figures[f"{name} {setting}"] = row
            rows.append([name, str(k), *(f"{row[c]:.4f}" if c in row else "-" for c in _COLUMNS)])
    print_table("Agreement with golden predictions, and accuracy", ["features", "k", *_COLUMNS], rows)
    save(args.json, {"fidelity": figures})


_COLUMNS = ("official_agrees", "closed_agrees", "official_accuracy", "closed_accuracy")

if __name__ == "__main__":
    main()
