"""Several labels a picture: does the multi-label score rank as well as the best single text score would?

    python benchmarks/findings.py --json benchmarks/results/findings.json

Cell types, the values of each of eleven attributes (WBCAtt), and all of these values in one knowledge base, as findings
of real blood cells that `mini` reads. Every finding ranks the pictures by itself; figures are macro AUROC. Single text
scores are the cosine with the class name, the mean over the descriptions, and the nearest description; the best of them
is taken by the very labels that score, which no user can. Beside what `--multi-label` does (each class against the mean
text of the others): against "no ..." for every sentence, and against the best of the others. Then the mean of
sensitivity and specificity at .5, at thresholds that part the pictures by themselves, and at thresholds chosen by
labels of other pictures (five folds). Labels serve to score, and to choose the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from yaml import safe_load

from common import parser, print_table, save
from contest import _ranked
from kpl.evaluation import choose_thresholds
from kpl.knowledge import load_knowledge
from kpl.knowledge.schema import negate
from kpl.proxies.arrays import unit_rows
from kpl.proxies.multi_label import multi_label_probabilities, other_texts, parting_thresholds
from picture_grounds import HERE, _attributes, _cells, read_all, reader

Floats = NDArray[np.floating[Any]]
SINGLE = ("name", "mean of descriptions", "nearest description")
LEVEL = 0.02


@dataclass(frozen=True)
class Findings:
    """Pictures, which findings each has, and their texts: descriptions, names, and what "no ..." would say."""

    images: Floats
    present: NDArray[np.bool_]
    texts: Sequence[Floats]
    names: Floats
    negated: Sequence[Floats]


def grounds() -> Iterator[tuple[str, Findings]]:
    """Yield cell types, each attribute, and all attributes at once."""
    cells, base = _cells(), load_knowledge("blood-cells")
    names = np.concatenate(read_all([[prompt] for prompt in base.name_prompts()]))
    negated = read_all([[negate(each.text) for each in entry.descriptions] for entry in base.classes])
    present = cells.truth[:, None] == np.arange(len(cells.texts))
    yield "cell types", Findings(cells.images, present, cells.texts, names, negated)
    told = safe_load((HERE / "knowledge" / "white-cell-attributes.yaml").read_text(encoding="utf-8"))
    each = []
    for task, problem in _attributes("test").items():
        names = np.concatenate(read_all([[f"{value} {task.replace('_', ' ')}"] for value in told[task]]))
        negated = read_all([[negate(text) for text in own] for own in told[task].values()])
        present = problem.truth[:, None] == np.arange(len(problem.texts))
        each.append(Findings(problem.images, present, problem.texts, names, negated))
        yield task, each[-1]
    yield (
        "all values at once",
        Findings(
            each[0].images,
            np.concatenate([one.present for one in each], axis=1),
            [rows for one in each for rows in one.texts],
            np.concatenate([one.names for one in each]),
            [rows for one in each for rows in one.negated],
        ),
    )


def scores(found: Findings) -> dict[str, Floats]:
    """Scores (n, C) by each way."""
    images, texts = unit_rows(found.images), [unit_rows(rows) for rows in found.texts]
    cosines = [images @ rows.T for rows in texts]
    proxies = images @ unit_rows(np.stack([rows.mean(axis=0) for rows in texts])).T
    best = [np.delete(proxies, c, axis=1).max(axis=1) for c in range(len(texts))]
    heat = 1.0 / reader().logit_scale
    return {
        "name": images @ found.names.T,
        "mean of descriptions": np.stack([each.mean(axis=1) for each in cosines], axis=1),
        "nearest description": np.stack([each.max(axis=1) for each in cosines], axis=1),
        "`--multi-label`": multi_label_probabilities(images, texts, other_texts(texts), temperature=heat),
        'against "no ..."': multi_label_probabilities(images, texts, list(found.negated), temperature=heat),
        "against the best other": proxies - np.stack(best, axis=1),
    }


def macro(present: NDArray[np.bool_], said: Floats) -> float:
    """Mean AUROC over the findings that some pictures have and others have not."""
    both = [c for c in range(present.shape[1]) if 0 < present[:, c].sum() < len(present)]
    return float(np.mean([_ranked(present[:, c], said[:, c]) for c in both]))


def measure(found: Findings) -> dict[str, float]:
    """Figures of one ground."""
    said = scores(found)
    told = {way: macro(found.present, each) for way, each in said.items()}
    told["best single"] = max(told[way] for way in SINGLE)
    chosen = choose_thresholds(found.present.astype(np.intp), said["`--multi-label`"], [0.5] * found.present.shape[1])
    share = found.present.mean(axis=0)
    here = (share > 0) & (share < 1)
    chances = said["`--multi-label`"].astype(np.float64)
    there = (chances >= parting_thresholds(chances))[:, here]
    had = found.present[:, here]
    rates = ((there & had).sum(axis=0) / had.sum(axis=0), (~there & ~had).sum(axis=0) / (~had).sum(axis=0))
    told["decided at .5"] = sum(chosen.mean("before")[m] for m in ("sensitivity", "specificity")) / 2
    told["`--threshold auto`"] = float(np.mean(rates))
    told["by labels"] = sum(chosen.mean("after")[m] for m in ("sensitivity", "specificity")) / 2
    return told


def main() -> None:
    """Print the table and write the JSON."""
    args = parser((__doc__ or "").partition("\n")[0]).parse_args()
    figures: dict[str, Any] = {name: measure(found) for name, found in grounds()}
    ways = list(next(iter(figures.values())))
    figures["mean"] = {way: float(np.mean([told[way] for told in figures.values()])) for way in ways}
    rows = [[name, *(f"{told[way]:.3f}" for way in ways)] for name, told in figures.items()]
    print_table("Several labels a picture: macro AUROC", ["findings", *ways], rows)
    behind = {name: told["best single"] - told["`--multi-label`"] for name, told in figures.items()}
    print("\nmore than .02 below:", ", ".join(f"{n} ({b:.3f})" for n, b in behind.items() if b > LEVEL) or "nowhere")
    save(args.json, figures)


if __name__ == "__main__":
    main()
