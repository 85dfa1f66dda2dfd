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


def checkpoint(models, tmp_path):
    """A file as a trainer leaves it, and an environment where OpenCLIP knows an architecture of that shape."""
    import torch
    from safetensors.torch import load_file

    stated = json.loads((models["vit"] / "weights" / "open_clip_config.json").read_text())["model_cfg"]
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "Tiny-B-16.json").write_text(json.dumps(stated))
    start = f"import open_clip\nopen_clip.add_model_config({str(tmp_path / 'known' / 'Tiny-B-16.json')!r})\n"
    (tmp_path / "known" / "sitecustomize.py").write_text(start)
    tensors = load_file(models["vit"] / "weights" / "open_clip_model.safetensors")
    state = {f"module.{name}": rows for name, rows in tensors.items()}
    torch.save({"epoch": 50, "state_dict": state, "optimizer": {}}, tmp_path / "pickle")
    return (tmp_path / "pickle").read_bytes(), {"PYTHONPATH": str(tmp_path / "known")}


def test_one_file_of_weights_by_its_architecture(kpl, published, models, tmp_path):
    import numpy as np

    from kpl.encoders import load_encoder

    content, env = checkpoint(models, tmp_path)
    files = {"run/epoch_50.pt": content, "config.json": b"{}", "LICENSE": b"MIT"}
    published.repositories["lab/one"] = Repository(files)
    command = ("encoders", "pull", "hf:lab/one", "--file", "run/epoch_50.pt", "--architecture")
    assert "--allow-pickle reads it once" in kpl(*command, "Tiny-B-16", env=env).error
    assert "no architecture 'Tiny-B-17': Tiny-B-16" in kpl(*command, "Tiny-B-17", "--allow-pickle", env=env).error
    assert kept(tmp_path) == []
    assert "Kept as 'hf--lab--one--epoch_50'" in kpl(*command, "Tiny-B-16", "--allow-pickle", env=env).plain
    folder = tmp_path / "kpl" / "encoders" / "hf--lab--one--epoch_50"
    assert not list(folder.rglob("*.pt"))
    made, own = load_encoder("hf--lab--one--epoch_50"), load_encoder(str(models["vit"]))
    np.testing.assert_array_equal(made.encode_texts(["a pale cell"]), own.encode_texts(["a pale cell"]))
    assert "GELU, is what the name Tiny-B-16 means" in " ".join(made.card.traps)
    assert "equal to the model's own library" in kpl("encoders", "check", "hf--lab--one--epoch_50").plain


def test_one_file_needs_both_its_names(kpl, quick, published):
    published.repositories["lab/one"] = Repository({"epoch_50.pt": b"x", "notes.txt": b"x"})
    assert "needs both --file and --architecture" in quick("encoders", "pull", "hf:lab/one", "--file", "x.pt").error
    command = ("encoders", "pull", "hf:lab/one", "--architecture", "ViT-B-16", "--allow-pickle", "--file")
    assert "has no file 'epoch_5.pt'; its weights: epoch_50.pt" in kpl(*command, "epoch_5.pt").error
    assert "'notes.txt' is no file of weights" in kpl(*command, "notes.txt").error
    assert "--file epoch_50.pt --architecture NAME" in kpl("encoders", "pull", "hf:lab/one").error


def test_a_text_tower_elsewhere_on_this_machine_travels_with_the_bundle(kpl, models, tmp_path):
    shutil.copytree(models["biomed"], tmp_path / "my-biomed")
    shutil.move(tmp_path / "my-biomed" / "text", tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "pytorch_model.bin").write_bytes(b"not wanted")
    path = tmp_path / "my-biomed" / "weights" / "open_clip_config.json"
    path.write_text(path.read_text().replace("someone/tiny-bert", str(tmp_path / "elsewhere")))
    assert "Kept as 'my-biomed'" in kpl("encoders", "pull", "./my-biomed").plain
    kpl("encoders", "bundle", "my-biomed", "-o", "mine.kplenc").plain  # noqa: B018 - that it succeeds
    shutil.rmtree(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "my-biomed")
    assert "equal to the model's own library" in kpl("encoders", "check", "./mine.kplenc").plain
