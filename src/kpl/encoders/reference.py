"""Features through a library's own pipeline, as its documentation tells a user to write it: not through KPL's loaders.

Golden vectors are made here, so that they catch a wrong loader and not only a change of it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpl.encoders.cleaning import clean
from kpl.encoders.files import CATALOGUE, read_json, text_of, tokenizer_folder, weights_of
from kpl.encoders.protocol import EncoderCard
from kpl.encoders.towers import towers_of
from kpl.encoders.transformers_parts import config_of, processor_of, quiet, tokenizer_of
from kpl.errors import EncoderError

Rows = NDArray[np.float32]


def reference_features(
    folder: Path,
    card: EncoderCard,
    pictures: Sequence[NDArray[np.uint8]],
    sentences: Sequence[str],
    *,
    trust_remote_code: bool = False,
) -> tuple[Rows, Rows]:
    """Encode pictures and sentences with the library that an encoder's files were made for, on the processor.

    Args:
        folder: the encoder's folder.
        card: only its loader is read: how pictures and sentences are prepared is left to the library, but for a model
            whose page alone says how.
        pictures: (height, width, 3) arrays of 0..255.
        sentences: none longer than the context.
        trust_remote_code: run the Python code that the model brings.

    Returns:
        (n, d) and (m, d) unit rows.

    Raises:
        EncoderError: there is no such library for the loader.
    """
    import torch

    images = [Image.fromarray(picture) for picture in pictures]
    with torch.inference_mode(), quiet():
        if card.loader == "openclip":
            found = _openclip(folder, images, list(sentences))
        elif card.loader == "transformers":
            found = _transformers(weights_of(folder), card, images, list(sentences), trusted=trust_remote_code)
        else:
            raise EncoderError(f"no library to make golden vectors of a {card.loader!r} encoder with")
    return _unit(found[0]), _unit(found[1])


def library_versions(card: EncoderCard) -> dict[str, str]:
    """The versions of the libraries whose pipeline `reference_features` is."""
    names = ["torch", "transformers", "pillow", *(["open-clip-torch"] if card.loader == "openclip" else [])]
    return {name: version(name) for name in names}


def _unit(rows: Any) -> Rows:  # noqa: ANN401 - torch
    found = rows.float().numpy()
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def _openclip(folder: Path, images: list[Image.Image], sentences: list[str]) -> tuple[Any, Any]:
    """`create_model_and_transforms` of a local folder; a second repository's tokenizer is laid beside the weights."""
    import open_clip
    import torch

    with tempfile.TemporaryDirectory() as work:
        place, text, tokens = Path(work), text_of(folder), tokenizer_folder(folder)
        for path in weights_of(folder).iterdir():
            if path.is_file():
                _link(path, place / path.name)
        config = read_json(place / "open_clip_config.json")
        if config["model_cfg"]["text_cfg"].get("hf_model_name"):
            config["model_cfg"]["text_cfg"]["hf_model_name"] = str(text)
            (place / "open_clip_config.json").unlink()
            (place / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
        for path in () if tokens == weights_of(folder) else tokens.iterdir():
            if path.name != "config.json" and path.is_file():
                (place / path.name).unlink(missing_ok=True)
                _link(path, place / path.name)
        name = f"local-dir:{place}"
        model, _, preprocess = open_clip.create_model_and_transforms(name)
        tokenizer = open_clip.get_tokenizer(name)
        model.eval()
        rows = torch.cat([model.encode_image(preprocess(image)[None]) for image in images])
        return rows, model.encode_text(tokenizer(sentences))


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source.resolve())
    except OSError:  # where links need a privilege
        shutil.copyfile(source, target)


def _page(card: EncoderCard) -> Any:  # noqa: ANN401 - no types
    """The transforms of torchvision that the page of a model without a processor tells its users to write."""
    import torch
    from torchvision import transforms

    size = card.image_size
    steps = transforms.Compose(
        [
            transforms.Resize(size, interpolation=transforms.InterpolationMode(card.interpolation)),
            transforms.CenterCrop((size, size)),
            transforms.ToTensor(),
            transforms.Normalize(card.mean, card.std),
        ]
    )
    return lambda picture, return_tensors: {"pixel_values": torch.stack([steps(picture)])}  # noqa: ARG005 - as theirs


def _transformers(
    weights: Path, card: EncoderCard, images: list[Image.Image], sentences: list[str], *, trusted: bool
) -> tuple[Any, Any]:
    """Processor and model; SigLIP's documentation asks for padding to full length."""
    import torch
    from transformers import AutoModel, Siglip2Tokenizer

    stated = {"config": config_of(weights, card.name, trusted=trusted), "dtype": torch.float32}
    model = AutoModel.from_pretrained(weights, local_files_only=True, trust_remote_code=trusted, **stated).eval()
    by_page = card.read_from.get("mean") == CATALOGUE  # it has no file that says how
    processor = _page(card) if by_page else processor_of(weights, trusted=trusted)
    tokenizer = tokenizer_of(weights, trusted=trusted)
    kind = model.config.model_type
    if kind.startswith("siglip") and type(tokenizer).__name__.startswith("Gemma"):
        with quiet():  # the tokenizer of this model in its library, whatever the copy's own files name
            tokenizer = Siglip2Tokenizer.from_pretrained(weights, local_files_only=True)
    padding = "max_length" if kind.startswith("siglip") else False  # one by one there is nothing to pad
    image, text = towers_of(model, weights.name)
    rows = [image(processor(picture, return_tensors="pt")) for picture in images]
    cleaned = [clean(sentence, card.text_cleaning) for sentence in sentences]
    read = [text(tokenizer([sentence], padding=padding, return_tensors="pt")) for sentence in cleaned]
    return torch.cat(rows), torch.cat(read)
