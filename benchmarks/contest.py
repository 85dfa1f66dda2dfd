"""The contest: every method on every ground, accuracy and balanced accuracy, and the worst case of each.

    python benchmarks/contest.py --json benchmarks/results/contest.json
    python benchmarks/contest.py --quick                          # minutes on one core; never the test attributes
    python benchmarks/contest.py --grounds cells,drawn --methods cupl,kpl,kpl:rounds=1
    python benchmarks/contest.py --bundle FOLDER                  # one's own ground, made by make_ground.py
    python benchmarks/contest.py --kept                           # tables of what has been measured so far
    python benchmarks/contest.py --methods gda --onto benchmarks/results/contest.json --json ...   # further methods

A ground has regimes, each with one or more members (encoders or tasks), each with one or more problems (`grounds.py`);
figures are means over problems, then members. 95 % intervals are percentiles of bootstrap draws over images, the same
for every method. Results are kept under benchmarks/out/contest by ground, method and version: the version is a hash of
the method's own source and of the mathematics that it imports (not of the contract that all share), so that a change of
one method measures that one again, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import parser, print_table, save
from contest_table import losses, summary, tables
from grounds import Ground, Problem, all_grounds
from kpl.errors import InputError, KplError
from kpl.evaluation import auroc, reliability
from kpl.methods import KPL, METHODS, Method
from kpl.proxies.arrays import softmax
from kpl.runs import bundle_texts
from regimes import case_figures, draws, named

KEPT = Path(__file__).resolve().parent / "out" / "contest"
PLUMBING = ("contract", "saving", "settings", "registry")
"""Modules that every method imports and none gets its mathematics from."""
QUICK_METHODS = ("cupl", "transclip", "stata", "kpl-closed", "kpl")
LEFT_OUT = {"kpl-official": "2000 passes; kpl-closed is what they approach (benchmarks/fidelity.py)"}
SLOW = ("inmap",)
"""Measured after all others."""


@dataclass(frozen=True)
class Unit:
    """One method on one member of one regime."""

    ground: str
    regime: str
    member: str
    method: str

    def place(self, version: str, *, quick: bool) -> Path:
        """Where its result is kept."""
        told = self.method.replace(":", "-").replace("/", "-")
        return (
            KEPT / ("quick" if quick else "full") / self.ground / self.regime / f"{self.member}--{told}--{version}.npz"
        )


def main() -> None:
    """Measure what is not measured yet, print the tables, write the figures."""
    args = _options()
    grounds = all_grounds(args.bundle)
    chosen = _chosen(args, grounds)
    if args.regimes:
        wanted = set(args.regimes.split(","))
        chosen = [replace(each, units=tuple(unit for unit in each.units if unit[0] in wanted)) for each in chosen]
    methods = _methods(args)
    units = [
        Unit(ground.name, regime, member, method)
        for method in sorted(methods, key=SLOW.__contains__)
        for ground in chosen
        for regime, member in _members(ground, quick=args.quick)
    ]
    results = measure(units, grounds, args)
    figures = {
        ground.name: {
            regime: {
                method: mean_of(
                    [results[Unit(ground.name, regime, m, method)] for m in _of(ground, regime, quick=args.quick)]
                )
                for method in methods
            }
            for regime in dict.fromkeys(regime for regime, _ in _members(ground, quick=args.quick))
        }
        for ground in chosen
    }
    if args.onto:
        figures = _onto(json.loads(args.onto.read_text(encoding="utf-8"))["figures"], figures)
    told = {name: grounds[name].told for name in figures}
    for title, header, rows in tables(figures, told):
        print_table(title, header, rows)
    print_table("Worst case of each method, points", *summary(figures))
    if "kpl" in methods or args.onto:
        print_table("Where kpl is more than a point behind", *losses(figures))
    save(args.json, {"grounds": told, "figures": figures, "left_out": LEFT_OUT})


def _onto(earlier: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Add figures to those of an earlier file: by ground, regime and method, the newer in the place of the older."""
    return {
        ground: {
            regime: {**earlier.get(ground, {}).get(regime, {}), **now.get(ground, {}).get(regime, {})}
            for regime in {**earlier.get(ground, {}), **now.get(ground, {})}
        }
        for ground in {**earlier, **now}
    }


def _options() -> argparse.Namespace:
    options = parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--grounds", default="", help="comma-separated names; default all but those for settings")
    options.add_argument("--methods", default="", help="comma-separated; settings as name:key=value; default all")
    options.add_argument("--regimes", default="", help="comma-separated; default all of a ground")
    options.add_argument("--onto", type=Path, help="a file of --json, whose figures stay but where measured anew")
    options.add_argument("--bundle", type=Path, action="append", default=[], help="a further ground; may be repeated")
    options.add_argument("--kept", action="store_true", help="measure nothing: tables of the results that are kept")
    options.add_argument("--quick", action="store_true", help="two members, one problem each, five methods")
    options.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes")
    return options.parse_args()


def _chosen(args: argparse.Namespace, grounds: dict[str, Ground]) -> list[Ground]:
    if args.grounds:
        names = [name.strip() for name in args.grounds.split(",")]
    elif args.quick:
        names = [name for name in grounds if name not in ("attributes", "synthetic-1000")]
    else:
        names = [name for name, ground in grounds.items() if ground.default]
    if unknown := [name for name in names if name not in grounds]:
        raise SystemExit(f"no ground {unknown[0]!r}: choose of {', '.join(grounds)}")
    return [grounds[name] for name in names]


def _methods(args: argparse.Namespace) -> list[str]:
    given = [name.strip() for name in args.methods.split(",") if name.strip()]
    methods = given or ([*QUICK_METHODS] if args.quick else [name for name in METHODS if name not in LEFT_OUT])
    try:
        for name in methods:
            named(name)  # an unknown name is refused before anything is computed
    except KplError as error:
        raise SystemExit(str(error)) from None
    return methods


def _members(ground: Ground, *, quick: bool) -> list[tuple[str, str]]:
    if not quick:
        return list(ground.units)
    regimes = dict.fromkeys(regime for regime, _ in ground.units)
    return [(regime, m) for regime in regimes for m in [m for r, m in ground.units if r == regime][:2]]


def _of(ground: Ground, regime: str, *, quick: bool) -> list[str]:
    return [member for name, member in _members(ground, quick=quick) if name == regime]


def measure(units: Sequence[Unit], grounds: dict[str, Ground], args: argparse.Namespace) -> dict[Unit, dict[str, Any]]:
    """Return the result of every unit, from what is kept or measured now; progress goes to stderr."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of the workers, which share the cores
    versions = {name: version(name) for name in {unit.method for unit in units}}
    places = {u: u.place(f"{grounds[u.ground].version}-{versions[u.method]}", quick=args.quick) for u in units}
    missing = [unit for unit in units if not places[unit].exists() and not args.kept]
    with ProcessPoolExecutor(max(1, args.jobs), mp_context=get_context("spawn")) as pool:
        tasks = {pool.submit(work, u, places[u], tuple(args.bundle), args.quick): u for u in missing}
        for number, task in enumerate(as_completed(tasks), start=1):
            unit, seconds = tasks[task], task.result()
            name = f"{unit.method} on {unit.ground} {unit.regime} {unit.member}"
            print(f"[{number}/{len(tasks)}] {name}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return {unit: read(place) if place.exists() else {"left_out": "not measured"} for unit, place in places.items()}


_GROUNDS: dict[tuple[Path, ...], dict[str, Ground]] = {}


def work(unit: Unit, place: Path, bundles: tuple[Path, ...], quick: bool) -> float:
    """Fit, predict and score every problem of a unit, and keep the result; return the seconds it took."""
    start = time.perf_counter()
    if bundles not in _GROUNDS:
        _GROUNDS[bundles] = all_grounds(bundles)
    ground, found = _GROUNDS[bundles][unit.ground], []
    told: dict[str, Any] = {}
    weights = draws(ground.count)
    for problem in ground.problems(unit.regime, unit.member):
        try:
            found.append(solve(unit.method, problem, weights))
        except InputError as error:
            told = {"left_out": str(error)}
            break
        if quick:
            break
    arrays = {}
    if not told:
        keys = {key for _, numbers in found for key in numbers}
        told = {key: float(np.nanmean([numbers[key] for _, numbers in found if key in numbers])) for key in keys}
        arrays["figures"] = np.nanmean([drawn for drawn, _ in found], axis=0).astype(np.float32)
    told["seconds"] = time.perf_counter() - start
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_suffix(f".{os.getpid()}.part")
    with aside.open("wb") as file:
        np.savez(file, told=np.array(json.dumps(told)), **arrays)
    aside.replace(place)
    return float(told["seconds"])


def solve(name: str, problem: Problem, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Return accuracy and balanced accuracy (2, draws) of the listed images, and single numbers beside them."""
    method = named(name)
    texts = problem.readings.get(method.reads) or bundle_texts(method, problem.texts, problem.templates)
    if problem.parts is None:
        method.fit(problem.images, texts)
    else:
        method.fit(problem.images[problem.parts[0]], texts)
        for part in problem.parts[1:]:
            method.update(problem.images[part])
    said, probabilities = method.predict(problem.images), method.predict_proba(problem.images)
    listed = np.flatnonzero(problem.truth >= 0)
    truth = problem.truth[listed]
    bins = reliability(truth, said[listed], probabilities[listed])
    drawn = case_figures(truth, said[listed], weights[problem.rows[listed]])
    present = np.bincount(truth)
    text = softmax(method.text_logits(problem.images))
    numbers = {
        "agrees": float((text.argmax(axis=1) == said).mean()),
        "text_sure": float(text.max(axis=1).mean()),
        "ece": sum(each.share * abs(each.confidence - each.accuracy) for each in bins),
        "confidence": float(probabilities[listed].max(axis=1).mean()),
        "majority": float(present.max() / len(truth)),
        "majority_balanced": float(1 / np.count_nonzero(present)),
    }
    if isinstance(method, KPL) and method.doubt_ is not None:
        numbers |= {"half_agreement": method.doubt_.agreement, "half_text_agreement": method.doubt_.text_agreement}
    if len(listed) < len(said):
        numbers |= _unlisted(method, problem, probabilities)
    if problem.planted is not None:
        numbers["planted_auroc"] = _planted(method, problem)
    if isinstance(method, KPL):
        numbers |= _contradicted(method, problem)
    return drawn, numbers


def _unlisted(method: Method, problem: Problem, probabilities: NDArray[np.float64]) -> dict[str, float]:
    """How well scores rank images of unlisted classes behind the listed ones.

    Beside the method's own confidence, of the text proxies: the largest cosine, and MCM, the largest probability of
    their softmax at temperature 1 (Ming et al., NeurIPS 2022).
    """
    cosines = problem.images @ method.text_.proxies.T
    mcm = np.exp(cosines - cosines.max(axis=1, keepdims=True))
    scores = {
        "unlisted_by_confidence": probabilities.max(axis=1),
        "unlisted_by_cosine": cosines.max(axis=1),
        "unlisted_by_mcm": 1 / mcm.sum(axis=1),
    }
    unlisted = problem.truth < 0
    numbers = {name: _ranked(~unlisted, score) for name, score in scores.items()}
    return numbers | {"sure_of_unlisted": float((probabilities[unlisted].max(axis=1) > 0.9).mean())}


def _planted(method: Method, problem: Problem) -> float:
    """AUROC of telling the sentences that were planted: the most misplaced first, or those that were left out."""
    wrong = np.concatenate(problem.planted or ())
    if isinstance(method, KPL):
        return _ranked(wrong, np.concatenate(method.misplaced().scores))
    kept = np.concatenate(
        [np.isin(np.arange(len(own)), used) for own, used in zip(problem.texts, method.text_.chosen, strict=True)]
    )
    return _ranked(wrong, (~kept).astype(float))


def _contradicted(method: KPL, problem: Problem) -> dict[str, float]:
    """Shares of the sentences that the method says the images contradict: of those planted, and of the others."""
    wrong = [np.zeros(len(own), dtype=bool) for own in problem.texts] if problem.planted is None else problem.planted
    named = [np.zeros(len(own), dtype=bool) for own in problem.texts]
    for said in method.contradicted():
        named[said.class_index][said.description] = True
    told, planted = np.concatenate(named), np.concatenate(wrong)
    numbers = {"genuine_contradicted": float(told[~planted].mean())}
    return numbers | ({"planted_contradicted": float(told[planted].mean())} if planted.any() else {})


def _ranked(positive: NDArray[np.bool_], score: NDArray[np.floating[Any]]) -> float:
    order = np.stack([-score, score], axis=1).astype(np.float64)
    return auroc(positive.astype(np.intp), order)


def version(method: str) -> str:
    """Hash the source that a method's results rest on."""
    name, _, settings = method.partition(":")
    modules: dict[str, bytes] = {}
    _gather(METHODS[name].__module__, modules)
    hashed = hashlib.sha256(settings.encode())
    for module in sorted(modules):
        hashed.update(module.encode() + modules[module])
    return hashed.hexdigest()[:10]


def _gather(module: str, found: dict[str, bytes]) -> None:
    if module in found or module.rpartition(".")[2] in PLUMBING:
        return
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return
    tree = ast.parse(Path(spec.origin).read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0].value.value = ""  # what a docstring says changes no result
    found[module] = ast.dump(tree).encode()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("kpl.methods", "kpl.proxies")):
            _gather(node.module or "", found)


def read(place: Path) -> dict[str, Any]:
    """Read a result that was kept."""
    with np.load(place) as file:
        told: dict[str, Any] = json.loads(str(file["told"]))
        return told | ({"figures": file["figures"]} if "figures" in file else {})


def mean_of(members: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures of a regime: means over members, with intervals; or why the method was left out."""
    for member in members:
        if "left_out" in member:
            return {"left_out": member["left_out"]}
    drawn = np.mean([member["figures"] for member in members], axis=0)
    low, high = np.nanquantile(drawn[:, 1:], [0.025, 0.975], axis=1)
    figures: dict[str, Any] = {
        name: {"value": _short(drawn[row, 0]), "interval": [_short(low[row]), _short(high[row])]}
        for row, name in enumerate(("accuracy", "balanced_accuracy"))
    }
    for key in sorted(set(members[0]) - {"figures"}):
        figures[key] = _short((np.sum if key == "seconds" else np.mean)([member[key] for member in members]))
    return figures


def _short(value: float | np.floating[Any]) -> float:
    return round(float(value), 5)


if __name__ == "__main__":
    main()
