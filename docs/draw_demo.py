"""Draw docs/images/demo.png: cells of a demo run, sorted by KPL, with the sentence that spoke loudest for each class.

kpl demo --out demo && python docs/draw_demo.py demo docs/images/demo.png
"""

from __future__ import annotations

import csv
import sys
from collections import Counter, defaultdict
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from kpl import load_knowledge

CELL, GAP, TEXT, SHOWN = 84, 6, 380, 7
RIGHT, WRONG = "#2a7f3f", "#c62828"


def main(demo: Path, target: Path) -> None:
    """Lay out one row a class: name, count, sentence, pictures from the surest on; the last line is the legend."""
    names = {entry.key: entry.name for entry in load_knowledge("blood-cells").classes}
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
    canvas = Image.new("RGB", (width, len(classes) * (CELL + GAP) + 5 * GAP), "white")
    draw = ImageDraw.Draw(canvas)
    bold, plain, small = (ImageFont.load_default(size) for size in (19, 14, 11))
    for line, key in enumerate(classes):
        top = GAP + line * (CELL + GAP)
        mine = sorted((r for r in predictions if r["label"] == key), key=lambda r: -float(r["confidence"]))
        draw.text((GAP, top + 4), f"{names[key]}  ({len(mine)})", "black", bold)
        wrapped = wrap(f"“{loudest[key].most_common(1)[0][0]}”", 52)
        draw.multiline_text((GAP, top + 32), wrapped, "#444444", plain, spacing=4)
        step = max(1, len(mine) // SHOWN)
        for place, row in enumerate(mine[::step][:SHOWN]):
            picture = Image.open(demo / "pictures" / row["image"]).convert("RGB").resize((CELL, CELL))
            left = TEXT + place * (CELL + GAP)
            canvas.paste(picture, (left, top))
            right, low = truth[row["image"]] == key, top + CELL - 1
            draw.rectangle((left, top, left + CELL - 1, low), outline=RIGHT if right else WRONG, width=3)
            if not right:
                named = wrap(names[truth[row["image"]]], 13)
                above = low - 3 - 13 * (named.count("\n") + 1)
                draw.rectangle((left, above, left + CELL - 1, low), fill=WRONG)
                draw.multiline_text((left + 4, above + 1), named, "white", small, spacing=2)
    foot, side = canvas.height - 3 * GAP - 4, 14
    for left, colour, told in (
        (TEXT, RIGHT, "right by its label"),
        (TEXT + 180, WRONG, "wrong: its label stands in it"),
    ):
        draw.rectangle((left, foot, left + side, foot + side), outline=colour, width=3)
        draw.text((left + side + GAP, foot - 1), told, "#444444", plain)
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
