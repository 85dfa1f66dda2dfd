"""Layouts of models as people have them: names of files, paths in configurations, attention, tokenizers, odd code."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.encoders import tiny_models
from tests.encoders.test_kinds import OWN_CODE, PICTURE, TOWER, save
from tests.encoders.tiny_models import SENTENCES, bert_tokenizer

from kpl.encoders import load_encoder, pull
from kpl.encoders.golden import make_golden
from kpl.encoders.selftest import check_golden, self_test
from kpl.errors import EncoderError

pytestmark = pytest.mark.torch

State = dict[str, Any]


def stated(path: Path, **more: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | more), encoding="utf-8")


def sound(folder: Path, **options: Any) -> Any:
    """Load, test, and compare with what the library itself makes of the same files."""
    encoder = load_encoder(str(folder), device="cpu", **options)
    self_test(encoder)
    make_golden(folder, encoder.card, trust_remote_code=options.get("trust_remote_code", False))
    assert check_golden(encoder, folder) < 1e-5
    return encoder


# Weights: what trainers wrap around them, and how they call the file.

WRAPPED: dict[str, tuple[str, Callable[[State], Any]]] = {
    "plain": ("model_best.pth.tar", lambda s: s),
    "pkl": ("best.pkl", lambda s: s),
    "no suffix": ("checkpoint", lambda s: s),
    "trainer": ("epoch.pt", lambda s: {"model_state_dict": s, "optimizer": {"state": {}}, "epoch": 3}),
    "lightning": ("epoch=3-step=9.ckpt", lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}}),
    "parallel": ("a.pt", lambda s: {"net": {f"module.{k}": v for k, v in s.items()}}),
    "compiled": ("a.pt", lambda s: {"state_dict": {f"module._orig_mod.{k}": v for k, v in s.items()}}),
    "member": ("a.pt", lambda s: {f"clip_model.{k}": v for k, v in s.items()}),
}


def weights_of(folder: Path) -> tuple[Path, State]:
    from safetensors.torch import load_file

    (safe,) = (folder / "weights").glob("*.safetensors")
    held = load_file(safe)
    safe.unlink()
    return safe.parent, held


@pytest.mark.parametrize("way", sorted(WRAPPED))
@pytest.mark.parametrize("kind", ["openclip-vit", "clip"])
def test_weights_are_read_whatever_a_trainer_put_around_them(tmp_path: Path, kind: str, way: str) -> None:
    import argparse

    import torch

    folder = tiny_models.MODELS[kind](tmp_path / "m")
    expected = load_encoder(str(folder), device="cpu").encode_texts(SENTENCES)
    place, held = weights_of(folder)
    name, wrap = WRAPPED[way]
    told = wrap(held)
    torch.save(told | {"args": argparse.Namespace(lr=0.1)} if "state_dict" in told else told, place / name)
    for left in ("optimizer.pt", "scheduler.pt", "training_args.bin"):
        torch.save({"x": torch.zeros(1)}, place / left)
    with pytest.raises(EncoderError, match=r"are a pickle.*--allow-pickle"):
        load_encoder(str(folder), device="cpu")
    found = load_encoder(str(folder), device="cpu", allow_pickle=True).encode_texts(SENTENCES)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("around", ["module", "model", "clip"])
@pytest.mark.parametrize("kind", ["openclip-vit", "clip"])
def test_safetensors_of_several_cards_are_read(tmp_path: Path, kind: str, around: str) -> None:
    from safetensors.torch import save_file

    folder = tiny_models.MODELS[kind](tmp_path / "m")
    expected = load_encoder(str(folder), device="cpu").encode_texts(SENTENCES)
    (safe,) = (folder / "weights").glob("*.safetensors")
    _, held = weights_of(folder)
    save_file({f"{around}.{name}": tensor for name, tensor in held.items()}, safe, metadata={"format": "pt"})
    found = load_encoder(str(folder), device="cpu").encode_texts(SENTENCES)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_weights_that_wait_to_be_added_are_not_left_out_in_silence(tmp_path: Path) -> None:
    """With peft installed its library would add them, without it not."""
    folder = tiny_models.clip(tmp_path / "m")
    (folder / "weights" / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")
    with pytest.raises(EncoderError, match=r"adapter_config.json says .*merge them"):
        load_encoder(str(folder), device="cpu")


def test_a_model_without_a_tokenizer_is_told_so(tmp_path: Path) -> None:
    folder = tiny_models.clip(tmp_path / "m")
    for path in (folder / "weights").glob("*token*"):
        path.unlink()
    with pytest.raises(EncoderError, match=r"no file of a tokenizer"):
        load_encoder(str(folder), device="cpu")


def test_what_is_more_than_weights_is_refused_in_one_line(tmp_path: Path) -> None:
    import torch

    folder = tiny_models.clip(tmp_path / "m")
    place, held = weights_of(folder)
    torch.save({"state_dict": held, "best": np.float64(0.5)}, place / "a.pt")
    with pytest.raises(EncoderError, match=r"holds more than tensors .*it needs numpy\S*scalar\)"):
        load_encoder(str(folder), device="cpu", allow_pickle=True)
    with zipfile.ZipFile(place / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/code/__torch__.py", "def forward(self): return 1")
        archive.writestr("a/data.pkl", b"\x80\x02}q\x00.")
    with pytest.raises(EncoderError, match=r"a program of TorchScript, not weights alone"):
        load_encoder(str(folder), device="cpu", allow_pickle=True)


def split(place: Path, held: State, base: str, suffix: str) -> None:
    import torch
    from safetensors.torch import save_file

    names, where = sorted(held), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"{base}-0000{number}-of-00002.{suffix}"
        some = {name: held[name] for name in part}
        where |= dict.fromkeys(part, file)
        if suffix == "bin":
            torch.save(some, place / file)
        else:
            save_file(some, place / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": where}
    (place / f"{base}.{suffix}.index.json").write_text(json.dumps(index), encoding="utf-8")


@pytest.mark.parametrize("kind", ["openclip-vit", "clip"])
@pytest.mark.parametrize("way", ["epoch_3.pt", "mine.safetensors", "foo:safetensors", "pytorch_model:bin", "two"])
def test_a_folder_of_ones_own_is_kept_as_its_library_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, way: str
) -> None:
    import torch
    from safetensors.torch import save_file

    monkeypatch.setenv("KPL_HOME", str(tmp_path / "home"))
    folder = tiny_models.MODELS[kind](tmp_path / "mine")
    expected = load_encoder(str(folder), device="cpu").encode_texts(SENTENCES)
    place, held = weights_of(folder)
    file = None
    if ":" in way:
        split(place, held, *way.split(":"))
    elif way == "two":
        torch.save(held, place / "epoch_3.pt")
        torch.save({name: tensor * 0 for name, tensor in held.items()}, place / "epoch_4.pt")
        with pytest.raises(EncoderError, match=r"several files of weights .*--file epoch_3.pt"):
            pull(str(folder), allow_pickle=True)
        file = "epoch_3.pt"
    elif way.endswith("safetensors"):
        save_file(held, place / way, metadata={"format": "pt"})
    else:
        torch.save(held, place / way)
    card = pull(str(folder), file=file, allow_pickle=True)
    np.testing.assert_allclose(load_encoder(card.name, device="cpu").encode_texts(SENTENCES), expected, atol=1e-6)
    kept = {path.suffix for path in (tmp_path / "home" / "encoders" / card.name / "weights").iterdir()}
    assert kept <= {".safetensors", ".json"}


def test_a_file_of_weights_alone_is_kept_by_its_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip
    import torch

    monkeypatch.setenv("KPL_HOME", str(tmp_path / "home"))
    torch.manual_seed(0)
    config = open_clip.get_model_config("RN50")
    config |= {"embed_dim": 16, "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8}}
    config["text_cfg"] |= {"width": 32, "heads": 2, "layers": 1}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", config)
    model = open_clip.create_model("tiny").eval()
    file = tmp_path / "epoch_50.pt"
    torch.save({"epoch": 50, "state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, file)
    for asked in (pull, load_encoder):
        with pytest.raises(EncoderError, match=r"is weights alone: say of what, kpl encoders pull .*--architecture"):
            asked(str(file))
    with pytest.raises(EncoderError, match="--allow-pickle"):
        pull(str(file), architecture="tiny")
    for tower, width in (("text_cfg", 64), ("vision_cfg", 16)):  # OpenCLIP asserts, or names every weight
        other = config | {tower: config[tower] | {"width": width}}
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "other", other)
        with pytest.raises(EncoderError, match=r"'epoch_50': its own library cannot run it \([^\n]{,210}\)$"):
            pull(str(file), architecture="other", allow_pickle=True)
    card = pull(str(file), architecture="tiny", allow_pickle=True)
    assert "QuickGELU" in card.traps[0]
    with torch.inference_mode():
        rows = model.encode_text(open_clip.get_tokenizer("tiny")(list(SENTENCES)))
    expected = torch.nn.functional.normalize(rows, dim=-1).numpy()
    np.testing.assert_allclose(load_encoder(card.name, device="cpu").encode_texts(SENTENCES), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["openclip-vit", "clip"])
def test_a_moving_average_beside_the_weights_is_not_taken_for_them(tmp_path: Path, kind: str) -> None:
    import torch

    folder = tiny_models.MODELS[kind](tmp_path / "m")
    expected = load_encoder(str(folder), device="cpu").encode_texts(SENTENCES)
    place, held = weights_of(folder)
    kept = {name: torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor for name, tensor in held.items()}
    average = {name: tensor * 0 for name, tensor in held.items()}
    for told in ({"model_ema": average, "model": kept}, {"ema": average, "state_dict": kept}, {"ema": {"x": held}}):
        torch.save(told, place / "a.pt")
        found = load_encoder(str(folder), device="cpu", allow_pickle=True).encode_texts(SENTENCES)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    torch.save({"student": held, "teacher": average}, place / "a.pt")
    with pytest.raises(EncoderError, match=r"it holds several models \(student, teacher\), and no name"):
        load_encoder(str(folder), device="cpu", allow_pickle=True)
    (place / "a.pt").write_bytes((place / "a.pt").read_bytes()[:5000])
    with pytest.raises(EncoderError, match=r"the weights cannot be read .* damaged: get it again"):
        load_encoder(str(folder), device="cpu", allow_pickle=True)


def test_an_openclip_may_have_patches_of_two_sides_and_a_coca_is_one(tmp_path: Path) -> None:
    import open_clip
    import torch
    from safetensors.torch import save_file

    vision = {"image_size": [32, 32], "layers": 2, "width": 32, "head_width": 16, "patch_size": [16, 16]}
    sound(tiny_models.openclip_vit(tmp_path / "m", vision_cfg=vision))
    text = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    pooled = {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    told = {
        "embed_dim": 32, "vision_cfg": vision | pooled, "multimodal_cfg": text,
        "text_cfg": text | {"embed_cls": True, "output_tokens": True},
    }  # fmt: skip
    torch.manual_seed(0)
    held = open_clip.CoCa(**json.loads(json.dumps(told))).state_dict()
    (tmp_path / "coca").mkdir()
    save_file({name: tensor.clone() for name, tensor in held.items()}, tmp_path / "coca/open_clip_model.safetensors")
    config = json.dumps({"model_cfg": told | {"custom_text": True}, "preprocess_cfg": {}})
    (tmp_path / "coca/open_clip_config.json").write_text(config, encoding="utf-8")
    sound(tmp_path / "coca")


@pytest.mark.parametrize("changed", [{"hidden_act": "gelu"}, {"hidden_act": "quick_gelu"}])
def test_each_tower_has_the_activation_that_its_configuration_says(tmp_path: Path, changed: dict[str, str]) -> None:
    other = {"gelu": "quick_gelu", "quick_gelu": "gelu"}[changed["hidden_act"]]
    folder = tiny_models.clip(tmp_path / "m", hidden_act=other)
    path = folder / "weights" / "config.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    stated(path, text_config=told["text_config"] | changed)
    assert sound(folder).card.activation == other


# Paths in open_clip_config.json.


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("weights/bert", "/srv/models/bert"),
        ("weights/bert", "C:\\models\\bert"),
        ("bert", "../bert"),
        ("bert", "/data/bert/"),
        ("elsewhere", "{there}/config.json"),
        ("weights", "."),
        ("weights", "{weights}"),
    ],
)
def test_a_text_tower_is_found_by_any_path_it_has_or_had(tmp_path: Path, place: str, named: str) -> None:
    folder = tiny_models.openclip_custom_text(tmp_path / "m")
    expected = load_encoder(str(folder), device="cpu").encode_texts(SENTENCES)
    there, weights = folder / place, folder / "weights"
    there.mkdir(exist_ok=True)
    for path in (folder / "text").iterdir():
        path.rename(there / path.name)
    (folder / "text").rmdir()
    config = json.loads((weights / "open_clip_config.json").read_text(encoding="utf-8"))
    path_there = named.format(there=there, weights=weights)
    config["model_cfg"]["text_cfg"] |= {"hf_model_name": path_there, "hf_tokenizer_name": path_there}
    (weights / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    np.testing.assert_allclose(sound(folder).encode_texts(SENTENCES), expected, atol=1e-6)


def test_a_tokenizer_may_lie_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "home"))
    folder = tiny_models.openclip_custom_text(tmp_path / "m")
    expected = load_encoder(str(folder), device="cpu").encode_texts(SENTENCES)
    config, words = tmp_path / "config", tmp_path / "words"
    (folder / "text").rename(words)
    config.mkdir()
    (words / "config.json").rename(config / "config.json")
    for path in (folder / "weights").glob("*token*"):
        path.unlink()
    path = folder / "weights" / "open_clip_config.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    told["model_cfg"]["text_cfg"] |= {"hf_model_name": str(config), "hf_tokenizer_name": str(words)}
    path.write_text(json.dumps(told), encoding="utf-8")
    encoder = sound(folder)
    np.testing.assert_allclose(encoder.encode_texts(SENTENCES), expected, atol=1e-6)
    assert {"text/config.json", "text/tokenizer.json"} <= encoder.card.files.keys()
    card = pull(str(folder))
    (words / "tokenizer.json").unlink()
    np.testing.assert_allclose(load_encoder(card.name, device="cpu").encode_texts(SENTENCES), expected, atol=1e-6)


# Attention, and code of a model's own.


@pytest.mark.parametrize("asked", ["flash_attention_2", "sdpa", "eager", "someone/kernels"])
def test_the_attention_of_a_models_authors_is_not_demanded(tmp_path: Path, asked: str) -> None:
    folder = tiny_models.clip(tmp_path / "m")
    stated(folder / "weights" / "config.json", attn_implementation=asked, _attn_implementation=asked)
    sound(folder)


def own_code(folder: Path, code: str = "", **config: Any) -> Path:
    """A model whose code lies beside its weights."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    tokenizer = bert_tokenizer()
    tokenizer.save_pretrained(folder)
    tiny_models_processor().save_pretrained(folder)
    made = code or OWN_CODE.format(
        image="encode_image(self, pixel_values)", pixels="pixel_values", text="encode_text(self, input_ids)",
        ids="input_ids",
    )  # fmt: skip
    (folder / "modeling_tiny.py").write_text(made, encoding="utf-8")
    told = {"model_type": "tinymed", "architectures": ["TinyModel"], "vocab_size": len(tokenizer)}
    told |= {"auto_map": {"AutoConfig": "modeling_tiny.TinyConfig", "AutoModel": "modeling_tiny.TinyModel"}}
    (folder / "config.json").write_text(json.dumps(told | config), encoding="utf-8")
    torch.manual_seed(0)
    held = {"v.weight": torch.randn(16, 3072), "v.bias": torch.zeros(16), "t.weight": torch.randn(len(tokenizer), 16)}
    save_file(held | {"logit_scale": torch.tensor(4.6)}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def tiny_models_processor() -> Any:
    import transformers

    return transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


@pytest.mark.parametrize("asked", ["flash_attention_2", "sdpa"])
def test_code_of_a_models_own_without_fused_attention_runs_with_the_plain_one(tmp_path: Path, asked: str) -> None:
    sound(own_code(tmp_path / "m", attn_implementation=asked, dtype="float16"), trust_remote_code=True)


def changed(**changes: str) -> str:
    code = OWN_CODE.format(
        image="encode_image(self, pixel_values)", pixels="pixel_values", text="encode_text(self, input_ids)",
        ids="input_ids",
    )  # fmt: skip
    for name, after in changes.items():
        before = {"image": "return self.v(pixel_values.flatten(1))", "post": "self.post_init()"}[name]
        assert before in code
        code = code.replace(before, after)
    return code


def test_code_for_an_older_library_and_features_in_a_mapping_are_read(tmp_path: Path) -> None:
    mapping = "return {'image_features': self.v(pixel_values.flatten(1))}"
    sound(own_code(tmp_path / "m", changed(post="pass", image=mapping)), trust_remote_code=True)


def test_features_that_are_no_rows_are_refused(tmp_path: Path) -> None:
    folder = own_code(tmp_path / "m", changed(image="return self.v(pixel_values.flatten(1))[:, None]"))
    with pytest.raises(EncoderError, match=r"features of 2 pictures are \(2, 1, 16\), not \(2, 16\): it needs an adap"):
        load_encoder(str(folder), device="cpu", trust_remote_code=True)
    other = own_code(tmp_path / "n", changed(image="raise ValueError('no')"))
    with pytest.raises(EncoderError, match=r"its library cannot encode pictures with it \(no\)"):
        load_encoder(str(other), device="cpu", trust_remote_code=True)


def test_code_of_another_repository_is_found_beside_or_asked_for(tmp_path: Path) -> None:
    where = {"AutoConfig": "lab/code--modeling_tiny.TinyConfig", "AutoModel": "lab/code--modeling_tiny.TinyModel"}
    folder = own_code(tmp_path / "m", auto_map=where)
    sound(folder, trust_remote_code=True)
    (folder / "modeling_tiny.py").unlink()
    with pytest.raises(EncoderError, match=r"code is that of another repository, lab/code: put the .py files"):
        load_encoder(str(folder), device="cpu", trust_remote_code=True)


# Tokenizers that lost their rules, and text towers with fewer positions than their files say.


@pytest.mark.parametrize("kind", ["clip", "dual-encoder"])
def test_a_vocabulary_without_capitals_tells_that_letters_were_lowered(tmp_path: Path, kind: str) -> None:
    folder = tiny_models.MODELS[kind](tmp_path / "m")
    weights = folder / "weights"
    stated(weights / "tokenizer.json", normalizer={"type": "NFC"})
    told = json.loads((weights / "tokenizer_config.json").read_text(encoding="utf-8"))
    told = {key: value for key, value in told.items() if key != "do_lower_case"}
    told["tokenizer_class"] = "PreTrainedTokenizerFast"
    (weights / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    encoder = sound(folder)
    assert encoder.card.text_cleaning == "lower"
    assert "not one of its words has a capital" in encoder.card.read_from["text_cleaning"]
    rows = encoder.encode_texts(["A Round Cell", "a round cell"])
    np.testing.assert_array_equal(rows[0], rows[1])


def dual(folder: Path, text: Any) -> Path:
    import transformers

    vision = transformers.ViTConfig(**TOWER, **PICTURE)
    config = transformers.VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=16)
    return save(folder, transformers.VisionTextDualEncoderModel(config), bert_tokenizer(), squash=True)


@pytest.mark.parametrize("kind", ["XLMRoberta", "Camembert", "MPNet", "Data2VecText", "Longformer"])
def test_positions_counted_from_the_padding_are_fewer_tokens(tmp_path: Path, kind: str) -> None:
    import transformers

    text = getattr(transformers, f"{kind}Config")(**TOWER, vocab_size=len(bert_tokenizer()), max_position_embeddings=40)
    encoder = sound(dual(tmp_path / "m", text))
    assert encoder.context_length == 38
    encoder.encode_texts([" ".join(["cell"] * 36)])


@pytest.mark.parametrize(("kind", "message"), [("Electra", "sentences with it"), ("IBert", "of 40 tokens")])
def test_a_text_tower_that_cannot_be_asked_is_refused_in_one_line(tmp_path: Path, kind: str, message: str) -> None:
    import transformers

    text = getattr(transformers, f"{kind}Config")(**TOWER, vocab_size=len(bert_tokenizer()), max_position_embeddings=40)
    with pytest.raises(EncoderError, match=rf"its library cannot encode.* {message}"):
        load_encoder(str(dual(tmp_path / "m", text)), device="cpu")
