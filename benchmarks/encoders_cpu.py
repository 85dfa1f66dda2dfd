"""How many pictures a second does a ViT-B/32 encode on a processor: a plain transformers loop, ONNX fp32, ONNX int8?

    python benchmarks/encoders_cpu.py --json benchmarks/results/encoders_cpu.json     (5 minutes on two cores)

The weights are random: speed does not depend on them. Every way reads the same JPEG files of 640 x 480, drawn here,
from file to feature, in a process of its own; the ways take turns, and the median of the rounds counts. The loop is
what the library's documentation shows: 32 pictures at once, float32, processor and `get_image_features`. The other two
are `embed_pictures` with the encoder that `export_onnx` made of the same weights, without torch.
Needs the extras transformers and onnx-export. Run it on an idle machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common import parser, print_table, save

WAYS = ("transformers", "fp32", "int8")
NEEDED = {"fp32": 1.3, "int8": 2.6}


def draw(folder: Path, count: int) -> None:
    """Draw pictures of 640 x 480 with smooth colours, blots of several sizes and grain, as JPEG files."""
    folder.mkdir()
    for number in range(count):
        rng = np.random.default_rng(number)
        picture = rng.integers(-12, 12, (480, 640, 1), np.int16)
        for side in (4, 16, 60):
            coarse = Image.fromarray(rng.integers(0, 256, (3 * side, 4 * side, 3), np.uint8))
            picture = picture + np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC)) // 3
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{number:04d}.jpg", quality=90)


def make_models(folder: Path) -> dict[str, Any]:
    """Save a ViT-B/32 of random weights in its library's own format, and export it twice; the parity of both."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    from kpl.encoders import load_encoder
    from kpl.encoders.export import export_onnx

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "encoders"))
    from tiny_models import clip_tokenizer

    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    text = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text |= {"vocab_size": len(tokenizer), "max_position_embeddings": 24, "num_hidden_layers": 1}
    CLIPModel(CLIPConfig(text_config=text)).eval().save_pretrained(folder / "transformers" / "weights")
    CLIPProcessor(CLIPImageProcessor(), tokenizer).save_pretrained(folder / "transformers" / "weights")
    encoder: Any = load_encoder(str(folder / "transformers"), device="cpu")
    found = {}
    for way in ("fp32", "int8"):
        image = export_onnx(encoder, folder / way, precision=way).parity[0]
        found[way] = {"mean_cosine": image.mean, "least_cosine": image.least}
    return found


def transformers_loop(model_folder: Path, paths: list[Path]) -> float:
    """Seconds of a plain loop over 32 pictures at once."""
    import torch
    from transformers import CLIPModel, CLIPProcessor

    model = CLIPModel.from_pretrained(model_folder / "weights").eval()
    processor = CLIPProcessor.from_pretrained(model_folder / "weights")

    def encode(part: list[Path]) -> Any:  # noqa: ANN401 - torch has no types here
        inputs = processor(images=[Image.open(path).convert("RGB") for path in part], return_tensors="pt")
        with torch.no_grad():
            return model.get_image_features(**inputs)

    encode(paths[:32])
    start = time.perf_counter()
    for first in range(0, len(paths), 32):
        encode(paths[first : first + 32])
    return time.perf_counter() - start


def embedded(model_folder: Path, pictures: Path) -> float:
    """Seconds of `embed_pictures`, which writes the features too."""
    from kpl.embeddings import embed_pictures
    from kpl.encoders import load_encoder
    from kpl.images import find_pictures

    encoder: Any = load_encoder(str(model_folder))
    found = find_pictures([pictures])
    with tempfile.TemporaryDirectory() as out:
        embed_pictures(found.pictures[:32], encoder, Path(out) / "warm")
        start = time.perf_counter()
        embed_pictures(found.pictures, encoder, Path(out) / "features")
        return time.perf_counter() - start


def one(way: str, work: Path) -> None:
    """Measure one way; runs in a process of its own."""
    pictures = work / "pictures"
    if way == "transformers":
        seconds = transformers_loop(work / way, sorted(pictures.iterdir()))
    else:
        seconds = embedded(work / way, pictures)
    print(json.dumps(seconds))


def measure(work: Path, rounds: int) -> dict[str, list[float]]:
    """Let the ways take turns; seconds of each round."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            command = [sys.executable, str(Path(__file__)), "--one", way, "--work", str(work)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds[way].append(float(done.stdout.splitlines()[-1]))
    return seconds


def main() -> None:
    """Print the table."""
    options = parser(__doc__ or "")
    options.add_argument("--pictures", type=int, default=512)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--work", type=Path, help="keep the models and pictures in this folder, or take them from it")
    options.add_argument("--one", choices=WAYS, help="used by the benchmark itself")
    args = options.parse_args()
    if args.one:
        one(args.one, args.work)
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        work.mkdir(exist_ok=True)
        if not (work / "parity.json").exists():
            draw(work / "pictures", args.pictures)
            (work / "parity.json").write_text(json.dumps(make_models(work)), encoding="utf-8")
        before = os.getloadavg()[0]
        seconds = measure(work, args.rounds)
        count = len(list((work / "pictures").iterdir()))
        parity = json.loads((work / "parity.json").read_text(encoding="utf-8"))
    pace = {way: count / statistics.median(found) for way, found in seconds.items()}
    ratios = {way: pace[way] / pace["transformers"] for way in NEEDED}
    rows = [["transformers loop", f"{pace['transformers']:.1f}", "1", ""]]
    rows += [[f"ONNX {w}", f"{pace[w]:.1f}", f"{ratios[w]:.2f}", f"{parity[w]['mean_cosine']:.6f}"] for w in NEEDED]
    header = ["ViT-B/32, random weights", "pictures a second", "to the loop", "mean cosine to the original"]
    print_table(f"{count} JPEG pictures of 640 x 480, from file to feature", header, rows)
    print(f"load of the machine before: {before:.1f} (an idle one has 0)")
    figures = {"pictures": count, "pictures_per_second": pace, "ratio_to_loop": ratios, "needed": NEEDED}
    save(args.json, figures | {"parity": parity, "seconds": seconds, "load_before": before})


if __name__ == "__main__":
    main()
