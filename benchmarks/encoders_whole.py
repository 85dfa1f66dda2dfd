"""What do a ViT-L/14 of 336 pixels and 25 000 sentences cost on a processor: KPL beside a plain loop, with memory?

    python benchmarks/encoders_whole.py --json benchmarks/results/encoders_whole.json   (10 minutes on two cores)

Pictures: the loop is what OpenCLIP's own documentation shows, 16 at once; KPL's way is `embed_pictures` with the same
files of weights. Both read the same JPEG files. Sentences: as many as a large knowledge base has, of 8 to 25 words,
through `encode_texts` of a ViT-B/32, beside one after the other as the same page shows. Fewer are measured than told
of, in rounds in turn. Weights are random. Each way has a process of its own, whose largest memory is said.
Needs the extra openclip.
"""

from __future__ import annotations

import json
import os
import resource
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
from encoders_cpu import draw

PICTURES = ("open_clip", "kpl")
SENTENCES = ("one-by-one", "encode_texts")
LOOPED = 200
WORDS = ("large", "small", "round", "cell", "nucleus", "with", "pale", "dark", "granules", "smooth", "lung", "without")


def sentences(count: int) -> list[str]:
    """Sentences of 8 to 25 words, each another."""
    rng = np.random.default_rng(0)
    return [f"{number} {' '.join(rng.choice(WORDS, rng.integers(7, 25)))}" for number in range(count)]


def make_model(folder: Path, architecture: str) -> None:
    """Save a model of random weights as OpenCLIP would."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    config = open_clip.get_model_config(architecture)
    weights = folder / "weights"
    weights.mkdir(parents=True)
    model = open_clip.create_model(architecture)
    save_file(
        {name: each.contiguous() for name, each in model.state_dict().items()}, weights / "open_clip_model.safetensors"
    )
    told = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    (weights / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": told}))


def _plain(folder: Path) -> Any:  # noqa: ANN401 - torch has no types here
    import open_clip

    name = f"local-dir:{folder / 'weights'}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    return model.eval(), preprocess, open_clip.get_tokenizer(name)


def loop_pictures(folder: Path, paths: list[Path]) -> float:
    """Seconds of OpenCLIP's loop."""
    import torch

    model, preprocess, _ = _plain(folder)
    start = time.perf_counter()
    for first in range(0, len(paths), 16):
        part = torch.stack([preprocess(Image.open(path).convert("RGB")) for path in paths[first : first + 16]])
        with torch.no_grad():
            model.encode_image(part)
    return time.perf_counter() - start


def loop_sentences(folder: Path, texts: list[str]) -> float:
    """Seconds of one sentence after the other."""
    import torch

    model, _, tokenizer = _plain(folder)
    start = time.perf_counter()
    for text in texts:
        with torch.no_grad():
            model.encode_text(tokenizer([text]))
    return time.perf_counter() - start


def one(way: str, work: Path, count: int) -> None:
    """Measure one way; runs in a process of its own."""
    from kpl.embeddings import embed_pictures
    from kpl.encoders import load_encoder
    from kpl.images import find_pictures

    if way == "open_clip":
        seconds = loop_pictures(work / "large", sorted((work / "pictures").iterdir()))
    elif way == "one-by-one":
        seconds = loop_sentences(work / "base", sentences(LOOPED))
    else:
        encoder = load_encoder(str(work / {"kpl": "large", "encode_texts": "base"}[way]), device="cpu")
        start = time.perf_counter()
        if way == "encode_texts":
            encoder.encode_texts(sentences(count))
        else:
            with tempfile.TemporaryDirectory() as out:
                embed_pictures(find_pictures([work / "pictures"]).pictures, encoder, Path(out) / "features")
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "peak_gib": peak}))


def in_a_process(way: str, work: Path, count: int) -> dict[str, float]:
    """What `one` says."""
    command = [sys.executable, str(Path(__file__)), "--one", way, "--work", str(work), "--sentences", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print the two tables."""
    options = parser(__doc__ or "")
    options.add_argument("--pictures", type=int, default=64, help="measured in a round; told for 1000")
    options.add_argument("--sentences", type=int, default=25_000, help="the same, told for 25 000")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--work", type=Path, help="take models and pictures from this folder, where they are there")
    options.add_argument("--one", help="used by the benchmark itself")
    args = options.parse_args()
    if args.one:
        one(args.one, args.work, args.sentences)
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        if not (work / "base").exists():
            draw(work / "pictures", args.pictures)
            make_model(work / "large", "ViT-L-14-336")
            make_model(work / "base", "ViT-B-32")
        before = os.getloadavg()[0]
        rounds = [
            {way: in_a_process(way, work, args.sentences) for way in (*PICTURES, *SENTENCES)}
            for _ in range(args.rounds)
        ]
    found = {
        way: {what: statistics.mean(each[way][what] for each in rounds) for what in ("seconds", "peak_gib")}
        for way in (*PICTURES, *SENTENCES)
    }
    large, texts = ({way: found[way] for way in ways} for ways in (PICTURES, SENTENCES))
    for each in large.values():
        each["minutes_for_1000"] = each["seconds"] / args.pictures * 1000 / 60
    for way, count in zip(SENTENCES, (LOOPED, args.sentences), strict=True):
        texts[way]["minutes_for_25000"] = texts[way]["seconds"] / count * 25_000 / 60
    header = ["", "minutes", "peak memory, GiB"]
    title = f"ViT-L/14 of 336 pixels, 1000 JPEG pictures of 640 x 480 ({args.rounds} rounds of {args.pictures})"
    print_table(title, header, [[w, f"{e['minutes_for_1000']:.1f}", f"{e['peak_gib']:.1f}"] for w, e in large.items()])
    title = f"ViT-B/32, 25 000 sentences ({args.rounds} rounds: {LOOPED} by the loop, else {args.sentences})"
    print_table(title, header, [[w, f"{e['minutes_for_25000']:.1f}", f"{e['peak_gib']:.1f}"] for w, e in texts.items()])
    measured = {
        "pictures": args.pictures,
        "sentences": args.sentences,
        "looped": LOOPED,
        "rounds": args.rounds,
        "load_before": before,
    }
    save(args.json, measured | {"large": large, "texts": texts})


if __name__ == "__main__":
    main()
