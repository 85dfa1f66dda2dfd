"""Every training run behind the figures: the shipped seed first, then other seeds, controls and left-out kinds.

`python training/all.py` writes training/results/<run>.json. Two runs at a time, one thread each: the same
figures as one after the other, in less time on two cores.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from pools import WORK

HERE: Final = Path(__file__).parent
SHORT: Final = ("--steps", "600")
"""Controls and left-out kinds are trained for less than half as long."""
RUNS: Final[dict[str, list[str]]] = {
    "seed0": ["--seed", "0"],
    "seed1": ["--seed", "1"],
    "left-out-basophil-eosinophil": ["--left_out", "basophil", "eosinophil", *SHORT],
    "left-out-lymphocyte-monocyte": ["--left_out", "lymphocyte", "monocyte", *SHORT],
    "left-out-neutrophil-platelet": ["--left_out", "neutrophil", "platelet", *SHORT],
    "left-out-erythroblast-ig": ["--left_out", "erythroblast", "ig", *SHORT],
    "seed2": ["--seed", "2"],
    "invented-words": ["--control", "invented", *SHORT],
    "shuffled-captions": ["--control", "shuffled", *SHORT],
}


def run(name: str) -> str:
    """One training run in its own process; its log and weights go to training/work."""
    WORK.mkdir(exist_ok=True)
    with (WORK / f"{name}.log").open("w") as log:
        command = [sys.executable, str(HERE / "train.py"), "--name", name, *RUNS[name]]
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    shutil.copy(WORK / name / "result.json", results / f"{name}.json")
    return name


def main() -> None:
    """All runs, or those that are named on the command line."""
    with ThreadPoolExecutor(2) as workers:
        for name in workers.map(run, sys.argv[1:] or RUNS):
            print(f"{name} done", flush=True)


if __name__ == "__main__":
    main()
