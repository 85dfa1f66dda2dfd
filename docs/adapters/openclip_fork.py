"""An own copy of OpenCLIP, such as the one of DermLIP with PanDerm, MedCLIP-SAM or OmiCLIP."""

import sys
from pathlib import Path

import torch

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER / "Derm1M" / "src"))  # their copy, before the public one
import open_clip  # noqa: E402

from kpl.encoders import adapt  # noqa: E402


def build():
    name = f"local-dir:{FOLDER / 'model'}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    model.eval()
    tokenizer = open_clip.get_tokenizer(name)
    return adapt(
        "dermlip-panderm",
        images=lambda pictures: model.encode_image(torch.stack([preprocess(picture) for picture in pictures])),
        texts=lambda sentences: model.encode_text(tokenizer(sentences)),
        count=lambda sentence: int((tokenizer([sentence]) != 0).sum()),
        context_length=tokenizer.context_length,
        image_size=model.visual.image_size[0],
        files=(FOLDER / "model").glob("*.safetensors"),
        logit_scale=float(model.logit_scale.exp()),
    )
