"""A model of the hub whose own code gives features in its own way, such as ConceptCLIP's forward of both towers."""

from pathlib import Path

from PIL import Image
from transformers import AutoModel, AutoProcessor

from kpl.encoders import adapt

FOLDER = Path(__file__).parent / "model"


def build():
    model = AutoModel.from_pretrained(FOLDER, trust_remote_code=True).eval()
    processor = AutoProcessor.from_pretrained(FOLDER, trust_remote_code=True)

    def run(pictures, sentences):
        return model(**processor(images=pictures, text=sentences, return_tensors="pt", padding=True))

    def images(pictures):
        return run(pictures, ["a picture"])["image_features"]

    def texts(sentences):
        return run([Image.new("RGB", (64, 64))], sentences)["text_features"]

    return adapt(
        "conceptclip",
        images=images,
        texts=texts,
        count=lambda sentence: len(processor.tokenizer(sentence).input_ids),
        context_length=processor.tokenizer.model_max_length,
        image_size=model.config.image_size,
        files=FOLDER.glob("*.safetensors"),
        logit_scale=float(model.logit_scale.exp()),
    )
