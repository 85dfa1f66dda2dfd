"""Small models of random weights, made by the libraries themselves and saved in the libraries' own formats.

Each function makes an encoder's folder without a card: `weights/` with the model's files as a hub has them, and `text/`
where a second repository holds the text tower's configuration and tokenizer. They need the extras openclip and
transformers, so tests that call them carry `pytest.mark.torch`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

SENTENCES = (
    "a round cell with a dark nucleus",
    "a large pale cell, finely granular",
    "No opacity in either lung.",
    "an irregular border",
)
WORDS = sorted({word.strip(".,").lower() for sentence in SENTENCES for word in sentence.split()})
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,-"


def named_numbers(held: dict[str, Any]) -> dict[str, Any]:
    """Weights of the same names and shapes, drawn from the names alone: the same from any version of a library."""
    import numpy as np
    import torch

    made = {}
    for name, tensor in held.items():
        made[name] = tensor
        if not tensor.is_floating_point() or not tensor.ndim or "logit" in name or "temperature" in name:
            continue
        drawn = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(tuple(tensor.shape))
        if name.endswith(("running_mean", "running_var")):
            drawn = np.full(drawn.shape, float(name.endswith("var")))
        elif tensor.ndim > 1:
            drawn /= np.sqrt(np.prod(tensor.shape[1:]))
        else:  # scales of norms, and biases
            drawn = 0.1 * drawn + name.endswith("weight")
        made[name] = torch.from_numpy(drawn.astype(np.float32))
    return made


def settled(folder: Path) -> Path:
    """Give all weights below a folder `named_numbers`."""
    from safetensors.torch import load_file, save_file

    for path in folder.rglob("*.safetensors"):
        save_file(named_numbers(load_file(path)), path, metadata={"format": "pt"})
    return folder


def openclip_vit(folder: Path, **config: Any) -> Path:
    """An OpenCLIP model with a vision transformer, 32 pixels, the library's own tokenizer."""
    vision = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
    text = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    return _openclip(folder, {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text} | config)


def openclip_resnet(folder: Path) -> Path:
    """An OpenCLIP model with a ResNet, 64 pixels, squashed pictures."""
    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    text = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    return _openclip(folder, config, resize_mode="squash", interpolation="bilinear")


def openclip_timm(folder: Path, tower: str = "test_vit") -> Path:
    """An OpenCLIP model whose image tower is one of timm's, as BiomedCLIP's is; random weights."""
    vision = {"image_size": 160, "timm_model_name": tower, "timm_model_pretrained": False}
    vision |= {"timm_pool": "", "timm_proj": "linear"}
    text = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    return _openclip(folder, {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text})


def openclip_custom_text(folder: Path, *, source: str = "someone/tiny-bert") -> Path:
    """An OpenCLIP model in the way of BiomedCLIP: a BERT of another repository as text tower, a tokenizer of its own.

    `text/` has that repository's configuration and tokenizer; no weights of it are needed.
    """
    text = folder / "text"
    bert_tokenizer().save_pretrained(text)
    bert_config().save_pretrained(text)
    vision = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
    config = {
        "embed_dim": 16,
        "vision_cfg": vision,
        "text_cfg": {
            "hf_model_name": str(text),
            "hf_tokenizer_name": str(text),
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 40,
        },
    }
    _openclip(folder, config)
    path = folder / "weights" / "open_clip_config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    written["model_cfg"]["text_cfg"] |= {"hf_model_name": source, "hf_tokenizer_name": source}
    path.write_text(json.dumps(written), encoding="utf-8")
    bert_tokenizer().save_pretrained(folder / "weights")  # as BiomedCLIP's own repository has it
    return folder


def _openclip(folder: Path, config: dict[str, Any], **preprocess: Any) -> Path:
    """Build the model from its configuration and save both as `push_to_hf_hub` does."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    custom = "hf_model_name" in config["text_cfg"]
    made = json.loads(json.dumps(config))
    if custom:
        made["text_cfg"]["hf_model_pretrained"] = False
    model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**made).eval()
    weights = folder / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights / "open_clip_model.safetensors")
    preprocess = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD} | preprocess
    text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=2)
    (weights / "open_clip_config.json").write_text(text, encoding="utf-8")
    return folder


def clip(folder: Path, **vision: Any) -> Path:
    """A transformers CLIP: 32 pixels, 64 tokens."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config=tower | special | {"vocab_size": len(tokenizer), "max_position_embeddings": 64},
        vision_config=tower | {"image_size": 32, "patch_size": 16} | vision,
        projection_dim=16,
    )
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPModel(config).save_pretrained(folder / "weights")
    CLIPProcessor(images, tokenizer).save_pretrained(folder / "weights")
    return folder


def siglip(folder: Path) -> Path:
    """A transformers SigLIP: 32 pixels, 32 tokens always, sentence pieces."""
    import torch
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel, SiglipProcessor

    torch.manual_seed(0)
    tokenizer = sentence_pieces(folder)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 32, "projection_size": 32}
    special = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": 1}
    config = SiglipConfig(
        text_config=tower | text | special, vision_config=tower | {"image_size": 32, "patch_size": 16}
    )
    images = SiglipImageProcessor(
        size={"height": 32, "width": 32}, image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5], resample=2
    )
    model = SiglipModel(config)
    model.logit_scale.data.fill_(2.3)
    model.logit_bias.data.fill_(-10.0)
    model.save_pretrained(folder / "weights")
    SiglipProcessor(images, tokenizer).save_pretrained(folder / "weights")
    return folder


def dual_encoder(folder: Path) -> Path:
    """A transformers dual encoder: a vision transformer and a BERT, 40 tokens."""
    import torch
    from transformers import (
        VisionTextDualEncoderConfig,
        VisionTextDualEncoderModel,
        VisionTextDualEncoderProcessor,
        ViTConfig,
        ViTImageProcessor,
    )

    torch.manual_seed(0)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = ViTConfig(**tower, image_size=32, patch_size=16)
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision, bert_config(), projection_dim=16)
    VisionTextDualEncoderModel(config).save_pretrained(folder / "weights")
    images = ViTImageProcessor(size={"height": 32, "width": 32})
    VisionTextDualEncoderProcessor(images, bert_tokenizer()).save_pretrained(folder / "weights")
    return folder


MODELS: dict[str, Callable[[Path], Path]] = {
    "openclip-vit": openclip_vit,
    "openclip-resnet": openclip_resnet,
    "openclip-custom-text": openclip_custom_text,
    "clip": clip,
    "siglip": siglip,
    "dual-encoder": dual_encoder,
}
"""Every kind of model that KPL loads with torch, by name."""


def clip_tokenizer() -> Any:
    """CLIP's byte pairs: the letters, and a few merges."""
    from transformers import CLIPTokenizer

    letters = [*LETTERS, *(letter + "</w>" for letter in LETTERS)]
    merges = [("t", "h"), ("th", "e</w>"), ("c", "e"), ("l", "l</w>"), ("ce", "ll</w>")]
    tokens = [*letters, *("".join(pair) for pair in merges), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: k for k, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=tokens[-1], model_max_length=64)


def bert_tokenizer() -> Any:
    """Word pieces: whole words of the test sentences, and letters for all others."""
    from transformers import BertTokenizer

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *LETTERS, *("##" + c for c in LETTERS)]
    vocabulary = {token: k for k, token in enumerate(dict.fromkeys(tokens))}
    return BertTokenizer(vocab=vocabulary, model_max_length=40)


def bert_config() -> Any:
    """A BERT of two layers that fits `bert_tokenizer`."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(bert_tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=40,
    )


def sentence_pieces(folder: Path) -> Any:
    """SigLIP's tokenizer over a tiny vocabulary of sentence pieces."""
    import sentencepiece
    from transformers import SiglipTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([sentence.lower() for sentence in SENTENCES] * 5 + [" ".join(LETTERS)]),
        model_prefix=str(folder / "pieces"),
        vocab_size=60,
        hard_vocab_limit=False,
        character_coverage=1.0,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        minloglevel=2,
    )  # fmt: skip
    tokenizer = SiglipTokenizer(str(folder / "pieces.model"), model_max_length=32)
    for name in ("pieces.model", "pieces.vocab"):
        (folder / name).unlink()
    return tokenizer
