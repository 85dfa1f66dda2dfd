"""How right lint is, by 400 sentences that were judged by hand, and how long it takes for a thousand classes.

The judged sample: 200 sentences in which a rule found something, drawn rule by rule, and 200 in which none did,
drawn at random (both with the seed 20261122) and judged in mixed order without the findings in sight; whether a
sentence repeats another, and which other classes the file has, was looked up afterwards. Rules were improved on other
draws, but for K302, which was narrowed by this one.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from common import SHARED, parser, print_table, save
from kpl.knowledge import RULES, lint_knowledge, load_knowledge, load_tidied, write_knowledge
from kpl.knowledge.reviewing import Review

JUDGED = Path(__file__).parent / "knowledge" / "lint_judged.json"
FILES = ("imagenet1k", "food101")
ALIKE = ({"K104", "K105"}, {"K303", "K304"})
"""Damaged at its ends; nothing to be seen in it: the two names of one fault count for each other."""


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


def measure() -> dict[str, Any]:
    """Compare the judgements with what the rules find now."""
    found: dict[tuple[str, str, int], set[str]] = {}
    texts: dict[tuple[str, str, int], str] = {}
    for name in FILES:
        path = SHARED / "knowledge" / f"{name}.json"
        for key, sentences in json.loads(path.read_text(encoding="utf-8")).items():
            texts |= {(name, key, number): text for number, text in enumerate(sentences, start=1)}
        for finding in lint_knowledge(path).findings:
            if finding.description:
                found.setdefault((name, finding.class_key or "", finding.description), set()).add(finding.rule.code)
    hits: dict[str, list[bool]] = {}
    flagged: list[bool] = []
    missed: list[bool] = []
    for row in json.loads(JUDGED.read_text(encoding="utf-8")):
        place = row["file"], row["class"], row["number"]
        if hashlib.sha256(texts[place].encode()).hexdigest()[:12] != row["sha256"]:
            raise SystemExit(f"{place}: another sentence than the one judged")
        faults, codes = set(row["faults"]), found.get(place, set())
        for code in codes:
            if code in ("K202", "K203") and row["drawn"] != code:
                continue  # repetition was judged only where it was drawn
            same = next((group for group in ALIKE if code in group), {code})
            hits.setdefault(code, []).append(bool(same & faults))
        if row["drawn"] == "clean":
            missed.append(bool(faults))
        else:
            flagged.append(bool(faults))
    return {
        "precision": {code: figure(sum(hits[code]), len(hits[code])) for code in sorted(hits)},
        "flagged_sentences_with_a_fault": figure(sum(flagged), len(flagged)),
        "unflagged_sentences_with_a_fault": figure(sum(missed), len(missed)),
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
    figures = {**measure(), "time": time_it()}

    def row(label: str, each: dict[str, float]) -> list[str]:
        interval = f"{100 * each['low']:.0f} to {100 * each['high']:.0f}"
        return [label, f"{each['right']} of {each['of']}", f"{100 * each['share']:.0f} %", interval]

    rows = [row(f"`{code}` {RULES[code].name}", each) for code, each in figures["precision"].items()]
    rows.append(row("a flagged sentence has a fault", figures["flagged_sentences_with_a_fault"]))
    rows.append(row("a sentence without a finding has one", figures["unflagged_sentences_with_a_fault"]))
    print_table("Findings that a person shares", ["rule", "right", "share", "95 % interval"], rows)
    print(figures["time"])
    save(options.json, figures)


if __name__ == "__main__":
    main()
