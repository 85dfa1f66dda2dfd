"""Maps by patches from end to end: a vision transformer that sees colours points at the right patch of a picture."""

from __future__ import annotations

import numpy as np
import pytest
from tests.encoders.tiny_models import clip, openclip_vit

from kpl.encoders import load_encoder
from kpl.report import patch_map

pytestmark = pytest.mark.torch

COLOURS = np.array([(220, 40, 40), (40, 220, 40), (40, 40, 220), (220, 220, 40), (40, 220, 220)], np.uint8)
SIDE = 4  # patches a side
SCENES = 40


def sees_colours(folder, kind):
    """A tower of a library whose weights are set so that the value of a patch is its mean colour."""
    import torch

    if kind == "openclip":
        tower = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
        encoder = load_encoder(str(openclip_vit(folder, vision_cfg=tower)), device="cpu")
        visual = encoder.model.visual
        blocks = visual.transformer.resblocks
        patches, start = visual.conv1, (visual.class_embedding, visual.positional_embedding)
        values, out = blocks[-1].attn.in_proj_weight[64:], blocks[-1].attn.out_proj
        silent = [blocks[0].attn.out_proj, *(block.mlp.c_proj for block in blocks)]
        projection, bias = visual.proj.T, [blocks[-1].attn.in_proj_bias, out.bias]
    else:
        encoder = load_encoder(str(clip(folder, patch_size=8)), device="cpu")
        visual = encoder.model.vision_model
        blocks, told = visual.encoder.layers, visual.embeddings
        patches, start = told.patch_embedding, (told.class_embedding, told.position_embedding.weight)
        values, out = blocks[-1].self_attn.v_proj.weight, blocks[-1].self_attn.out_proj
        silent = [blocks[0].self_attn.out_proj, *(block.mlp.fc2 for block in blocks)]
        projection, bias = encoder.model.visual_projection.weight, [blocks[-1].self_attn.v_proj.bias, out.bias]
    with torch.no_grad():
        for tensor in (*start, *bias, *(layer.bias for layer in silent), *(layer.weight for layer in silent)):
            tensor.zero_()
        patches.weight.zero_()
        for channel in range(3):
            patches.weight[channel, channel] = 1 / 64
        for square in (values, out.weight):
            square.copy_(torch.eye(32))
        projection.copy_(torch.eye(16, 32))
    return encoder


def solid(colour):
    return np.broadcast_to(colour, (32, 32, 3)).copy()


@pytest.mark.parametrize("kind", ["openclip", "clip"])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 150), (150, 64)])
def test_it_points_at_the_colour_it_is_asked_for_and_shuffled_directions_do_not(tmp_path, kind, height, width):
    encoder = sees_colours(tmp_path, kind)
    directions = encoder.encode_images([solid(colour) for colour in COLOURS]).astype(np.float64)
    shuffled = np.roll(directions, 1, axis=0)
    right, wrong = [], []
    for seed in range(SCENES):
        rng = np.random.default_rng(seed)
        target, place = seed % len(COLOURS), int(rng.integers(SIDE * SIDE))
        others = [c for c in range(len(COLOURS)) if c != target]
        kinds = rng.choice(others, size=SIDE * SIDE)
        kinds[place] = target
        square = COLOURS[kinds].reshape(SIDE, SIDE, 3).repeat(16, axis=0).repeat(16, axis=1)
        picture = np.zeros((height, width, 3), np.uint8)  # of which the encoder reads the middle
        top, left = (height - 64) // 2, (width - 64) // 2
        picture[top : top + 64, left : left + 64] = square
        row, column = divmod(place, SIDE)
        for hits, proxies in ((right, directions), (wrong, shuffled)):
            x, y = patch_map(picture, encoder, proxies, target).peak
            hits.append((int((y - top) // 16), int((x - left) // 16)) == (row, column))
    assert np.mean(right) == 1  # guessing finds one of sixteen
    assert np.mean(wrong) == 0
