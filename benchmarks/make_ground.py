"""Make a ground for the contest of one's own pictures: features, descriptions and labels, without any picture.

    python benchmarks/make_ground.py PICTURES/ --knowledge k.yaml --encoder biomedclip --labels labels.csv --out ground/
    python benchmarks/contest.py --bundle ground/

PICTURES may be a folder of pictures, which is embedded, or features that `kpl embed` made. What is written is a feature
bundle (`docs/bring-your-encoder.md`): unit rows, class names, class indices, the name of the encoder. No picture, no
file name, no sentence of the knowledge, no path; images come in an order drawn at random, and those without a label are
left out. Features do tell something of their pictures: ask who owns them before they are handed on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kpl.embeddings import (
    FeatureFolder,
    embed_pictures,
    embed_texts,
    is_feature_folder,
    open_features,
    recorded_encoder,
)
from kpl.encoders import Encoder, load_encoder
from kpl.errors import KplError
from kpl.evaluation import read_labels
from kpl.files import new_folder
from kpl.images import find_pictures
from kpl.knowledge import load_knowledge


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the bundle, and say what is in it."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("pictures", type=Path, help="folder of pictures, or features of `kpl embed`")
    options.add_argument("--knowledge", required=True, help="knowledge file or name of a pack")
    options.add_argument("--encoder", help="name of the encoder; features know theirs")
    options.add_argument(
        "--labels", type=Path, required=True, help="table or folder of labels, as `kpl evaluate` takes"
    )
    options.add_argument("--out", type=Path, required=True, help="bundle to write; must not exist")
    args = options.parse_args(arguments)
    if args.out.exists():
        raise SystemExit(f"{args.out} exists: choose another folder")
    try:
        with tempfile.TemporaryDirectory() as work:
            encoder, features = read(args.pictures, args.encoder, Path(work))
            print(write(features, encoder, args.knowledge, args.labels, args.out))
    except KplError as error:
        raise SystemExit(str(error)) from None


def read(pictures: Path, name: str | None, work: Path) -> tuple[Encoder, FeatureFolder]:
    """Return the encoder and the features of the pictures."""
    if is_feature_folder(pictures):
        features = open_features(pictures)
        return recorded_encoder(features.encoder, lambda _: None, name), features
    if name is None:
        raise SystemExit("--encoder is needed to embed pictures")
    encoder, found = load_encoder(name), find_pictures([pictures])
    return encoder, embed_pictures(found.pictures, encoder, work / "features", set_aside=found.set_aside)


def write(features: FeatureFolder, encoder: Encoder, knowledge: str, labels: Path, out: Path) -> str:
    """Write the bundle; return what it holds, in a line."""
    base = load_knowledge(knowledge)
    truth = read_labels(labels, features.ids, base).labels
    order = np.random.default_rng().permutation(np.flatnonzero(truth >= 0))
    with new_folder(out) as folder:
        np.save(folder / "images.npy", features.load()[order].astype(np.float16))
        np.save(folder / "labels.npy", truth[order])
        for place, rows in enumerate(embed_texts(base.prompts(), encoder)):
            np.save(folder / f"descriptions-{place:05d}.npy", rows.astype(np.float16))
        told = {"classes": [entry.name for entry in base.classes], "encoder": features.encoder}
        (folder / "bundle.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    left = len(truth) - len(order)
    return f"{len(order)} images of {len(base.classes)} classes in {out}/" + (
        f", {left} without a label" if left else ""
    )


if __name__ == "__main__":
    main()
