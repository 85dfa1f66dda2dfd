"""How busy does a ViT-L/14 of 336 pixels keep a CUDA card, from tensors and from JPEG files, beside an open_clip loop?

    python benchmarks/encoders_gpu.py --json benchmarks/results/encoders_gpu.json

Not measured yet, for want of a card: no result lies in benchmarks/results. The weights are random; speed does not
depend on them. Needs the extra openclip and a CUDA card. Wanted: from decoded tensors at least 55 % of the card's own
bfloat16 matrix-product rate, measured here; from files the decoder or the card at least 90 % busy.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common import parser, print_table, save
from encoders_cpu import draw

ARCHITECTURE, SIZE, DEPTH, WIDTH, PATCH = "ViT-L-14-336", 336, 24, 1024, 14
BATCH = 256


def operations() -> float:
    """Floating point operations of one picture in the image tower: products with weights, and attention."""
    tokens = (SIZE // PATCH) ** 2 + 1
    weights = 12 * WIDTH**2 * tokens * DEPTH + 3 * PATCH**2 * WIDTH * (tokens - 1) + WIDTH * 768
    return 2.0 * (weights + 2 * tokens**2 * WIDTH * DEPTH)


def seconds_of(work: Callable[[], object], rounds: int = 10) -> float:
    """Median seconds of a call that leaves work on the card; the first calls do not count."""
    import torch

    found = []
    for number in range(rounds + 3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        if number >= 3:
            found.append(time.perf_counter() - start)
    return float(np.median(found))


def matrix_rate() -> float:
    """Operations a second of a large bfloat16 matrix product."""
    import torch

    side = 8192
    a, b = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds_of(lambda: a @ b)


def from_tensors(model: Any, *, compile_model: bool) -> float:  # noqa: ANN401 - torch has no types here
    """Pictures a second of the runtime, from tensors that are ready in the host's memory."""
    from kpl.encoders.torch_runtime import TorchRuntime

    runtime = TorchRuntime("cuda", batch_size=BATCH, compile_model=compile_model)
    tower = runtime.place(model.visual)
    pixels = np.random.default_rng(0).normal(size=(4 * BATCH, 3, SIZE, SIZE)).astype(np.float32)
    starts = list(range(0, len(pixels), BATCH))

    def run() -> object:
        return runtime.rows(
            range(len(pixels)), lambda part: {"image": pixels[part[0] : part[-1] + 1]}, lambda x: tower(x["image"])
        )

    return BATCH * len(starts) / seconds_of(run)


def from_files(model: Any, paths: list[Path]) -> dict[str, float]:  # noqa: ANN401
    """Pictures a second from JPEG files, and of decoding alone: the card is busy for what decoding leaves of it."""
    from kpl.encoders.preprocess import prepare
    from kpl.encoders.protocol import EncoderCard
    from kpl.encoders.torch_runtime import TorchRuntime
    from kpl.images import Instance, decode_many

    card = EncoderCard(
        name="benchmark", title="", intended_use="", licence="", loader="openclip", head="softmax", files={}, dim=768,
        context_length=77, image_size=SIZE, resize="shortest", crop="center_round", interpolation="bicubic",
        mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28), logit_scale=100.0,
    )  # fmt: skip
    runtime = TorchRuntime("cuda", batch_size=BATCH)
    tower = runtime.place(model.visual)
    records = [Instance(path.name, path) for path in paths]
    start = time.perf_counter()
    decoded = sum(1 for _ in decode_many(records))
    decoding = decoded / (time.perf_counter() - start)
    start = time.perf_counter()
    pictures: list[Any] = []
    for _, pixels in decode_many(records):
        pictures.append(pixels)
        if len(pictures) == runtime.call_size:
            runtime.rows(pictures, lambda part: {"image": prepare(part, card)}, lambda x: tower(x["image"]))
            pictures = []
    if pictures:
        runtime.rows(pictures, lambda part: {"image": prepare(part, card)}, lambda x: tower(x["image"]))
    return {"files": len(paths) / (time.perf_counter() - start), "decoding_alone": decoding}


def open_clip_loop(model: Any, preprocess: Any, paths: list[Path]) -> float:  # noqa: ANN401
    """Pictures a second of a plain bfloat16 loop over the same files."""
    import torch

    model = model.cuda().eval()
    start = time.perf_counter()
    for first in range(0, len(paths), BATCH):
        batch = torch.stack([preprocess(Image.open(path)) for path in paths[first : first + BATCH]]).cuda()
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
            model.encode_image(batch, normalize=True).float().cpu()
    return len(paths) / (time.perf_counter() - start)


def main() -> None:
    """Print the table."""
    options = parser(__doc__ or "")
    options.add_argument("--pictures", type=int, default=4096)
    args = options.parse_args()
    import torch

    if not torch.cuda.is_available():
        sys.exit("no CUDA card here: nothing was measured")
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(ARCHITECTURE)
    rate = matrix_rate()
    pace = {"tensors": from_tensors(model, compile_model=False)}
    pace["tensors_compiled"] = from_tensors(model, compile_model=True)
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder) / "pictures", min(args.pictures, 512))
        drawn = sorted((Path(folder) / "pictures").iterdir())
        paths = [drawn[k % len(drawn)] for k in range(args.pictures)]
        pace |= from_files(model, paths)
        pace["open_clip_loop"] = open_clip_loop(model, preprocess, paths)
    share = {name: pace[name] * operations() / rate for name in ("tensors", "tensors_compiled", "files")}
    share["card_busy_from_files"] = pace["files"] / pace["tensors"]
    share["decoder_busy_from_files"] = pace["files"] / pace["decoding_alone"]
    rows = [
        [name, f"{value:.0f}", f"{100 * share[name]:.0f} %" if name in share else ""] for name, value in pace.items()
    ]
    print_table(f"{ARCHITECTURE}, bfloat16", ["from", "pictures a second", "of the matrix-product rate"], rows)
    card = torch.cuda.get_device_name()
    save(args.json, {"card": card, "matrix_rate": rate, "pictures_per_second": pace, "share": share})


if __name__ == "__main__":
    main()
