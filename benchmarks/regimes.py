"""Methods over regimes of class balance: mean over repetitions, then over encoders.

    python benchmarks/regimes.py --methods cupl,text,kpl-closed,kpl --json benchmarks/out/regimes.json

A regimes file is a list of {regime, rep, classes, images}; a features folder holds bundles. No label reaches `fit`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from common import SHARED, parser, print_table, save
from kpl.embeddings import is_bundle, open_bundle
from kpl.evaluation import accuracy, balanced_accuracy
from kpl.methods import make_method


def main() -> None:
    """Print accuracy (balanced accuracy) of each method in each regime."""
    options = parser(__doc__ or "")
    options.add_argument("--features", type=Path, default=SHARED / "features", help="folder of bundles")
    options.add_argument("--regimes", type=Path, default=SHARED / "features" / "regimes.json")
    options.add_argument("--methods", default="cupl,text,kpl-closed,kpl", help="comma-separated registry names")
    args = options.parse_args()
    regimes = json.loads(args.regimes.read_text(encoding="utf-8"))
    order = list(dict.fromkeys(case["regime"] for case in regimes))
    per_encoder: dict[str, dict[str, dict[str, list[float]]]] = {}
    table: dict[str, dict[str, dict[str, float]]] = {}
    bundles = sorted(path for path in args.features.iterdir() if is_bundle(path))
    for name in args.methods.split(","):
        found: dict[str, dict[str, list[tuple[float, float]]]] = {regime: {} for regime in order}
        for path in bundles:
            bundle = open_bundle(path)
            images, labels = bundle.images.load(), bundle.labels
            if labels is None:
                raise SystemExit(f"{path} has no labels to score with")
            for case in regimes:
                picked, classes = np.array(case["images"]), case["classes"]
                place = {c: i for i, c in enumerate(classes)}
                truth = np.array([place[c] for c in labels[picked].tolist()])
                method = make_method(name)
                chosen = images[picked]
                said = method.fit(chosen, [bundle.descriptions[c] for c in classes]).predict(chosen)
                figures = (accuracy(truth, said), balanced_accuracy(truth, said))
                found[case["regime"]].setdefault(path.name, []).append(figures)
        means = {r: {e: np.mean(v, axis=0).tolist() for e, v in by.items()} for r, by in found.items()}
        per_encoder[name] = means
        overall = {r: np.mean(list(by.values()), axis=0).tolist() for r, by in means.items()}
        table[name] = {r: {"accuracy": a, "balanced_accuracy": b} for r, (a, b) in overall.items()}
    rows = [
        [m, *(f"{100 * v['accuracy']:.1f} ({100 * v['balanced_accuracy']:.1f})" for v in by.values())]
        for m, by in table.items()
    ]
    print_table(f"Accuracy (balanced), percent, mean over {len(bundles)} encoders", ["method", *order], rows)
    save(args.json, {"table": table, "per_encoder": per_encoder})


if __name__ == "__main__":
    main()
