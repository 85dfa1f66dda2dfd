"""Draw docs/images/slide.webp: a slide with what its tiles say laid over it, and the tiles that speak loudest.

kpl classify CMU-1-Small-Region.svs --knowledge colorectal-histology --encoder mini --out run
python docs/draw_slide.py run docs/images/slide.webp
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

from PIL import Image, ImageDraw

from kpl.report.layout import Sprite
from kpl.report.slices import Slices
from kpl.runs import open_run

WIDTH, GAP = 336, 8


def decoded(uri: str) -> Image.Image:
    """Return the picture that a data URI holds."""
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA")


def main(run: Path, target: Path) -> None:
    """Draw the first slide of a run as its report shows it: alone, with the map, and its tiles in a column."""
    sprite = Sprite(opened := open_run(run))
    every = (Slices(opened)(0, c, sprite) for c in range(len(opened.keys)))
    told = next((each for each in every if each and each["own"] and each["map"]), None)  # of the slide's answer
    if told is None:
        sys.exit("the run has no slide with a picture")
    small = decoded(sprite.pictures[told["map"]["picture"]])
    plain = Image.new("RGBA", (WIDTH, WIDTH), "white")
    plain.paste(small, ((WIDTH - small.width) // 2, (WIDTH - small.height) // 2))
    scale, (left, top, wide, high) = WIDTH / 112, told["map"]["box"]
    heat = decoded(told["map"]["heat"]).resize((round(wide * scale), round(high * scale)), Image.Resampling.NEAREST)
    mapped = plain.copy()
    mapped.alpha_composite(heat, (round(left * scale), round(top * scale)))
    pen = ImageDraw.Draw(mapped)
    for x, y, side in told["map"]["tiles"]:
        pen.rectangle([x * scale, y * scale, (x + side) * scale, (y + side) * scale], outline="#0072b2", width=2)
    column = (WIDTH - 2 * GAP) // 3
    page = Image.new("RGB", (2 * WIDTH + column + 2 * GAP, WIDTH), "white")
    page.paste(plain, (0, 0))
    page.paste(mapped, (WIDTH + GAP, 0))
    for place, name in enumerate(list(filter(None, told["shown"]))[:3]):
        tile = decoded(sprite.pictures[name]).resize((column, column))
        page.paste(tile, (2 * WIDTH + 2 * GAP, place * (column + GAP)))
    page.save(target, quality=80, method=6)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
