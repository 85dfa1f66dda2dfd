"""Check in a clean environment that `import kpl` costs little over numpy, and that KPL brought nothing heavy along."""

import importlib.util
import statistics
import subprocess
import sys

BUDGET_MS = 80
ROUNDS = 3  # a busy machine may spoil one
REPEATS = 9
# matplotlib comes along, for the report; tests/test_structure.py sees that `import kpl` does not load it.
HEAVY = ("pandas", "sklearn", "torch")


def import_ms(statement: str) -> float:
    """Return the wall time of one import statement in a fresh interpreter, in milliseconds."""
    code = f"import time; start = time.perf_counter(); {statement}; print((time.perf_counter() - start) * 1000)"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def cost_over_numpy() -> float:
    """Return the median cost of `import kpl` less the median cost of `import numpy`, measured in turns."""
    pairs = [(import_ms("import numpy"), import_ms("import numpy, kpl")) for _ in range(REPEATS)]
    numpy, both = zip(*pairs, strict=True)
    return statistics.median(both) - statistics.median(numpy)


def main() -> int:
    """Print both findings; return 1 if either breaks the promise."""
    heavy = [name for name in HEAVY if importlib.util.find_spec(name)]
    import_ms("import numpy, kpl")  # writes the byte code
    cost = min(cost_over_numpy() for _ in range(ROUNDS))
    print(f"import kpl: {cost:.1f} ms over numpy, allowed {BUDGET_MS}; heavy packages: {', '.join(heavy) or 'none'}")
    return int(cost > BUDGET_MS or bool(heavy))


if __name__ == "__main__":
    sys.exit(main())
