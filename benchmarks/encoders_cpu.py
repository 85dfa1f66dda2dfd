"""How many pictures a second does a ViT-B/32 encode on a processor: plain transformers, ONNX in 32, 16 and 8 bits?

    python benchmarks/encoders_cpu.py --json benchmarks/results/encoders_cpu.json     (8 minutes on two cores)

The weights are random: speed does not depend on them. Every way reads the same JPEG files of 640 x 480, drawn here,
from file to feature, in a process of its own, and pictures of 224 x 224 that are in memory ("tensors"); the ways take
turns, and the median of the rounds counts. The loop is what the library's documentation shows: 32 pictures at once,
float32, processor and `get_image_features`. The others are `embed_pictures` with the encoder that `export_onnx` made of
the same weights, without torch; bf16 is computed by OpenVINO and left out where the processor does not have it.
Two more take turns with them: products of matrices of the model's own shape, in torch, which say what share of the
processor's rate fp32 reaches; and decoding and preparing the same files on one thread.
Needs the extras transformers, onnx-export and openvino. Run it on an idle machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common import parser, print_table, save

AIMS = {"bf16": 2.2, "int8": 4.5, "fp32_share_of_matrix_rate": 0.85}
WIDTH, LAYERS, TOKENS, PATCH, DIM = 768, 12, 50, 32, 512
FLOP = (
    LAYERS * (24 * TOKENS * WIDTH**2 + 4 * TOKENS**2 * WIDTH)
    + 2 * (TOKENS - 1) * 3 * PATCH**2 * WIDTH
    + 2 * WIDTH * DIM
)
"""Of the image tower of a ViT-B/32, for one picture: its products of matrices alone."""


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
    from kpl.encoders.export import Precision, export_onnx
    from kpl.errors import EncoderError

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "encoders"))
    from tiny_models import clip_tokenizer

    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    text = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text |= {"vocab_size": len(tokenizer), "max_position_embeddings": 24, "num_hidden_layers": 1}
    CLIPModel(CLIPConfig(text_config=text)).eval().save_pretrained(folder / "transformers" / "weights")
    CLIPProcessor(CLIPImageProcessor(), tokenizer).save_pretrained(folder / "transformers" / "weights")
    encoder: Any = load_encoder(str(folder / "transformers"), device="cpu")
    found: dict[str, Any] = {}
    exports: tuple[Precision, ...] = ("fp32", "bf16", "int8")
    for way in exports:
        try:
            image = export_onnx(encoder, folder / way, precision=way).parity[0]
        except EncoderError as error:  # a processor without bfloat16
            print(error)
            continue
        found[way] = {"mean_cosine": image.mean, "least_cosine": image.least}
    return found


def in_memory(count: int) -> np.ndarray:
    """Pictures of the size that the model reads."""
    return np.random.default_rng(0).integers(0, 256, (count, 224, 224, 3), np.uint8)


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def transformers_loop(model_folder: Path, paths: list[Path], arrays: np.ndarray) -> dict[str, float]:
    """Seconds a picture of a plain loop over 32 pictures at once."""
    import torch
    from transformers import CLIPModel, CLIPProcessor

    model = CLIPModel.from_pretrained(model_folder / "weights").eval()
    processor = CLIPProcessor.from_pretrained(model_folder / "weights")

    def read(part: list[Path]) -> Any:  # noqa: ANN401 - torch has no types here
        return processor(images=[Image.open(path).convert("RGB") for path in part], return_tensors="pt")

    def encode(inputs: Any) -> Any:  # noqa: ANN401 - the same
        with torch.no_grad():
            return model.get_image_features(**inputs)

    tensors = processor(images=list(arrays), return_tensors="pt")["pixel_values"]
    encode(read(paths[:32]))
    return {
        "files": timed(lambda: [encode(read(paths[k : k + 32])) for k in range(0, len(paths), 32)]) / len(paths),
        "tensors": timed(lambda: [encode({"pixel_values": part}) for part in tensors.split(32)]) / len(arrays),
    }


def embedded(model_folder: Path, pictures: Path, arrays: np.ndarray) -> dict[str, float]:
    """Seconds a picture of `embed_pictures`, which writes the features too, and of `encode_images`."""
    from kpl.embeddings import embed_pictures
    from kpl.encoders import load_encoder
    from kpl.images import find_pictures

    encoder: Any = load_encoder(str(model_folder))
    found = find_pictures([pictures]).pictures
    with tempfile.TemporaryDirectory() as out:
        embed_pictures(found[:32], encoder, Path(out) / "warm")
        return {
            "files": timed(lambda: embed_pictures(found, encoder, Path(out) / "features")) / len(found),
            "tensors": timed(lambda: encoder.encode_images(list(arrays))) / len(arrays),
        }


def matrix_rate() -> float:
    """Floating-point operations a second of products as the model has them, on all cores."""
    import torch

    rows = TOKENS * 32
    left, right = torch.rand(rows, WIDTH), torch.rand(WIDTH, 4 * WIDTH)
    for _ in range(5):
        left @ right
    return 150 * 2 * rows * WIDTH * 4 * WIDTH / timed(lambda: [left @ right for _ in range(150)])


def decoded(model_folder: Path, paths: list[Path]) -> float:
    """Pictures a second that one thread decodes and prepares, as `embed_pictures` does."""
    from kpl.embeddings.making import SHRINK_FACTOR
    from kpl.encoders import load_card
    from kpl.encoders.preprocess import prepare
    from kpl.images import decode

    card = load_card(str(model_folder))
    most = SHRINK_FACTOR * card.image_size
    return len(paths) / timed(lambda: [prepare([decode(path, shrink_to=most)], card) for path in paths])


def one(way: str, work: Path) -> None:
    """Measure one way; runs in a process of its own."""
    pictures, arrays = work / "pictures", in_memory(128)
    paths = sorted(pictures.iterdir())
    if way == "matrix":
        print(json.dumps({"rate": matrix_rate()}))
    elif way == "decoding":
        print(json.dumps({"rate": decoded(work / "fp32", paths)}))
    elif way == "transformers":
        print(json.dumps(transformers_loop(work / way, paths, arrays)))
    else:
        print(json.dumps(embedded(work / way, pictures, arrays)))


def measure(work: Path, ways: list[str], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Let the ways take turns; what each round measured."""
    found: dict[str, dict[str, list[float]]] = {way: {} for way in ways}
    for _ in range(rounds):
        for way in ways:
            command = [sys.executable, str(Path(__file__)), "--one", way, "--work", str(work)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            for what, value in json.loads(done.stdout.splitlines()[-1]).items():
                found[way].setdefault(what, []).append(value)
    return found


def summed_up(found: dict[str, dict[str, list[float]]], parity: dict[str, Any]) -> dict[str, Any]:
    """The medians, and what they come to."""
    middle = {way: {what: statistics.median(values) for what, values in each.items()} for way, each in found.items()}
    ways = ["transformers", *parity]
    pace = {what: {way: 1 / middle[way][what] for way in ways} for what in ("files", "tensors")}
    rate = middle["matrix"]["rate"]
    return {
        "pictures_per_second": pace["files"],
        "pictures_per_second_from_tensors": pace["tensors"],
        "ratio_to_loop": {way: pace["files"][way] / pace["files"]["transformers"] for way in parity},
        "ratio_to_loop_from_tensors": {way: pace["tensors"][way] / pace["tensors"]["transformers"] for way in parity},
        "matrix_gflop_per_second": rate / 1e9,
        "gflop_per_picture": FLOP / 1e9,
        "share_of_matrix_rate": {way: pace["tensors"][way] * FLOP / rate for way in ("transformers", "fp32")},
        "decoded_per_second_and_thread": middle["decoding"]["rate"],
        "aims": AIMS,
        "parity": parity,
        "rounds": found,
    }


def main() -> None:
    """Print the table."""
    options = parser(__doc__ or "")
    options.add_argument("--pictures", type=int, default=512)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--work", type=Path, help="keep the models and pictures in this folder, or take them from it")
    options.add_argument("--one", help="used by the benchmark itself")
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
        parity = json.loads((work / "parity.json").read_text(encoding="utf-8"))
        found = measure(work, ["transformers", "matrix", *parity, "decoding"], args.rounds)
        count = len(list((work / "pictures").iterdir()))
    figures = summed_up(found, parity)
    pace, tensors, ratio = (
        figures[f"{key}"] for key in ("pictures_per_second", "pictures_per_second_from_tensors", "ratio_to_loop")
    )
    rows = [["transformers loop", f"{pace['transformers']:.1f}", "1", f"{tensors['transformers']:.1f}", ""]]
    rows += [
        [f"ONNX {w}", f"{pace[w]:.1f}", f"{ratio[w]:.2f}", f"{tensors[w]:.1f}", f"{parity[w]['mean_cosine']:.6f}"]
        for w in parity
    ]
    header = ["ViT-B/32, random weights", "pictures a second", "to the loop", "from tensors", "mean cosine"]
    print_table(f"{count} JPEG pictures of 640 x 480, from file to feature", header, rows)
    share = figures["share_of_matrix_rate"]["fp32"]
    print(f"products of matrices: {figures['matrix_gflop_per_second']:.0f} GFLOP/s, of which fp32 reaches {share:.0%}")
    print(f"one thread decodes {figures['decoded_per_second_and_thread']:.0f} pictures a second")
    print(f"load of the machine before: {before:.1f} (an idle one has 0)")
    save(args.json, {"pictures": count} | figures | {"load_before": before})


if __name__ == "__main__":
    main()
