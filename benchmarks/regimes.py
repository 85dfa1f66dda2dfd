"""Methods over regimes of class balance: mean over repetitions, then over encoders, with intervals.

    python benchmarks/regimes.py --features DIR --regimes FILE --methods cupl,otter:prior=uniform,kpl --json OUT
    python benchmarks/regimes.py --methods all --json benchmarks/out/regimes.json

A features folder holds bundles; a regimes file is a list of {regime, rep, classes, images}: `classes` are the class
indices that take part, `images` the rows. A method is a registry name, with settings after a colon if wanted. No label
reaches `fit`. What stands in for texts that a bundle does not hold: `kpl.runs.texts`.

Intervals (95 %) are percentiles of 1000 bootstrap draws over images, the same draws for every repetition,
encoder and method, because they share images. They say how sure a figure is for such images, not for other encoders.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import SHARED, parser, print_table, save
from kpl.embeddings import is_bundle, open_bundle
from kpl.errors import InputError, KplError
from kpl.methods import METHODS, Method, make_method
from kpl.runs import bundle_texts

REPLICATES = 1000
FIGURES = ("accuracy", "balanced_accuracy")


@dataclass(frozen=True)
class Outcome:
    """What a method said on one encoder: one row of predictions a case, or why it could not run."""

    method: str
    encoder: str
    seconds: float
    predictions: list[NDArray[np.intp]] = field(default_factory=list)
    left_out: str | None = None


def main() -> None:
    """Print accuracy (balanced accuracy) of each method in each regime."""
    options = parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--features", type=Path, default=SHARED / "features", help="folder of bundles")
    options.add_argument("--regimes", type=Path, help="JSON list of cases; default regimes.json among the features")
    options.add_argument("--methods", default="all", help="comma-separated names, or all; settings as name:key=value")
    options.add_argument(
        "--keep", action="store_true", help="keep the rows of other methods that the JSON holds already"
    )
    options.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes")
    args = options.parse_args()
    names = list(METHODS) if args.methods == "all" else [name.strip() for name in args.methods.split(",")]
    try:
        for name in names:
            named(name)  # an unknown name is refused before anything is computed
    except KplError as error:
        raise SystemExit(str(error)) from None
    bundles = sorted(path for path in args.features.glob("*") if is_bundle(path))
    if not bundles:
        raise SystemExit(f"{args.features} holds no feature bundle")
    cases = read_cases(args.regimes or args.features / "regimes.json", bundles)
    found = {
        name: [o for o in outcomes if o.left_out is None] for name, outcomes in run(names, bundles, cases, args.jobs)
    }
    truths = {path.name: Truth.of(path, cases) for path in bundles}
    order = list(dict.fromkeys(case["regime"] for case in cases))
    table = {name: score(outcomes, truths, cases, order) for name, outcomes in found.items() if outcomes}
    rows = [[name, *(cell(by[regime]) for regime in order)] for name, by in table.items()]
    print_table(
        f"Accuracy (balanced accuracy), percent, mean over repetitions and {len(bundles)} encoders",
        ["method", *order],
        rows,
    )
    parts: dict[str, dict[str, Any]] = {
        "table": table,
        "per_encoder": {name: per_encoder(outcomes, truths, cases, order) for name, outcomes in found.items()},
        "seconds": {name: round(sum(o.seconds for o in outcomes), 1) for name, outcomes in found.items()},
    }
    if args.keep and args.json.exists():
        held = json.loads(args.json.read_text(encoding="utf-8"))
        order_of = list(METHODS).index
        parts = {
            part: dict(sorted({**held[part], **fresh}.items(), key=lambda row: order_of(row[0].partition(":")[0])))
            for part, fresh in parts.items()
        }
    save(
        args.json,
        {
            **parts,
            "encoders": [path.name for path in bundles],
            "intervals": f"95 %, percentiles of {REPLICATES} bootstrap draws over images, common to all",
        },
    )


def read_cases(path: Path, bundles: list[Path]) -> list[dict[str, Any]]:
    """Read a regimes file; end with a line that says what is wrong if it does not fit the bundles."""
    try:
        cases = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path} is no regimes file ({error}): give a JSON list with --regimes") from None
    if not isinstance(cases, list) or not cases:
        raise SystemExit(f"{path} is no regimes file: it must be a list of {{regime, rep, classes, images}}")
    for folder in bundles:
        try:
            bundle = open_bundle(folder)
        except KplError as error:
            raise SystemExit(str(error)) from None
        n_classes, labels = len(bundle.descriptions), bundle.labels
        if labels is None:
            raise SystemExit(f"{folder} has no labels to score with")
        for number, case in enumerate(cases):
            where = f"{path}, case {number}"
            if not isinstance(case, dict) or {"regime", "classes", "images"} - set(case):
                raise SystemExit(f"{where}: it must have regime, classes and images")
            classes, images = np.array(case["classes"]), np.array(case["images"])
            for what, found, count in (("class", classes, n_classes), ("image", images, len(labels))):
                if found.ndim != 1 or found.dtype.kind != "i" or ((found < 0) | (found >= count)).any():
                    raise SystemExit(f"{where}: not every {what} is an index from 0 to {count - 1} of {folder.name}")
            if len(stray := np.setdiff1d(labels[images], classes)):
                raise SystemExit(f"{where}: images of class {stray[0]} in {folder.name}, which the case does not list")
    return cases


def named(text: str) -> Method:
    """Return the method that `name` or `name:key=value;key=value` asks for."""
    name, _, settings = text.partition(":")
    given = dict(pair.split("=", 1) for pair in settings.split(";")) if settings else {}
    return make_method(name, **{key: value_of(value) for key, value in given.items()})


def value_of(text: str) -> Any:  # noqa: ANN401 - a setting may be a number, a truth value, a list or a word
    """Read a setting as JSON, or as the word it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def run(
    names: list[str], bundles: list[Path], cases: list[dict[str, Any]], jobs: int
) -> Iterator[tuple[str, list[Outcome]]]:
    """Yield each method's outcomes, in the order asked for; progress goes to stderr."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of the workers, which share the cores
    done: dict[tuple[str, str], Outcome] = {}
    with ProcessPoolExecutor(max(1, jobs), mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(work, name, path, cases) for name in names for path in bundles]
        for number, task in enumerate(as_completed(tasks), start=1):
            outcome = task.result()
            done[outcome.method, outcome.encoder] = outcome
            told = outcome.left_out or f"{outcome.seconds:.1f} s"
            print(f"[{number}/{len(tasks)}] {outcome.method} on {outcome.encoder}: {told}", file=sys.stderr, flush=True)
    for name in names:
        yield name, [done[name, path.name] for path in bundles]


def work(name: str, path: Path, cases: list[dict[str, Any]]) -> Outcome:
    """Fit and predict every case on one encoder. The labels are not even opened here."""
    bundle, start = open_bundle(path), time.perf_counter()
    images = bundle.images.load()
    said = []
    try:
        for case in cases:
            method, picked = named(name), images[np.array(case["images"])]
            texts = bundle_texts(method, [bundle.descriptions[c] for c in case["classes"]], bundle.templates)
            said.append(method.fit(picked, texts).predict(picked))
    except InputError as error:
        return Outcome(name, path.name, 0.0, left_out=f"left out: {error}")
    return Outcome(name, path.name, time.perf_counter() - start, said)


@dataclass(frozen=True)
class Truth:
    """The true class of every image of every case, as a place among the case's classes; and the number of images."""

    cases: list[NDArray[np.intp]]
    count: int

    @classmethod
    def of(cls, path: Path, cases: list[dict[str, Any]]) -> Truth:
        """Read the labels of a bundle."""
        labels = open_bundle(path).labels
        if labels is None:
            raise SystemExit(f"{path} has no labels to score with")
        found = []
        for case in cases:
            place = {c: i for i, c in enumerate(case["classes"])}
            found.append(np.array([place[c] for c in labels[np.array(case["images"])].tolist()]))
        return cls(found, len(labels))


def score(
    outcomes: list[Outcome], truths: dict[str, Truth], cases: list[dict[str, Any]], order: list[str]
) -> dict[str, dict[str, Any]]:
    """Mean over repetitions, then encoders, of every figure, with its interval."""
    result: dict[str, dict[str, Any]] = {}
    for regime in order:
        drawn = np.mean([encoder_figures(o, truths[o.encoder], cases, regime) for o in outcomes], axis=0)
        means = dict(zip(FIGURES, drawn[:, 0].tolist(), strict=True))
        low, high = np.nanquantile(drawn[:, 1:], [0.025, 0.975], axis=1)
        intervals = {f: [a, b] for f, a, b in zip(FIGURES, low.tolist(), high.tolist(), strict=True)}
        result[regime] = {**means, "intervals": intervals}
    return result


def per_encoder(
    outcomes: list[Outcome], truths: dict[str, Truth], cases: list[dict[str, Any]], order: list[str]
) -> dict[str, dict[str, list[float]]]:
    """Regime to encoder to [accuracy, balanced accuracy]."""
    return {
        regime: {o.encoder: encoder_figures(o, truths[o.encoder], cases, regime)[:, 0].tolist() for o in outcomes}
        for regime in order
    }


_DRAWS: dict[int, NDArray[np.float64]] = {}
_KEPT: dict[tuple[str, str, str], NDArray[np.float64]] = {}


def encoder_figures(outcome: Outcome, truth: Truth, cases: list[dict[str, Any]], regime: str) -> NDArray[np.float64]:
    """Return (figure, draw): mean over repetitions; draw 0 counts every image once."""
    key = (outcome.method, outcome.encoder, regime)
    if key not in _KEPT:
        weights = draws(truth.count)
        chosen = [number for number, case in enumerate(cases) if case["regime"] == regime]
        reps = [
            case_figures(truth.cases[i], outcome.predictions[i], weights[np.array(cases[i]["images"])]) for i in chosen
        ]
        _KEPT[key] = np.nanmean(reps, axis=0)
    return _KEPT[key]


def draws(count: int) -> NDArray[np.float64]:
    """Return how often each image is drawn, (n, 1 + replicates); the first column is the sample itself."""
    if count not in _DRAWS:
        rng = np.random.default_rng(0)
        times = rng.multinomial(count, np.full(count, 1.0 / count), size=REPLICATES).T
        _DRAWS[count] = np.hstack([np.ones((count, 1)), times])
    return _DRAWS[count]


def case_figures(truth: NDArray[np.intp], said: NDArray[np.intp], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weighted accuracy and balanced accuracy (over the classes that occur), (2, draws)."""
    right = (truth == said)[:, None] * weights
    present = np.eye(truth.max() + 1)[truth]
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = (present.T @ right) / (present.T @ weights)
        return np.stack([right.sum(axis=0) / weights.sum(axis=0), np.nanmean(recall, axis=0)])


def cell(figures: dict[str, Any]) -> str:
    """Return one cell of the printed table."""
    return f"{100 * figures['accuracy']:.1f} ({100 * figures['balanced_accuracy']:.1f})"


if __name__ == "__main__":
    main()
