"""BioViL-T: two engines, one for a picture's file and one for sentences, of a package of its own."""

import tempfile
from pathlib import Path

import torch
from health_multimodal.image.utils import get_image_inference
from health_multimodal.text.utils import get_bert_inference

from kpl.encoders import adapt

WEIGHTS = Path(__file__).with_name("biovil_t_image_model_proj_size_128.pt")


def build():
    image, text = get_image_inference("biovil_t"), get_bert_inference("biovil_t")

    def encode(picture):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "picture.png")
            picture.save(path)
            return image.get_projected_global_embedding(path)

    return adapt(
        "biovil-t",
        images=lambda pictures: torch.stack([encode(picture) for picture in pictures]),
        texts=text.get_embeddings_from_prompt,
        count=lambda sentence: len(text.tokenizer(sentence).input_ids),
        context_length=512,
        image_size=448,
        files=[WEIGHTS],
        modalities=("chest X-ray",),
    )
