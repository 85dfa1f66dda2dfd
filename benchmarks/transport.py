"""How fast is transport beside POT, the library of the field?

    python benchmarks/transport.py --json benchmarks/results/transport.json     (needs `pip install pot`)

Entropic: logits with CLIP's spread at temperature .01, images of unequal classes onto columns of equal mass, both to a
marginal error of 1e-9; POT's
plain solver works on the kernel itself and its log-domain solver is the one that cannot underflow, as ours. Exact:
the same costs and masses, POT by its network simplex. The best of three runs counts, in turn; `--exact-n` keeps the
exact solvers to fewer images.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import parser, print_table, save
from kpl.methods.otter import exact_transport
from kpl.proxies.transport import sinkhorn

TEMPERATURE = 0.01


def problem(n: int, n_classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits (n, C) of cosines around .25, of images of unequal classes, and the shares (C,) of the classes."""
    rng = np.random.default_rng(0)
    mass = rng.dirichlet(np.full(n_classes, 3.0))
    logits = 0.25 + 0.02 * rng.normal(size=(n, n_classes))
    logits[np.arange(n), rng.choice(n_classes, n, p=mass)] += 0.03
    return logits, mass


def best(work: Callable[[], Any], runs: int = 3) -> tuple[float, Any]:
    """Return the least seconds of some calls, and what the last gave."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def error(plan: NDArray[np.float64], mass: NDArray[np.float64]) -> float:
    """Sum of what rows and columns miss of their masses; the plan's total is one."""
    rows = np.abs(plan.sum(axis=1) - 1 / len(plan)).sum()
    return float(rows + np.abs(plan.sum(axis=0) - mass).sum())


def main() -> None:
    """Print the tables."""
    import ot

    options = parser(__doc__ or "")
    options.add_argument("--n", type=int, default=100_000)
    options.add_argument("--exact-n", type=int, default=100_000)
    args = options.parse_args()
    logits, _ = problem(args.n, 10)
    mass = np.full(10, 0.1)
    rows = np.full(args.n, 1 / args.n)
    cost = logits.max() - logits
    solvers: dict[str, Callable[[], NDArray[np.float64]]] = {
        "kpl": lambda: sinkhorn(logits, TEMPERATURE, column_mass=mass).plan,
        "pot sinkhorn": lambda: ot.sinkhorn(rows, mass, cost, TEMPERATURE, stopThr=1e-9, numItermax=1000),
        "pot sinkhorn_log": lambda: ot.sinkhorn(
            rows, mass, cost, TEMPERATURE, method="sinkhorn_log", stopThr=1e-9, numItermax=1000
        ),
    }
    figures: dict[str, Any] = {"n": args.n, "C": 10, "entropic": {}, "exact_n": args.exact_n, "exact": {}}
    for name, work in solvers.items():
        seconds, plan = best(work)
        figures["entropic"][name] = {"seconds": seconds, "marginal_error": error(plan, mass)}
    logits, shares = problem(args.exact_n, 10)
    counts = np.floor(shares * args.exact_n)
    counts[0] += args.exact_n - counts.sum()
    ones = np.ones(args.exact_n)
    seconds, ours = best(lambda: exact_transport(-logits, counts))
    mean = float(-logits[np.arange(args.exact_n), ours.assignment].mean())
    figures["exact"]["kpl"] = {"seconds": seconds, "mean_cost": mean}
    seconds, plan = best(lambda: ot.emd(ones, counts, -logits, numItermax=10_000_000), runs=1)
    figures["exact"]["pot emd"] = {"seconds": seconds, "mean_cost": float((plan * -logits).sum() / args.exact_n)}
    for kind, measure in (("entropic", "marginal_error"), ("exact", "mean_cost")):
        table = [[name, f"{v['seconds']:.2f} s", f"{v[measure]:.6g}"] for name, v in figures[kind].items()]
        print_table(f"{kind} transport, 10 classes", ["solver", "time", measure.replace("_", " ")], table)
    save(args.json, figures)


if __name__ == "__main__":
    main()
