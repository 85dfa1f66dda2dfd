"""Kinds of models that no list names: what their files hold decides, and their library's own forward is the judge."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.encoders import tiny_models
from tests.encoders.tiny_models import SENTENCES, bert_config, bert_tokenizer

from kpl.encoders import load_encoder
from kpl.encoders.cleaning import clean
from kpl.encoders.golden import make_golden
from kpl.encoders.openclip import _context
from kpl.encoders.protocol import EncoderCard
from kpl.encoders.registry import describe, load_card
from kpl.encoders.selftest import check_golden, self_test
from kpl.errors import EncoderError

TOWER: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2
}  # fmt: skip
PICTURE = {"image_size": 32, "patch_size": 16}


def save(folder: Path, model: Any, tokenizer: Any, *, squash: bool = False) -> Path:
    """Save a model with its tokenizer and CLIP's image processor, as `push_to_hub` does."""
    import transformers

    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if squash:
        images = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    else:
        images = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    images.save_pretrained(folder)
    return folder


def metaclip_2(folder: Path) -> Path:
    import transformers

    tokenizer = bert_tokenizer()
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 40, "eos_token_id": 3, "pad_token_id": 0}
    config = transformers.MetaClip2Config(text_config=text, vision_config=TOWER | PICTURE, projection_dim=16)
    return save(folder, transformers.MetaClip2Model(config), tokenizer)


def clipseg(folder: Path) -> Path:
    import transformers

    tokenizer = tiny_models.clip_tokenizer()
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 64}
    text |= {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    config = transformers.CLIPSegConfig(text_config=text, vision_config=TOWER | PICTURE, projection_dim=16)
    return save(folder, transformers.CLIPSegModel(config), tokenizer)


def chinese_clip(folder: Path) -> Path:
    import transformers

    tokenizer = bert_tokenizer()
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 40}
    config = transformers.ChineseCLIPConfig(text_config=text, vision_config=TOWER | PICTURE, projection_dim=16)
    return save(folder, transformers.ChineseCLIPModel(config), tokenizer)


def altclip(folder: Path) -> Path:
    """Its text tower is a RoBERTa, whose 40 positions are 38 tokens."""
    import transformers

    tokenizer = bert_tokenizer()
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 40, "project_dim": 16, "pad_token_id": 0}
    text |= {"pad_token_id": 1}
    config = transformers.AltCLIPConfig(text_config=text, vision_config=TOWER | PICTURE, projection_dim=16)
    return save(folder, transformers.AltCLIPModel(config), tokenizer)


def clip_and_bert(folder: Path) -> Path:
    """CLIP's image tower has quick_gelu, the BERT beside it gelu."""
    import transformers

    vision = transformers.CLIPVisionConfig(**TOWER, **PICTURE, hidden_act="quick_gelu")
    config = transformers.VisionTextDualEncoderConfig.from_vision_text_configs(vision, bert_config(), projection_dim=16)
    return save(folder, transformers.VisionTextDualEncoderModel(config), bert_tokenizer())


def vit_and_roberta(folder: Path) -> Path:
    import transformers

    text = transformers.RobertaConfig(**TOWER, vocab_size=len(bert_tokenizer()), max_position_embeddings=40)
    vision = transformers.ViTConfig(**TOWER, **PICTURE)
    config = transformers.VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=16)
    return save(folder, transformers.VisionTextDualEncoderModel(config), bert_tokenizer(), squash=True)


def align(folder: Path) -> Path:
    """An EfficientNet with a BERT; a temperature that divides, pictures shifted by one, sentences padded to 64."""
    import torch
    import transformers

    tokenizer = bert_tokenizer()
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 80}
    vision = {"image_size": 64, "width_coefficient": 0.2, "depth_coefficient": 0.2, "hidden_dim": 64}
    model = transformers.AlignModel(
        transformers.AlignConfig(text_config=text, vision_config=vision, projection_dim=64, temperature_init_value=0.1)
    )
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0  # what it sees now is what it will take off
    with torch.no_grad():
        model.train().vision_model(torch.randn(8, 3, 64, 64))
    tokenizer.model_max_length = 80
    save(folder, model.eval(), tokenizer)
    transformers.EfficientNetImageProcessor(
        size={"height": 72, "width": 72}, crop_size={"height": 64, "width": 64}, do_center_crop=True,
        rescale_factor=1 / 127.5, rescale_offset=True, do_normalize=False, include_top=False,
    ).save_pretrained(folder)  # fmt: skip
    processor = {"processor_class": "AlignProcessor"}
    _stated(folder / "preprocessor_config.json", **processor)
    return folder


def tipsv2(folder: Path) -> Path:
    """No special tokens, no logit scale in the weights, and a processor that needs torchvision."""
    import transformers

    words = ["<pad>", "<unk>", "\u2581", *tiny_models.LETTERS]
    tokenizer = transformers.Tipsv2Tokenizer(vocab={word: k for k, word in enumerate(words)}, merges=[])
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 64}
    vision = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28}
    config = transformers.Tipsv2Config(text_config=text, vision_config=vision)
    save(folder, transformers.Tipsv2Model(config), tokenizer)
    transformers.Tipsv2ImageProcessor(size={"height": 28, "width": 28}).save_pretrained(folder)
    return folder


def siglip2_naflex(folder: Path) -> Path:
    """Pictures keep their proportions: as many whole patches as a square of 64 pixels has."""
    import transformers

    folder.mkdir(parents=True)
    gemma(folder)
    text = TOWER | {"max_position_embeddings": 64, "projection_size": 32, "pad_token_id": 0}
    text |= {
        "bos_token_id": 2,
        "eos_token_id": 1,
        "vocab_size": len(transformers.AutoTokenizer.from_pretrained(folder)),
    }
    config = transformers.Siglip2Config(text_config=text, vision_config=TOWER | {"patch_size": 16, "num_patches": 16})
    transformers.Siglip2Model(config).save_pretrained(folder)
    transformers.Siglip2ImageProcessor(patch_size=16, max_num_patches=16).save_pretrained(folder)
    return folder


def _stated(path: Path, **more: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | more), encoding="utf-8")


KINDS: dict[str, Callable[[Path], Path]] = {
    function.__name__: function
    for function in (
        metaclip_2, clipseg, chinese_clip, altclip, clip_and_bert, vit_and_roberta, align, tipsv2, siglip2_naflex
    )
}  # fmt: skip
LENGTHS = {"altclip": 38, "vit_and_roberta": 38, "clipseg": 64, "align": 64, "tipsv2": 64, "siglip2_naflex": 64}


FULL = ("align", "tipsv2", "siglip2")  # whose library pads sentences to 64 tokens


def by_forward(folder: Path, pictures: list[Any], sentences: list[str]) -> tuple[Any, Any]:
    """The features that the model as a whole compares."""
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).eval()
    full = {"padding": "max_length", "max_length": 64} if model.config.model_type in FULL else {"padding": True}
    tokens = AutoTokenizer.from_pretrained(folder)(sentences, return_tensors="pt", **full)
    images = AutoImageProcessor.from_pretrained(folder, backend="pil")
    made = [dict(images(Image.fromarray(each), return_tensors="pt")) for each in pictures]
    pixels = {name: torch.cat([each[name] for each in made]) for name in made[0]}
    with torch.inference_mode():
        whole = model(**pixels, **tokens)
    rows = [torch.nn.functional.normalize(each, dim=-1) for each in (whole.image_embeds, whole.text_embeds)]
    return rows[0].numpy(), rows[1].numpy()


@pytest.mark.torch
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_that_no_list_names_gives_its_librarys_features(kind: str, tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    folder = KINDS[kind](tmp_path / kind)
    encoder = load_encoder(str(folder), device="cpu")
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (height, 40, 3), dtype=np.uint8) for height in (32, 55, 90)]
    images, texts = by_forward(folder, pictures, list(SENTENCES))
    rounded = 5e-3 if kind == "tipsv2" else 1e-5  # its library resizes by torchvision alone
    np.testing.assert_allclose(encoder.encode_images(pictures), images, atol=rounded)
    np.testing.assert_allclose(encoder.encode_texts(SENTENCES), texts, atol=1e-5)
    self_test(encoder)
    make_golden(folder, encoder.card)
    assert check_golden(encoder, folder) < rounded
    assert encoder.card.tolerance == (rounded if kind == "tipsv2" else 1e-4)
    assert encoder.context_length == LENGTHS.get(kind, 40)
    word = "a" if kind in ("tipsv2", "siglip2_naflex") else "cell"  # letters there, and spaces beside them
    per_word = encoder.count_tokens(f"{word} {word}") - encoder.count_tokens(word)
    encoder.encode_texts([" ".join([word] * ((encoder.context_length - 2) // per_word))])  # the longest is read


def _whole(model: Any, text_rows: Callable[..., Any], *, pixel_values: Any, **tokens: Any) -> Any:
    """A forward that compares pictures with something else than the features of sentences."""
    from types import SimpleNamespace

    texts = text_rows(model, **tokens).pooler_output
    return SimpleNamespace(
        image_embeds=model.get_image_features(pixel_values).pooler_output, text_embeds=texts.flip(-1)
    )


@pytest.mark.torch
def test_towers_that_are_not_the_models_own_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    folder = metaclip_2(tmp_path / "m")
    model = transformers.MetaClip2Model
    right = model.get_text_features
    monkeypatch.setattr(model, "forward", lambda self, **kw: _whole(self, right, **kw))
    with pytest.raises(EncoderError, match=r"features of sentences are not those of MetaClip2Model.forward"):
        load_encoder(str(folder), device="cpu")


def gemma(folder: Path, **settings: Any) -> None:
    """Gemma's tokenizer over letters, as many copies of SigLIP 2 hold it."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581", *string.ascii_letters, *"0123456789.,-;"]
    made = Tokenizer(models.BPE(vocab={word: k for k, word in enumerate(words)}, merges=[], unk_token="<unk>"))  # noqa: S106 - a token of text
    made.normalizer = normalizers.Replace(" ", "\u2581")
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>"])
    made.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    made.save(str(folder / "tokenizer.json"))
    stated = {"tokenizer_class": "GemmaTokenizer", "add_bos_token": False, "add_eos_token": True, "bos_token": "<bos>"}
    stated |= {"eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>", "model_max_length": 64}
    stated |= {"padding_side": "right", "model_input_names": ["input_ids"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(stated | settings), encoding="utf-8")


def siglip_2(folder: Path, **settings: Any) -> Path:
    import transformers

    folder.mkdir(parents=True)
    gemma(folder, **settings)
    rows = len(transformers.AutoTokenizer.from_pretrained(folder))
    text = TOWER | {"vocab_size": rows, "max_position_embeddings": 64, "projection_size": 32}
    text |= {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1}
    transformers.SiglipModel(
        transformers.SiglipConfig(text_config=text, vision_config=TOWER | PICTURE)
    ).save_pretrained(folder)
    size, half = {"height": 32, "width": 32}, [0.5, 0.5, 0.5]
    transformers.SiglipImageProcessor(size=size, image_mean=half, image_std=half).save_pretrained(folder)
    return folder


def siglip_2_by_openclip(folder: Path, clean: str) -> Path:
    """Gemma's tokenizer, and what is done to a sentence before it in OpenCLIP's configuration."""
    import open_clip
    import torch
    import transformers
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    gemma(folder)
    text = {"context_length": 64, "width": 32, "heads": 2, "layers": 2, "no_causal_mask": True, "pool_type": "last"}
    text |= {"vocab_size": len(transformers.AutoTokenizer.from_pretrained(folder)), "hf_tokenizer_name": str(folder)}
    text |= {"tokenizer_kwargs": {"clean": clean}}
    vision = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
    told = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text, "init_logit_bias": -10}
    torch.manual_seed(0)
    held = open_clip.CustomTextCLIP(**json.loads(json.dumps(told))).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in held.items()}, folder / "open_clip_model.safetensors")
    text["hf_tokenizer_name"] = "someone/siglip2"
    config = json.dumps({"model_cfg": told | {"custom_text": True}, "preprocess_cfg": {"resize_mode": "squash"}})
    (folder / "open_clip_config.json").write_text(config, encoding="utf-8")
    return folder


@pytest.mark.torch
@pytest.mark.parametrize(
    ("clean", "same"), [("canonicalize", [True, True]), ("lower", [False, True]), ("whitespace", [False, False])]
)
def test_text_is_cleaned_as_openclips_configuration_says(tmp_path: Path, clean: str, same: list[bool]) -> None:
    folder = siglip_2_by_openclip(tmp_path / "s", clean)
    encoder = load_encoder(str(folder), device="cpu")
    make_golden(folder, encoder.card)
    assert check_golden(encoder, folder) < 1e-5
    assert encoder.card.head == "sigmoid"
    assert f"clean {clean}" in encoder.card.read_from["text_cleaning"]
    others = ("an mri of the brain", "an mri, of the brain.")
    pairs = [encoder.encode_texts(["An MRI,  of the Brain.", other]) for other in others]
    assert [np.array_equal(*rows) for rows in pairs] == same


@pytest.mark.torch
@pytest.mark.parametrize("told", [{}, {"do_lower_case": False}, {"tokenizer_class": "PreTrainedTokenizerFast"}])
def test_siglip_2_reads_no_capitals_with_whatever_tokenizer(tmp_path: Path, told: dict[str, Any]) -> None:
    folder = siglip_2(tmp_path / "s", **told)
    encoder = load_encoder(str(folder), device="cpu")
    assert encoder.card.text_cleaning == "lower"
    assert "taught on lower case" in encoder.card.read_from["text_cleaning"]
    rows = encoder.encode_texts(["MRI of the Brain", "mri of the brain", "mri of a brain"])
    np.testing.assert_array_equal(rows[0], rows[1])
    assert abs(rows[1] - rows[2]).max() > 1e-4
    make_golden(folder, encoder.card)
    assert check_golden(encoder, folder) < 1e-5, "as the library's own tokenizer of SigLIP 2 reads them"


@pytest.mark.torch
@pytest.mark.parametrize(
    ("file", "stated", "cleaning"),
    [
        ("tokenizer_config.json", {"do_lower_case": True}, "lower"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "lower"),
        ("sentence_bert_config.json", {"do_lower_case": False}, "tokenizer"),
        ("nothing.json", {}, "tokenizer"),
    ],
)
def test_lower_case_is_read_from_wherever_a_model_states_it(
    tmp_path: Path, file: str, stated: dict[str, Any], cleaning: str
) -> None:
    import transformers

    from kpl.encoders.cleaning import cleaning_of

    gemma(tmp_path)
    before = json.loads((tmp_path / file).read_text()) if (tmp_path / file).is_file() else {}
    (tmp_path / file).write_text(json.dumps(before | stated), encoding="utf-8")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    found, where = cleaning_of(tmp_path, "someone's", tokenizer)
    assert found == cleaning
    assert (file in where) == bool(stated)


def test_cleaning_is_what_the_card_says() -> None:
    assert clean("MRI of the Brain", "tokenizer") == "MRI of the Brain"


OWN_CODE = """
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
class TinyConfig(PretrainedConfig):
    model_type = "tinymed"
    def __init__(self, projection_dim=16, vocab_size=64, max_position_embeddings=40, **kw):
        self.projection_dim, self.vocab_size = projection_dim, vocab_size
        self.max_position_embeddings = max_position_embeddings
        super().__init__(**kw)
class TinyModel(PreTrainedModel):
    config_class = TinyConfig
    def __init__(self, config):
        super().__init__(config)
        self.v = nn.Linear(3 * 32 * 32, 16)
        self.t = nn.Embedding(config.vocab_size, 16)
        self.logit_scale = nn.Parameter(torch.tensor(4.6))
        self.post_init()
    def {image}: return self.v({pixels}.flatten(1))
    def {text}: return self.t({ids}).mean(1)
    def forward(self, **kw): raise NotImplementedError
"""


@pytest.mark.torch
@pytest.mark.parametrize(
    ("image", "pixels", "text", "ids"),
    [
        ("get_image_features(self, pixel_values=None, **kw)", "pixel_values",
         "get_text_features(self, input_ids=None, attention_mask=None, **kw)", "input_ids"),
        ("get_image_features(self, pixel_values)", "pixel_values", "get_text_features(self, input_ids)", "input_ids"),
        ("encode_image(self, pixel_values=None, **kw)", "pixel_values",
         "encode_text(self, input_ids=None, **kw)", "input_ids"),
        ("encode_image(self, image_inputs)", "image_inputs", "encode_text(self, text_inputs)",
         "text_inputs['input_ids']"),
        ("encode_image(self, image, normalize=False)", "image", "encode_text(self, text, normalize=False)", "text"),
    ],
)  # fmt: skip
def test_code_of_a_models_own_is_asked_by_its_own_methods(
    tmp_path: Path, image: str, pixels: str, text: str, ids: str
) -> None:
    import torch
    import transformers
    from safetensors.torch import save_file

    tokenizer = bert_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    code = OWN_CODE.format(image=image, pixels=pixels, text=text, ids=ids)
    (tmp_path / "modeling_tiny.py").write_text(code, encoding="utf-8")
    stated = {"model_type": "tinymed", "architectures": ["TinyModel"], "vocab_size": len(tokenizer)}
    stated |= {"auto_map": {"AutoConfig": "modeling_tiny.TinyConfig", "AutoModel": "modeling_tiny.TinyModel"}}
    (tmp_path / "config.json").write_text(json.dumps(stated), encoding="utf-8")
    weights = {
        "v.weight": torch.randn(16, 3072),
        "v.bias": torch.zeros(16),
        "t.weight": torch.randn(len(tokenizer), 16),
    }
    save_file(weights | {"logit_scale": torch.tensor(4.6)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
        tmp_path
    )
    encoder = load_encoder(str(tmp_path), device="cpu", trust_remote_code=True)
    expected = weights["t.weight"][tokenizer("a cell").input_ids].mean(0)
    np.testing.assert_allclose(encoder.encode_texts(["a cell"])[0], expected / expected.norm(), atol=1e-5)
    assert encoder.encode_images([np.zeros((40, 40, 3), np.uint8)]).shape == (1, 16)
    with pytest.raises(EncoderError, match="--trust-remote-code"):
        load_encoder(str(tmp_path), device="cpu")


@pytest.mark.torch
@pytest.mark.parametrize("relative", [False, True])
def test_a_text_tower_is_found_where_the_configuration_names_it(tmp_path: Path, relative: bool) -> None:
    folder = tiny_models.openclip_custom_text(tmp_path / "m")
    expected = load_encoder(str(folder), device="cpu").encode_texts(SENTENCES)
    place = folder / "weights" / "bert" if relative else tmp_path / "elsewhere"
    (folder / "text").rename(place)
    path = folder / "weights" / "open_clip_config.json"
    path.write_text(
        path.read_text().replace("someone/tiny-bert", "./bert" if relative else str(place)), encoding="utf-8"
    )
    encoder = load_encoder(str(folder), device="cpu")
    np.testing.assert_allclose(encoder.encode_texts(SENTENCES), expected, atol=1e-6)
    assert any(name.endswith("config.json") and "open_clip" not in name for name in encoder.card.files)
    make_golden(folder, encoder.card)
    assert check_golden(encoder, folder) < 1e-5
    (place / "config.json").unlink()
    with pytest.raises(EncoderError, match=r"text tower is .* no config.json of it"):
        load_encoder(str(folder), device="cpu")


def test_positions_of_a_roberta_are_fewer_tokens(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "xlm-roberta", "max_position_embeddings": 40}')
    text = {"context_length": 40, "hf_model_name": "x"}
    assert _context(text, tmp_path) == 38
    assert _context(text | {"context_length": 30}, tmp_path) == 30
    (tmp_path / "config.json").write_text('{"model_type": "bert", "max_position_embeddings": 40}')
    assert _context(text, tmp_path) == 40


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["openclip-vit", "clip"])
def test_the_one_file_of_weights_is_found_whatever_its_name(tmp_path: Path, kind: str) -> None:
    import torch
    from safetensors.torch import load_file

    folder = tiny_models.MODELS[kind](tmp_path / "m")
    expected = load_encoder(str(folder), device="cpu").encode_texts(SENTENCES)
    (safe,) = (folder / "weights").glob("*.safetensors")
    torch.save({"state_dict": load_file(safe), "epoch": 3}, folder / "weights" / "epoch_3.pt")
    safe.rename(folder / "weights" / "mine.safetensors")
    np.testing.assert_allclose(load_encoder(str(folder), device="cpu").encode_texts(SENTENCES), expected, atol=1e-6)
    (folder / "weights" / "mine.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"epoch_3.pt: these weights are a pickle.*--allow-pickle"):
        load_encoder(str(folder), device="cpu")
    found = load_encoder(str(folder), device="cpu", allow_pickle=True).encode_texts(SENTENCES)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    (folder / "weights" / "epoch_4.pt").write_bytes(b"")
    with pytest.raises(EncoderError, match=r"several files of weights \(epoch_3.pt, epoch_4.pt\)"):
        load_encoder(str(folder), device="cpu", allow_pickle=True)


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["clip", "siglip", "openclip-vit", "openclip-custom-text"])
def test_every_fact_of_a_card_says_where_it_was_read(tmp_path: Path, kind: str) -> None:
    card = load_card(str(tiny_models.MODELS[kind](tmp_path / kind)))
    known_before = {"name", "title", "intended_use", "limits", "licence", "gate", "modalities", "loader", "sources"}
    told = {"remote_code", "traps", "files", "read_from", "training_data", "recipe", "figures", "resize_to"}
    facts = set(EncoderCard.model_fields) - known_before - told
    assert facts - {"fill", "patch_size", "mpp"} <= card.read_from.keys()  # these three are there or not
    assert all(card.read_from.values())


@pytest.mark.torch
def test_a_processor_that_does_what_no_card_says_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    folder = metaclip_2(tmp_path / "m")
    kind = transformers.CLIPImageProcessorPil
    own = kind.__call__
    turned = {"pixel_values": np.ones((1, 3, 32, 32), np.float32)}
    monkeypatch.setattr(kind, "__call__", lambda self, *given, **more: own(self, *given, **more) | turned)
    with pytest.raises(EncoderError, match=r"prepares pictures in a way that KPL does not know"):
        load_encoder(str(folder), device="cpu")


@pytest.mark.torch
def test_punctuation_is_taken_out_where_a_model_says_canonicalize(tmp_path: Path) -> None:
    import transformers
    from open_clip.tokenizer import canonicalize_text

    from kpl.encoders.cleaning import cleaning_of

    gemma(tmp_path)
    text = {"tokenizer_kwargs": {"clean": "canonicalize"}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"text_cfg": text}}), encoding="utf-8")
    found, where = cleaning_of(tmp_path, "siglip", transformers.AutoTokenizer.from_pretrained(tmp_path))
    assert found == "canonicalize"
    assert "open_clip_config.json" in where
    for sentence in ("MRI of the Brain, axial; T2_weighted!", "  Skin (2 cm)  lesion.", "plain words"):
        assert clean(sentence, found) == canonicalize_text(sentence)


@pytest.mark.torch
@pytest.mark.parametrize("kind", sorted(tiny_models.MODELS))
def test_a_sentence_has_the_same_row_whatever_is_encoded_with_it(tmp_path: Path, kind: str) -> None:
    """Bit for bit, so that what is kept of it is what any other run gives; and it is the row of the whole context."""
    encoder: Any = load_encoder(str(tiny_models.MODELS[kind](tmp_path / kind)), device="cpu")
    rng = np.random.default_rng(0)
    words = sorted({word for sentence in SENTENCES for word in sentence.split()})
    many = [" ".join(rng.choice(words, 1 + k % 4)) for k in range(37)]
    many = [sentence for sentence in many if encoder.count_tokens(sentence) <= encoder.context_length]
    assert len(many) > 5
    together = encoder.encode_texts(many)
    alone = np.concatenate([encoder.encode_texts([sentence]) for sentence in many])
    np.testing.assert_array_equal(together, alone)
    mixed = rng.permutation(len(many))
    np.testing.assert_array_equal(encoder.encode_texts([many[k] for k in mixed]), together[mixed])
    encoder.short_texts = False
    np.testing.assert_allclose(encoder.encode_texts(many), together, atol=1e-5)


@pytest.mark.torch
def test_what_no_file_says_of_pictures_stands_in_the_catalogue(tmp_path: Path) -> None:
    """The way of KEEP: code of its own, encode_image and encode_text, and no processor."""
    import torch
    from safetensors.torch import save_file

    from kpl.encoders import catalogue
    from kpl.encoders.store import write_card

    tokenizer = bert_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    code = OWN_CODE.format(
        image="encode_image(self, image_inputs)", pixels="image_inputs", text="encode_text(self, text_inputs)",
        ids="text_inputs['input_ids']",
    )  # fmt: skip
    (tmp_path / "modeling_tiny.py").write_text(code, encoding="utf-8")
    stated = {"model_type": "tinymed", "architectures": ["TinyModel"], "vocab_size": len(tokenizer)}
    stated |= {"auto_map": {"AutoConfig": "modeling_tiny.TinyConfig", "AutoModel": "modeling_tiny.TinyModel"}}
    (tmp_path / "config.json").write_text(json.dumps(stated), encoding="utf-8")
    torch.manual_seed(0)
    weights = {"v.weight": torch.randn(16, 3072), "v.bias": torch.zeros(16)}
    weights |= {"t.weight": torch.randn(len(tokenizer), 16), "logit_scale": torch.tensor(4.6)}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"put a preprocessor_config.json there"):
        load_encoder(str(tmp_path), trust_remote_code=True)
    keep = catalogue()["keep"]
    small = {"preparation": {**keep.preparation, "image_size": 32}, "image_size": 32}
    card = describe(tmp_path, keep.model_copy(update=small), trust_remote_code=True)
    assert (card.resize, card.crop, card.interpolation) == ("shortest", "center_round", "bicubic")
    assert card.read_from["mean"] == "KPL's catalogue"
    write_card(tmp_path, card)
    make_golden(tmp_path, card, trust_remote_code=True)
    assert check_golden(load_encoder(str(tmp_path), device="cpu", trust_remote_code=True), tmp_path) < 1e-5
