"""The features of patches: each is the image's feature when the last attention sees that patch alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.encoders.tiny_models import MODELS, clip, openclip_timm, openclip_vit

from kpl.encoders import PatchEncoder, load_card, load_encoder
from kpl.encoders.preprocess import prepare, read_box, resize
from kpl.encoders.torch_encoder import TorchPatchEncoder
from kpl.encoders.torch_patches import openclip_gathering

TORCH = pytest.mark.torch

TOWER = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
VARIANTS: dict[str, tuple[Callable[[Path], Path], tuple[int, int]]] = {
    **{name: (make, (2, 2)) for name, make in MODELS.items() if name != "openclip-resnet"},
    "openclip-patch-8": (lambda folder: openclip_vit(folder, vision_cfg=TOWER), (4, 4)),
    "openclip-scaled": (lambda folder: openclip_vit(folder, vision_cfg=TOWER | {"ls_init_value": 0.3}), (4, 4)),
    "openclip-norm-last": (
        lambda folder: openclip_vit(folder, vision_cfg=TOWER | {"final_ln_after_pool": True}),
        (4, 4),
    ),
    "openclip-average": (lambda folder: openclip_vit(folder, vision_cfg=TOWER | {"pool_type": "avg"}), (4, 4)),
    "timm-class-token": (openclip_timm, (10, 10)),
    "timm-head": (lambda folder: openclip_timm(folder, "test_vit3"), (10, 10)),
    "clip-patch-8": (lambda folder: clip(folder, patch_size=8), (4, 4)),
}


@pytest.fixture(scope="module", params=sorted(VARIANTS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    make, _ = VARIANTS[request.param]
    folder = make(tmp_path_factory.mktemp("models") / request.param)
    encoder: Any = load_encoder(str(folder), device="cpu")
    if request.param == "timm-head":  # the smallest of timm's with a pooling head lets it see a register token too
        visual = encoder.model.visual
        assert openclip_gathering(visual) is None
        visual.trunk.pool_include_prefix = False
        gathering = openclip_gathering(visual)
        assert gathering is not None
        towers = (encoder.image_rows, encoder.text_rows)
        encoder = TorchPatchEncoder(encoder.card, encoder.runtime, encoder.model, towers, encoder.tokenizer, gathering)
    return request.param, encoder


def pictures(count: int = 3) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40 + 9 * k, 57, 3), dtype=np.uint8) for k in range(count)]


@TORCH
def test_a_grid_of_unit_rows_in_the_space_of_the_images(made: tuple[str, Any]) -> None:
    name, encoder = made
    assert isinstance(encoder, PatchEncoder)
    found = encoder.encode_patches(pictures())
    assert found.shape == (3, *VARIANTS[name][1], encoder.card.dim)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-5)
    assert encoder.encode_patches([]).shape == (0, *VARIANTS[name][1], encoder.card.dim)


@TORCH
def test_patches_do_not_depend_on_the_batch_and_leave_nothing_behind(made: tuple[str, Any]) -> None:
    _, encoder = made
    before = encoder.encode_images(pictures(1))
    together = encoder.encode_patches(pictures())
    np.testing.assert_allclose(encoder.encode_patches(pictures()[2:]), together[2:], atol=1e-5)
    np.testing.assert_array_equal(encoder.encode_images(pictures(1)), before)


def looking_at(name: str, encoder: Any, patch: int) -> Any:
    """Have the library itself mask its last gathering of patches to one of them; returns the hook to take away."""
    import torch

    gathering = encoder.gathering
    count = gathering.grid[0] * gathering.grid[1]
    if name == "siglip":
        head = encoder.model.vision_model.head
        return head.register_forward_pre_hook(lambda _, args: (args[0][:, patch : patch + 1],))
    if name == "timm-head":
        mask = torch.full((1, count), -torch.inf)
        mask[:, patch] = 0
        pool = encoder.model.visual.trunk.attn_pool
        return pool.register_forward_pre_hook(lambda _, args, kw: (args, kw | {"attn_mask": mask}), with_kwargs=True)
    mask = torch.full((count + 1, count + 1), -torch.inf)
    mask[:, patch + 1] = 0
    key = "attention_mask" if name.startswith(("clip", "dual")) else "attn_mask"
    given = mask[None, None] if key == "attention_mask" else mask
    block = gathering.block
    if key == "attention_mask":
        return block.register_forward_pre_hook(lambda _, args, kw: ((args[0], given), kw), with_kwargs=True)
    return block.register_forward_pre_hook(lambda _, args, kw: (args, kw | {key: given}), with_kwargs=True)


@TORCH
def test_a_patch_is_the_image_when_the_model_looks_at_it_alone(made: tuple[str, Any]) -> None:
    name, encoder = made
    found = encoder.encode_patches(pictures())
    columns = found.shape[2]
    if name == "openclip-average":  # an average of one patch, by the library's own modules
        import torch

        visual = encoder.model.visual
        with torch.inference_mode():
            tokens = visual.transformer(visual._embeds(torch.from_numpy(prepare(pictures(), encoder.card))))
            expected = (visual.ln_post(tokens)[:, 1:] @ visual.proj).numpy()
        expected = expected / np.linalg.norm(expected, axis=-1, keepdims=True)
        np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-5)
        return
    for patch in (0, 1, columns, columns * found.shape[1] - 1):
        hook = looking_at(name, encoder, patch)
        try:
            expected = encoder.encode_images(pictures())
        finally:
            hook.remove()
        np.testing.assert_allclose(found[:, patch // columns, patch % columns], expected, atol=1e-5)
    assert not np.allclose(found[:, 0, 0], found[:, -1, -1], atol=1e-3)  # the tiny model does see differences


@TORCH
def test_other_threads_go_on_undisturbed(tmp_path: Path) -> None:
    import torch

    encoder: Any = load_encoder(str(openclip_vit(tmp_path)), device="cpu")
    tower = encoder.image_rows
    pixels = torch.from_numpy(prepare(pictures(), encoder.card))
    with torch.inference_mode():
        expected = tower(pixels)
    found = []

    def meanwhile() -> None:
        with torch.inference_mode():
            found.append(tower(pixels))

    def interrupted(own: Any) -> Any:
        other = threading.Thread(target=meanwhile)
        other.start()
        other.join()
        return tower(own)

    encoder.image_rows = interrupted
    assert encoder.encode_patches(pictures()).shape == (3, 2, 2, 16)
    torch.testing.assert_close(found[0], expected)


@TORCH
@pytest.mark.parametrize(
    "make",
    [
        MODELS["openclip-resnet"],
        lambda folder: openclip_vit(folder, vision_cfg=TOWER | {"attentional_pool": True}),
        lambda folder: openclip_timm(folder, "test_resnet"),
    ],
)
def test_other_towers_have_none(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    assert not isinstance(load_encoder(str(make(tmp_path / "model")), device="cpu"), PatchEncoder)


def test_mini_has_none() -> None:
    assert not isinstance(load_encoder("mini"), PatchEncoder)


@pytest.mark.parametrize("size", [(200, 200), (300, 200), (200, 300), (211, 97), (97, 211)])
@pytest.mark.parametrize(
    "how",
    [
        {"resize": "squash", "crop": "none"},
        {"resize": "shortest", "crop": "center"},
        {"resize": "shortest", "crop": "center_round", "resize_to": 80},
        {"resize": "longest", "crop": "center_round"},
    ],
)
def test_the_box_is_where_the_encoder_reads(size: tuple[int, int], how: dict[str, Any]) -> None:
    """A spot of light in the picture lands where the box says."""
    card = load_card("mini").model_copy(update={"image_size": 64, "interpolation": "bilinear"} | how)
    width, height = size
    left, top, right, bottom = read_box(size, card)
    x, y = width * 0.4, height * 0.55
    picture = np.zeros((height, width, 3), np.uint8)
    picture[round(y) - 4 : round(y) + 4, round(x) - 4 : round(x) + 4] = 255
    read = resize(picture, card)[..., 0].astype(float)
    assert read.shape == (64, 64)
    across, down = read.sum(axis=0), read.sum(axis=1)
    found_x, found_y = ((row @ (np.arange(64) + 0.5)) / row.sum() for row in (across, down))
    assert left + found_x / 64 * (right - left) == pytest.approx(round(x), abs=1.5)
    assert top + found_y / 64 * (bottom - top) == pytest.approx(round(y), abs=1.5)
    assert (min(left, top) < 0) == (how["resize"] == "longest" and width != height)
