"""Models as their authors publish them, pulled from a hub in miniature with the real command."""

from __future__ import annotations

import json
import shutil

import pytest
from tests.cli.conftest import kept
from tests.encoders import tiny_models
from tests.encoders.hub_server import TOKEN, Repository, read_tree

pytestmark = pytest.mark.torch

BIOMED = "lab/tiny-biomed"
BERT = "someone/tiny-bert"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Tiny models by kind, each made once."""
    home = tmp_path_factory.mktemp("models")
    makers = {
        "biomed": tiny_models.openclip_custom_text,
        "vit": tiny_models.openclip_vit,
        "clip": tiny_models.clip,
        "siglip": tiny_models.siglip,
    }
    return {kind: make(home / kind) for kind, make in makers.items()}


@pytest.fixture
def published(hub, models):
    """The hub with these models; the one in the way of BiomedCLIP needs two repositories."""
    hub.repositories[BIOMED] = Repository(read_tree(models["biomed"] / "weights") | {"LICENSE": b"MIT"})
    hub.repositories[BERT] = Repository(read_tree(models["biomed"] / "text") | {"pytorch_model.bin": b"not wanted"})
    hub.repositories["lab/tiny-clip"] = Repository(read_tree(models["clip"] / "weights") | {"tf_model.h5": b"no"})
    hub.repositories["lab/tiny-siglip"] = Repository(read_tree(models["siglip"] / "weights"), gated=True)
    return hub


@pytest.fixture
def plain_knowledge(tmp_path):
    path = tmp_path / "plain.json"
    entries = [
        {"key": "a", "descriptions": ["a pale cell"]},
        {"key": "b", "descriptions": ["an irregular border"]},
    ]
    task = {"name": "x", "template": "{description}"}
    path.write_text(json.dumps({"kpl_knowledge": 1, "task": task, "classes": entries}))
    return path


def test_two_repositories_become_one_encoder(kpl, published, tmp_path, cells, plain_knowledge):
    told = kpl("encoders", "pull", f"openclip:hf-hub:{BIOMED}").plain
    folder = tmp_path / "kpl" / "encoders" / "openclip--hf-hub--lab--tiny-biomed"
    for hub_id in (BIOMED, BERT):
        assert f"{hub_id} at {published.repositories[hub_id].revision}" in told
    assert (folder / "text" / "config.json").is_file()
    assert (folder / "weights" / "LICENSE").read_bytes() == b"MIT"
    assert not list(folder.rglob("*.bin"))
    asked = len(published.requests)
    assert kpl("encoders", "bundle", f"openclip:hf-hub:{BIOMED}", "-o", "b.kplenc").code == 0
    shutil.rmtree(tmp_path / "kpl")
    shutil.rmtree(tmp_path / "hf")
    assert "equal to the model's own library" in kpl("encoders", "check", "./b.kplenc").plain
    run = kpl("classify", cells, "-k", plain_knowledge, "--encoder", "./b.kplenc", "-o", "run")
    assert "12 pictures" in run.out, run.err
    told = json.loads((tmp_path / "run" / "run.json").read_text())["encoder"]["sources"]
    assert [source["hub_id"] for source in told] == [BIOMED, BERT]
    assert len(published.requests) == asked


def test_a_model_of_transformers(kpl, published, cells, plain_knowledge):
    assert "Kept as 'hf--lab--tiny-clip'" in kpl("encoders", "pull", "hf:lab/tiny-clip").plain
    assert not any("tf_model" in path for path in published.fetched())
    command = ("classify", cells, "-k", plain_knowledge, "--encoder", "hf:lab/tiny-clip", "-o", "run")
    told = kpl(*command)
    assert "12 pictures" in told.out, told.err
    assert told.err.count("\n") == 1  # its terms, before it is first loaded
    assert "licence: unknown to KPL" in told.err


def test_a_gated_model(kpl, published):
    assert "there is no token" in kpl("encoders", "pull", "hf:lab/tiny-siglip").error
    assert "Kept as" in kpl("encoders", "pull", "hf:lab/tiny-siglip", env={"HF_TOKEN": TOKEN}).plain


def test_pickles_are_refused_unless_allowed_and_then_kept_as_safetensors(kpl, published, models, tmp_path):
    import torch
    from safetensors.torch import load_file

    files = read_tree(models["vit"] / "weights")
    tensors = load_file(models["vit"] / "weights" / "open_clip_model.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in tensors.items()}}, tmp_path / "pickle")
    del files["open_clip_model.safetensors"]
    files["open_clip_pytorch_model.bin"] = (tmp_path / "pickle").read_bytes()
    published.repositories["lab/pickled"] = Repository(files)
    spec = "openclip:hf-hub:lab/pickled"
    error = kpl("encoders", "pull", spec).error
    assert "only as a pickle (open_clip_pytorch_model.bin)" in error
    assert "--allow-pickle" in error
    assert kept(tmp_path) == []
    assert "Kept as" in kpl("encoders", "pull", spec, "--allow-pickle").plain
    folder = tmp_path / "kpl" / "encoders" / "openclip--hf-hub--lab--pickled" / "weights"
    kept_tensors = load_file(folder / "open_clip_model.safetensors")
    assert all(torch.equal(kept_tensors[name], tensors[name]) for name in tensors)
    assert not (folder / "open_clip_pytorch_model.bin").exists()


class Harm:
    def __reduce__(self):
        return print, ("harm",)


def test_a_pickle_of_more_than_tensors_is_never_read(kpl, published, models, tmp_path):
    import torch

    files = read_tree(models["vit"] / "weights")
    del files["open_clip_model.safetensors"]
    torch.save({"weights": Harm()}, tmp_path / "pickle")
    files["open_clip_pytorch_model.bin"] = (tmp_path / "pickle").read_bytes()
    published.repositories["lab/pickled"] = Repository(files)
    told = kpl("encoders", "pull", "openclip:hf-hub:lab/pickled", "--allow-pickle")
    assert "holds more than tensors" in told.error
    assert "harm" not in told.out.replace("harmless", "")
    assert kept(tmp_path) == []


def test_openclips_own_tags(quick, published):
    published.repositories["timm/vit_base_patch32_clip_224.openai"] = Repository({"open_clip_config.json": b"{}"})
    error = quick("encoders", "pull", "openclip:ViT-B-32/opnai").error
    assert "OpenCLIP has no weights 'opnai' of ViT-B-32: it has openai, " in error


def test_a_folder_of_ones_own_is_kept_bundled_and_checked(kpl, published, models, tmp_path):
    shutil.copytree(models["clip"] / "weights", tmp_path / "my-model")
    assert "Kept as 'my-model'" in kpl("encoders", "pull", "./my-model").plain
    assert "MB in mine.kplenc" in kpl("encoders", "bundle", "my-model", "-o", "mine.kplenc").plain
    assert "equal to the model's own library" in kpl("encoders", "check", "./mine.kplenc").plain


def test_no_weights_for_that_loader(kpl, published):
    error = kpl("encoders", "pull", f"hf:{BIOMED}").error
    assert "no weights that the loader 'transformers' reads" in error
    assert "openclip:hf-hub:ORG/NAME" in error
