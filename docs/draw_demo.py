"""Draw docs/images/demo.png: cells of a demo run, sorted by KPL, with the sentence that spoke loudest for each class.

kpl demo --out demo && python docs/draw_demo.py demo docs/images/demo.png
"""

from __future__ import annotations

import csv
import sys
from collections import Counter, defaultdict
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

CELL, GAP, TEXT, SHOWN = 84, 6, 380, 7


def main(demo: Path, target: Path) -> None:
    """Lay out one row a class: name, count, sentence, pictures from the surest on."""
    with (demo / "run" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        predictions = list(csv.DictReader(file))
    with (demo / "truth.csv").open(newline="", encoding="utf-8") as file:
        truth = {row["image"]: row["label"] for row in csv.DictReader(file)}
    loudest: dict[str, Counter[str]] = defaultdict(Counter)
    with (demo / "run" / "evidence.csv").open(newline="", encoding="utf-8") as file:
        seen = set()
        for row in csv.DictReader(file):
            if row["side"] == "for" and row["image"] not in seen:  # what speaks loudest for its class comes first
                seen.add(row["image"])
                loudest[row["label"]][row["sentence"]] += 1
    classes = [key for key, _ in Counter(row["label"] for row in predictions).most_common()]
    width = TEXT + SHOWN * (CELL + GAP) + 2 * GAP
    canvas = Image.new("RGB", (width, len(classes) * (CELL + GAP) + GAP), "white")
    draw = ImageDraw.Draw(canvas)
    bold, plain = ImageFont.load_default(19), ImageFont.load_default(14)
    for line, key in enumerate(classes):
        top = GAP + line * (CELL + GAP)
        mine = sorted((r for r in predictions if r["label"] == key), key=lambda r: -float(r["confidence"]))
        draw.text((GAP, top + 4), f"{key.replace('_', ' ')}  ({len(mine)})", "black", bold)
        wrapped = wrap(f"“{loudest[key].most_common(1)[0][0]}”", 52)
        draw.multiline_text((GAP, top + 32), wrapped, "#444444", plain, spacing=4)
        step = max(1, len(mine) // SHOWN)
        for place, row in enumerate(mine[::step][:SHOWN]):
            picture = Image.open(demo / "pictures" / row["image"]).convert("RGB").resize((CELL, CELL))
            left = TEXT + place * (CELL + GAP)
            canvas.paste(picture, (left, top))
            right = truth[row["image"]] == key
            draw.rectangle(
                (left, top, left + CELL - 1, top + CELL - 1), outline="#2a7f3f" if right else "#c62828", width=3
            )
    target.parent.mkdir(parents=True, exist_ok=True)
    canvas.quantize(256).save(target, optimize=True)  # a third of the bytes; by eye the same


def wrap(text: str, columns: int) -> str:
    """Break a sentence into lines."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > columns:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:3])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
