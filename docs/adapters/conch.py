"""CONCH: a package of its own, whose model has encode_image and encode_text. MUSK and CONCH-Z are of this kind."""

from pathlib import Path

import torch
from conch.open_clip_custom import create_model_from_pretrained, get_tokenizer, tokenize

from kpl.encoders import adapt

WEIGHTS = Path(__file__).with_name("pytorch_model.bin")


def build():
    model, preprocess = create_model_from_pretrained("conch_ViT-B-16", str(WEIGHTS))
    model.eval()
    tokenizer = get_tokenizer()
    return adapt(
        "conch",
        images=lambda pictures: model.encode_image(torch.stack([preprocess(picture) for picture in pictures])),
        texts=lambda sentences: model.encode_text(tokenize(texts=sentences, tokenizer=tokenizer)),
        count=lambda sentence: len(tokenizer(sentence).input_ids),
        context_length=127,
        image_size=448,
        files=[WEIGHTS],
        logit_scale=float(model.logit_scale.exp()),
    )
