"""How right lint is and how much it finds, by sentences that were judged by hand, and how long it takes.

`lint_judged.json` holds the verdicts of one reader. "natural": 398 sentences for ImageNet-1k and Food-101, part drawn
rule by rule from those with a finding and part at random from those without (seed 20261128), judged in mixed order
without the findings in sight; whether a sentence repeats another or names a class of the file was looked up
afterwards, and only where lint reported it. "pets": 120 drawn alike from a file that no rule was made by. "medical":
all 280 sentences of eleven sets, judged with the findings in sight. `sizes` says from how many each group was drawn.

`lint_medical.json` holds sentences written for this, half of them faulty; the half that is held out was looked at only
when the rules were done, but its author is the author of the rules.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common import SHARED, parser, print_table, save
from kpl.knowledge import RULES, lint_knowledge, load_knowledge, load_tidied, write_knowledge
from kpl.knowledge.reviewing import Review

HERE = Path(__file__).parent / "knowledge"
ALIKE = ({"K104", "K105"}, {"K303", "K304"})
"""Damaged at its ends; nothing to be seen in it: the two names of one fault count for each other."""
CONTENT = {"K301", "K302", "K303", "K304"}
DRAWS = 2000

Place = tuple[str, str, int]


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share after Wilson (1927)."""
    if total == 0:
        return 0.0, 1.0
    z, share = 1.959964, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def figure(hits: int, total: int) -> dict[str, float]:
    """Return a share with its counts and interval."""
    low, high = wilson(hits, total)
    return {"right": hits, "of": total, "share": hits / total if total else 0.0, "low": low, "high": high}


def find(names: Iterable[str]) -> tuple[dict[Place, str], dict[Place, set[str]]]:
    """Return the sentences of these files, and the rules that find something in each."""
    texts: dict[Place, str] = {}
    found: dict[Place, set[str]] = defaultdict(set)
    for name in names:
        path = SHARED / "knowledge" / f"{name}.json"
        for key, sentences in json.loads(path.read_text(encoding="utf-8")).items():
            texts |= {(name, key, number): text for number, text in enumerate(sentences, start=1)}
        for finding in lint_knowledge(path).findings:
            if finding.description:
                found[name, finding.class_key or "", finding.description].add(finding.rule.code)
    return texts, found


def measure() -> dict[str, Any]:
    """Compare the judgements with what the rules find now, sample by sample."""
    stored = json.loads((HERE / "lint_judged.json").read_text(encoding="utf-8"))
    texts, found = find(dict.fromkeys(row["file"] for row in stored["judged"]))
    samples: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in stored["judged"]:
        place = row["file"], row["class"], row["number"]
        if hashlib.sha256(texts[place].encode()).hexdigest()[:12] != row["sha256"]:
            raise SystemExit(f"{place}: another sentence than the one judged")
        samples[row["sample"]].append({**row, "faults": set(row["faults"]), "found": found[place]})
    return {
        name: {"precision": precision(rows), **shares(rows, stored["sizes"][name])} for name, rows in samples.items()
    }


def precision(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Count for each rule how many of its findings are faults."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        for code in row["found"]:
            if row["sample"] == "natural" and code in ("K201", "K202", "K203") and row["drawn"] != code:
                continue  # repetition was judged only where it was drawn
            same = next((group for group in ALIKE if code in group), {code})
            hits[code].append(bool(same & row["faults"]))
    return {code: figure(sum(hits[code]), len(hits[code])) for code in sorted(hits)}


def shares(rows: list[dict[str, Any]], sizes: dict[str, int]) -> dict[str, dict[str, float]]:
    """Estimate precision and recall over whole files: every sentence weighs for as many as it was drawn from.

    The interval is the middle 95 % of a bootstrap that draws anew within each group.
    """
    groups: dict[str, list[list[bool]]] = defaultdict(list)
    for row in rows:
        content = bool(row["faults"] & CONTENT), bool(row["found"] & CONTENT)
        groups[row["drawn"]].append([bool(row["faults"]), bool(row["found"]), *content])
    tables = [(np.array(table), sizes[name] / len(table)) for name, table in groups.items()]

    def estimate(drawn: list[np.ndarray]) -> list[float]:
        total: dict[str, float] = defaultdict(float)
        for table, (_, weight) in zip(drawn, tables, strict=True):
            faulty, flagged, of_content, told = table.T
            total["both"] += weight * (faulty & flagged).sum()
            total["faulty"] += weight * faulty.sum()
            total["flagged"] += weight * flagged.sum()
            total["content"] += weight * of_content.sum()
            total["content told"] += weight * (of_content & told).sum()
            total["clean"] += weight * (~flagged).sum()
        missed = total["faulty"] - total["both"]
        return [
            total["both"] / total["flagged"],
            total["both"] / total["faulty"],
            total["content told"] / total["content"],
            missed / total["clean"],
        ]

    rng = np.random.default_rng(0)
    draws = [estimate([table[rng.integers(len(table), size=len(table))] for table, _ in tables]) for _ in range(DRAWS)]
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    names = ("precision of a finding", "recall", "recall of content", "missed")
    return {
        name.replace(" ", "_"): {"share": float(share), "low": float(low[i]), "high": float(high[i])}
        for i, (name, share) in enumerate(zip(names, estimate([table for table, _ in tables]), strict=True))
    }


def measure_written() -> dict[str, Any]:
    """Count the findings in the sentences that were written for this, in the half that rules were made by and not."""
    rows = json.loads((HERE / "lint_medical.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "written.json"
        path.write_text(json.dumps({"one": [row["text"] for row in rows], "two": ["a round green disc"]}))
        told = {f.description for f in lint_knowledge(path).findings if f.rule.code not in ("K202", "K203", "K305")}
    return {
        half: {
            name: figure(sum(number in told for number in numbers), len(numbers))
            for name, faulty in (("faulty_found", True), ("clean_flagged", False))
            if (numbers := [n for n, r in enumerate(rows, 1) if r["half"] == half and bool(r["fault"]) == faulty])
        }
        for half in ("tuned", "held out")
    }


def time_it() -> dict[str, Any]:
    """Take the time, on the clock and of the processor, for a thousand classes of 24 sentences as YAML.

    To load and to lint, the best of three; to open a review of all sentences, and to accept one, the median of nine.
    """
    base, _ = load_tidied(SHARED / "knowledge" / "imagenet1k.json")
    taken: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "thousand.yaml"
        write_knowledge(base, path)
        calls: dict[str, Callable[[Path], object]] = {"load": load_knowledge, "lint": lint_knowledge}
        for name, call in calls.items():
            taken[name] = min((_seconds(partial(call, path)) for _ in range(3)), key=lambda s: s["wall"])
        taken["open_review"] = _seconds(lambda: Review(path, "reader", "2026-11-22"))
        review = Review(path, "reader", "2026-11-22")
        taken["accept"] = sorted((_seconds(review.accept) for _ in range(9)), key=lambda s: s["wall"])[4]
        size = path.stat().st_size
    sentences = sum(len(entry.descriptions) for entry in base.classes)
    return {"classes": len(base.classes), "sentences": sentences, "bytes": size, "seconds": taken}


def _seconds(call: Callable[[], object]) -> dict[str, float]:
    """Call once and return the seconds on the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    call()
    return {"wall": time.perf_counter() - clock, "cpu": time.process_time() - processor}


def main() -> None:
    """Print the tables and write the JSON."""
    options = parser(__doc__ or "").parse_args()
    figures = {"samples": measure(), "written": measure_written(), "time": time_it()}
    for name, each in figures["samples"].items():
        rows = [
            [f"`{code}` {RULES[code].name}", f"{found['right']} of {found['of']}", spoken(found)]
            for code, found in each["precision"].items()
        ]
        rows += [[label.replace("_", " "), "", spoken(found)] for label, found in each.items() if label != "precision"]
        print_table(name, ["rule", "right", "share and 95 % interval"], rows)
    print(figures["written"])
    print(figures["time"])
    save(options.json, figures)


def spoken(each: dict[str, float]) -> str:
    """Say a share and its interval in percent."""
    return f"{100 * each['share']:.0f} % ({100 * each['low']:.0f} to {100 * each['high']:.0f})"


if __name__ == "__main__":
    main()
