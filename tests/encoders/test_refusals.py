"""What does not fit together is refused with one line that says what; it never loads with other features."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.encoders import tiny_models

from kpl.encoders import catalogue, load_encoder
from kpl.encoders.registry import describe, parse_spec
from kpl.errors import EncoderError, UnknownNameError


def test_the_catalogue_knows_what_it_must() -> None:
    known = catalogue()
    assert len(known) >= 13
    for entry in known.values():
        assert entry.sources
        assert entry.licence
        assert not any(source.revision for source in entry.sources)
        assert len(entry.terms.splitlines()) == 1
    assert known["conceptclip"].remote_code
    assert [source.folder for source in known["biomedclip"].sources] == ["weights", "text"]


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("hf:google/medsiglip-448", "medsiglip-448"),
        ("openclip:hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224", "biomedclip"),
        ("openclip:ViT-B-32/openai", "openai-clip-b-32"),
        ("openclip:ViT-H-14/laion2b_s32b_b79k", "openclip--ViT-H-14--laion2b_s32b_b79k"),
        ("hf:someone/else", "hf--someone--else"),
    ],
)
def test_specs_find_the_catalogue(spec: str, name: str) -> None:
    assert parse_spec(spec).name == name


def test_specs_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'biomedclip'"):
        parse_spec("biomedclp")
    with pytest.raises(EncoderError, match="no folder"):
        parse_spec("./not/there")
    with pytest.raises(EncoderError, match="folder of no encoder"):
        load_encoder(str(tmp_path))


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def drop(path: Path, *prefixes: str) -> None:
    """Leave tensors out of a file of weights."""
    from safetensors.torch import load_file, save_file

    kept = {name: value for name, value in load_file(path).items() if not name.startswith(prefixes)}
    save_file(kept, path, metadata={"format": "pt"})


OPENCLIP = "weights/open_clip_config.json"
OPEN_WEIGHTS = "weights/open_clip_model.safetensors"
HF = "weights/config.json"
BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "text tower": (
        "openclip-vit",
        lambda f: drop(f / OPEN_WEIGHTS, "transformer", "token_embedding", "positional", "ln_final", "text_projection"),
        "text tower is missing",
    ),
    "image tower": ("openclip-vit", lambda f: drop(f / OPEN_WEIGHTS, "visual."), "image tower is missing"),
    "no scale": ("openclip-vit", lambda f: drop(f / OPEN_WEIGHTS, "logit_scale"), "no logit_scale"),
    "image size": (
        "openclip-vit",
        lambda f: change(f / OPENCLIP, lambda c: c["model_cfg"]["vision_cfg"].update(image_size=64)),
        "5 positions",
    ),
    "oblong": (
        "openclip-vit",
        lambda f: change(f / OPENCLIP, lambda c: c["model_cfg"]["vision_cfg"].update(image_size=[32, 64])),
        "square pictures only",
    ),
    "context": (
        "openclip-vit",
        lambda f: change(f / OPENCLIP, lambda c: c["model_cfg"]["text_cfg"].update(context_length=30)),
        "says context_length 30",
    ),
    "no model_cfg": ("openclip-vit", lambda f: (f / OPENCLIP).write_text("{}"), "no model_cfg"),
    "no JSON": ("openclip-vit", lambda f: (f / OPENCLIP).write_text("{"), "not a readable configuration"),
    "truncated": (
        "openclip-vit",
        lambda f: (f / OPEN_WEIGHTS).write_bytes((f / OPEN_WEIGHTS).read_bytes()[:-1000]),
        "damaged",
    ),
    "no weights": ("openclip-vit", lambda f: (f / OPEN_WEIGHTS).unlink(), "no weights there"),
    "text configuration": (
        "openclip-custom-text", lambda f: (f / "text/config.json").unlink(), "someone/tiny-bert.* of another repository"
    ),
    "no tokenizer": (
        "openclip-custom-text",
        lambda f: [(f / part / "tokenizer.json").unlink() for part in ("text", "weights")],
        "tokenizer 'someone/tiny-bert' is of another repository",
    ),
    "other padding": (
        "openclip-custom-text",
        lambda f: change(f / "text/config.json", lambda c: c.update(pad_token_id=7)),
        "pads with 0, its text tower with 7",
    ),
    "hf text tower": ("clip", lambda f: drop(f / "weights/model.safetensors", "text_"), "text tower is missing"),
    "hf vision": (
        "clip", lambda f: drop(f / "weights/model.safetensors", "vision_model.enc"), "do not fit together .missing"
    ),
    "hf shapes": (
        "clip", lambda f: change(f / HF, lambda c: c["text_config"].update(hidden_size=64)), "cannot be loaded|not fit"
    ),
    "hf tokenizer": (
        "clip", lambda f: tiny_models.bert_tokenizer().save_pretrained(f / "weights"), "tokenizer|padding|token"
    ),
    "hf kind": ("clip", lambda f: change(f / HF, lambda c: c.update(model_type="bert")), "model_type 'bert'"),
    "hf code": ("clip", lambda f: change(f / HF, lambda c: c.update(auto_map={"AutoModel": "x.Y"})), "trust-remote"),
}  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("fault", sorted(BROKEN))
def test_what_does_not_fit_is_refused_in_one_line(fault: str, tmp_path: Path) -> None:
    kind, spoil, words = BROKEN[fault]
    folder = tiny_models.MODELS[kind](tmp_path / kind)
    spoil(folder)
    with pytest.raises(EncoderError, match=words) as caught:
        load_encoder(str(folder), device="cpu")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.torch
def test_a_known_activation_that_the_configuration_denies_is_refused(tmp_path: Path) -> None:
    known = catalogue()["openai-clip-b-32"].model_copy(update={"context_length": 0, "image_size": 0})
    folder = tiny_models.openclip_vit(tmp_path / "vit")  # its configuration says nothing, that is GELU
    card = describe(folder, known)
    (folder / "card.json").write_text(card.model_dump_json(), encoding="utf-8")
    with pytest.raises(EncoderError, match=r"trained with quick_gelu.*says gelu"):
        load_encoder(str(folder), device="cpu")
    folder = tiny_models.clip(tmp_path / "clip", hidden_act="gelu")
    card = describe(folder, known.model_copy(update={"loader": "transformers"}))
    (folder / "card.json").write_text(card.model_dump_json(), encoding="utf-8")
    with pytest.raises(EncoderError, match=r"vision_config.*says hidden_act 'gelu'"):
        load_encoder(str(folder), device="cpu")


@pytest.mark.torch
def test_files_of_another_model_are_refused(tmp_path: Path) -> None:
    folder = tiny_models.clip(tmp_path / "clip")
    with pytest.raises(EncoderError, match="context_length is 64, that of 'plip' is 77"):
        describe(folder, catalogue()["plip"])
    with pytest.raises(EncoderError, match="files for transformers"):
        describe(folder, catalogue()["biomedclip"])


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["openclip-vit", "clip"])
def test_pickles_are_refused_unless_asked_for(kind: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = tiny_models.MODELS[kind](tmp_path / kind)
    before = load_encoder(str(folder), device="cpu").encode_texts(["a cell"])
    (safe,) = (folder / "weights").glob("*.safetensors")
    name = "open_clip_pytorch_model.bin" if kind == "openclip-vit" else "pytorch_model.bin"
    torch.save(load_file(safe), folder / "weights" / name)
    safe.unlink()
    with pytest.raises(EncoderError, match="--allow-pickle"):
        load_encoder(str(folder), device="cpu")
    after = load_encoder(str(folder), device="cpu", allow_pickle=True).encode_texts(["a cell"])
    assert abs(before - after).max() < 1e-6
    torch.save({"logit_scale": Path("x")}, folder / "weights" / name)
    with pytest.raises(EncoderError, match="more than tensors"):
        load_encoder(str(folder), device="cpu", allow_pickle=True)


@pytest.mark.torch
def test_openclip_knows_its_own_weights() -> None:
    from kpl.encoders.openclip_names import built_in

    hub_id, config = built_in("ViT-B-32", "openai")
    assert hub_id == catalogue()["openai-clip-b-32"].sources[0].hub_id
    assert config["model_cfg"]["quick_gelu"] is True
    with pytest.raises(EncoderError, match="no architecture"):
        built_in("ViT-Z", "openai")
    with pytest.raises(EncoderError, match="no weights 'opnai'"):
        built_in("ViT-B-32", "opnai")
