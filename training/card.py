"""Write the measured figures into the card of the shipped encoder, after benchmarks/mini.py has measured them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
FIGURES: Final = ROOT / "benchmarks/results/mini.json"
CARD: Final = ROOT / "src/kpl/encoders/mini/card.json"


def percent(figure: dict[str, Any]) -> str:
    """Accuracy and its interval."""
    low, high = figure["interval"]
    return f"{100 * figure['accuracy']:.1f} % ({100 * low:.1f}-{100 * high:.1f})"


def text_of(found: dict[str, Any]) -> str:
    """What the encoder does on pictures and on kinds that it never saw, in sentences."""
    names = found["names_only"]
    low, high = names["invented_words_band"]
    sources = {
        "wordings kept out of training": "held_out_wordings",
        "the shipped knowledge": "shipped_knowledge_8",
        "a second author's": "second_author_8",
    }
    parts = [
        f"Accuracy on {found['pictures']} held-out real pictures of 8 kinds (95 % interval). Class names only"
        f" {100 * names['accuracy']:.1f} % (invented words {100 * low:.1f}-{100 * high:.1f} %)."
    ]
    parts += [
        f"{k}: {percent(found[v]['text'])} averaged, {percent(found[v]['kpl'])} with KPL." for k, v in sources.items()
    ]
    parts.append(f"A linear probe of the same features, which needs labels: {percent(found['linear_probe'])}.")
    runs = found["training_runs"]
    seeds = [run["held_out_wordings"]["twenty_sentences"] for name, run in runs.items() if name.startswith("seed")]
    parts.append(
        f"Wordings kept out, {len(seeds)} training seeds: " + ", ".join(f"{100 * s:.1f}" for s in seeds) + " %."
    )
    for name, run in runs.items():
        if "left_out_two_way" in run:
            two, eight = (100 * run[f"left_out_{way}_way"]["twenty_sentences"] for way in ("two", "eight"))
            parts.append(
                f"Trained without {name.removeprefix('left-out-')}: {two:.0f} % two-way, {eight:.0f} % eight-way."
            )
    for name in ("invented-words", "shuffled-captions"):
        if name in runs:
            share = 100 * runs[name]["held_out_wordings"]["twenty_sentences"]
            parts.append(f"Control, {name.replace('-', ' ')}: {share:.0f} %.")
    return " ".join(part[0].upper() + part[1:] for part in parts)


def main() -> None:
    """Rewrite the card's figures."""
    card = json.loads(CARD.read_text(encoding="utf-8"))
    card["figures"] = text_of(json.loads(FIGURES.read_text(encoding="utf-8")))
    CARD.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(card["figures"])


if __name__ == "__main__":
    main()
