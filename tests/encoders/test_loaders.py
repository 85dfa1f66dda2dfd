"""Every kind of model gives the features of its library's own pipeline, from local files and for any picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.encoders.tiny_models import MODELS, SENTENCES

from kpl.encoders import Encoder, load_encoder
from kpl.encoders.offline import network_forbidden
from kpl.encoders.registry import describe
from kpl.errors import InputError
from kpl.images import decode

pytestmark = pytest.mark.torch

SIZES = ((32, 32), (1, 1), (17, 90), (101, 33), (64, 47), (35, 200), (233, 35), (300, 1))  # height, width


@pytest.fixture(scope="module", params=sorted(MODELS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, MODELS[request.param](tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="module")
def encoder(made: tuple[str, Path]) -> Encoder:
    with network_forbidden():
        return load_encoder(str(made[1]), device="cpu")


def pictures() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in SIZES]


def unit(rows: Any) -> NDArray[np.float32]:
    found = rows.numpy()
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def by_the_library(folder: Path, images: list[Image.Image], sentences: list[str]) -> tuple[Any, Any]:
    """What a user of the library would write."""
    import torch

    weights = folder / "weights"
    with torch.inference_mode():
        if (weights / "open_clip_config.json").is_file():
            import open_clip

            name = f"local-dir:{weights}"
            if (folder / "text").is_dir():  # as on a machine with internet: the second repository is found by its name
                config = (weights / "open_clip_config.json").read_text(encoding="utf-8")
                copy = folder.parent / "online"
                copy.mkdir(exist_ok=True)
                for path in weights.iterdir():
                    (copy / path.name).write_bytes(path.read_bytes())
                online = config.replace("someone/tiny-bert", str(folder / "text"))
                (copy / "open_clip_config.json").write_text(online, encoding="utf-8")
                name = f"local-dir:{copy}"
            model, _, preprocess = open_clip.create_model_and_transforms(name)
            model.eval()
            pixels = [model.encode_image(preprocess(image)[None]) for image in images]
            return unit(torch.cat(pixels)), unit(model.encode_text(open_clip.get_tokenizer(name)(sentences)))
        from transformers import AutoModel, AutoProcessor, AutoTokenizer

        model = AutoModel.from_pretrained(weights).eval()
        processor = AutoProcessor.from_pretrained(weights, backend="pil")
        full = {"padding": "max_length"} if model.config.model_type == "siglip" else {"padding": True}
        tokens = AutoTokenizer.from_pretrained(weights)(sentences, return_tensors="pt", **full)
        pixels = [
            model.get_image_features(**processor.image_processor(image, return_tensors="pt")).pooler_output
            for image in images
        ]
        return unit(torch.cat(pixels)), unit(model.get_text_features(**tokens).pooler_output)


@pytest.fixture(scope="module")
def library_rows(made: tuple[str, Path]) -> tuple[Any, Any]:
    return by_the_library(made[1], [Image.fromarray(picture) for picture in pictures()], list(SENTENCES))


def test_features_are_those_of_the_library(encoder: Encoder, library_rows: tuple[Any, Any]) -> None:
    np.testing.assert_allclose(encoder.encode_images(pictures()), library_rows[0], atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(SENTENCES), library_rows[1], atol=1e-5)
    assert not np.allclose(library_rows[0][3], library_rows[0][4], atol=1e-3)  # the tiny model does see differences


@pytest.fixture(scope="module", params=["openclip-vit", "clip"])
def one_of_a_library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MODELS[request.param](tmp_path_factory.mktemp("models") / request.param)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_pictures_of_any_mode_are_what_the_decoder_makes_of_them(
    one_of_a_library: Path, mode: str, tmp_path: Path
) -> None:
    encoder = load_encoder(str(one_of_a_library), device="cpu")
    rng = np.random.default_rng(1)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (57, 83), dtype=np.uint16))
    else:
        image = Image.fromarray(rng.integers(0, 256, (57, 83, 3), dtype=np.uint8)).convert(mode)
    path = tmp_path / ("x.tif" if mode in ("CMYK", "I;16") else "x.png")
    image.save(path)
    picture = decode(path)
    expected, _ = by_the_library(one_of_a_library, [Image.fromarray(picture)], list(SENTENCES))
    np.testing.assert_allclose(encoder.encode_images([picture]), expected, atol=1e-5)


def test_rows_do_not_depend_on_the_batch(encoder: Encoder) -> None:
    images, sentences = pictures() * 3, list(SENTENCES) * 5
    np.testing.assert_allclose(encoder.encode_images(images[:1]), encoder.encode_images(images)[:1], atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(sentences[:1]), encoder.encode_texts(sentences)[:1], atol=1e-5)


def test_nothing_gives_no_rows(encoder: Encoder) -> None:
    assert encoder.encode_images([]).shape == (0, encoder.card.dim)
    assert encoder.encode_texts([]).shape == (0, encoder.card.dim)


def test_a_sentence_that_is_too_long_is_named_and_not_cut(encoder: Encoder) -> None:
    sentence = "a cell, " * encoder.context_length
    count = encoder.count_tokens(sentence)
    assert count > encoder.context_length
    with pytest.raises(InputError, match=rf"sentence 2 has {count}.*nothing is cut"):
        encoder.encode_texts(["a cell", sentence])


def test_the_card_is_read_from_the_files(made: tuple[str, Path]) -> None:
    card = describe(made[1])
    expected = {
        "openclip-vit": ("shortest", "center_round", "bicubic", "max_length", "softmax"),
        "openclip-resnet": ("squash", "none", "bilinear", "max_length", "softmax"),
        "openclip-custom-text": ("shortest", "center_round", "bicubic", "max_length", "softmax"),
        "clip": ("shortest", "center", "bicubic", "longest", "softmax"),
        "siglip": ("squash", "none", "bilinear", "max_length", "sigmoid"),
        "dual-encoder": ("squash", "none", "bilinear", "longest", "softmax"),
    }[made[0]]
    assert (card.resize, card.crop, card.interpolation, card.padding, card.head) == expected
    assert card.logit_scale == pytest.approx(np.exp(2.3) if made[0] == "siglip" else 1 / 0.07, rel=1e-3)
    assert card.logit_bias == (-10 if made[0] == "siglip" else 0)
    assert all(len(value) == 64 for value in card.files.values())


def test_unknown_words_are_those_that_no_piece_covers(made: tuple[str, Path], encoder: Encoder) -> None:
    byte_pairs = made[0] in ("openclip-vit", "openclip-resnet", "clip")
    assert encoder.unknown_words("a round Ж cell Ж") == ([] if byte_pairs else ["Ж"])
