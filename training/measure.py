"""Measure trained runs again: `python training/measure.py seed0 ...` rewrites their training/results/<run>.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from export import load_towers
from figures import measure_towers
from pools import DATA, WORK
from train import Plan

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure the runs that are named, or all that have results."""
    for name in sys.argv[1:] or [path.stem for path in sorted(RESULTS.glob("*.json"))]:
        path = RESULTS / f"{name}.json"
        result = json.loads(path.read_text(encoding="utf-8"))
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in result["plan"].items()}
        image, text, tokenizer, _ = load_towers(WORK / name)
        result["figures"] = measure_towers(image, text, tokenizer, Plan(**settings), DATA)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(name, json.dumps(result["figures"]), flush=True)


if __name__ == "__main__":
    main()
