"""Features of the patches of a vision transformer, in the space of its image features.

A vision transformer gathers its patches into one vector by a last attention: that of the class token in the last block,
or that of a pooling head. The feature of a patch is what the image's feature would be had this attention looked at that
patch alone, and all else been as it is. With one key its softmax is 1, so of the attention only the values remain: the
path that localises where the tokens of the last layer do not (MaskCLIP, Zhou et al., ECCV 2022), here with the residual
of the class token in the place of the patch's own, because that is what the rest of the model was trained to read.
Where patches are averaged, the average is of one.

Everything is computed by the library's own modules: hooks on the last block hand its tail one patch at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Gathering:
    """Where a vision transformer gathers its patches into one vector.

    Attributes:
        block: its last block.
        attention: the attention in that block.
        grid: patches, (rows, columns).
        prefix: tokens before those of the patches.
        by: `class_token`, in the last block; or `pooling` of the tokens that this block gives, by a head or an average.
    """

    block: Any
    attention: Any
    grid: tuple[int, int]
    prefix: int
    by: Literal["class_token", "pooling"]


def openclip_gathering(visual: Any) -> Gathering | None:  # noqa: ANN401 - torch has no types here
    """Find where an image tower of OpenCLIP gathers its patches; None where it is no plain vision transformer."""
    kind = type(visual).__name__
    if kind == "TimmModel" and type(visual.trunk).__name__ == "VisionTransformer":
        trunk = visual.trunk
        by = {"token": "class_token", "avg": "pooling", "map": "pooling"}.get(str(trunk.global_pool))
        if by is None or trunk.pool_include_prefix or type(trunk.blocks[-1]).__name__ != "Block":
            return None
        block, prefix, grid = trunk.blocks[-1], trunk.num_prefix_tokens, trunk.patch_embed.grid_size
    elif kind == "VisionTransformer" and visual.attn_pool is None:
        by = {"tok": "class_token", "avg": "pooling"}.get(str(visual.pool_type))
        block, prefix, grid = visual.transformer.resblocks[-1], 1, visual.grid_size
        if by is None or type(block).__name__ != "ResidualAttentionBlock":
            return None
    else:
        return None
    return Gathering(block, block.attn, (grid[0], grid[1]), prefix, by)  # type: ignore[arg-type] # a literal, from a dict


def transformers_gathering(model: Any) -> Gathering | None:  # noqa: ANN401 - torch has no types here
    """Find where an image tower of transformers gathers its patches; None where it is not CLIP, SigLIP or ViT."""
    tower = getattr(model, "vision_model", None)
    config = getattr(tower, "config", None)
    kind = getattr(config, "model_type", "")
    if tower is None or config is None or kind not in ("clip_vision_model", "siglip_vision_model", "vit"):
        return None
    side = config.image_size // config.patch_size
    block = getattr(tower, "encoder", tower).layers[-1]
    if kind == "siglip_vision_model":
        return Gathering(block, block.self_attn, (side, side), 0, "pooling") if tower.use_head else None
    return Gathering(block, block.attention if kind == "vit" else block.self_attn, (side, side), 1, "class_token")


def patch_tower(image_rows: Callable[[Any], Any], gathering: Gathering) -> Callable[[Any], Any]:
    """Make the tower of patches out of the tower of images.

    Args:
        image_rows: from (n, 3, image_size, image_size) pixels to (n, d) features of any length.
        gathering: in that tower.

    Returns:
        From the same pixels to (n, rows, columns, d).
    """

    def patch_rows(pixels: Any) -> Any:  # noqa: ANN401 - torch
        hooks = _Hooks(gathering)
        taken = [gathering.block.register_forward_hook(hooks.after_block, with_kwargs=True)]
        if gathering.by == "class_token":
            taken.append(gathering.attention.register_forward_hook(hooks.after_attention, with_kwargs=True))
        try:
            found = image_rows(pixels)
        finally:
            for hook in taken:
                hook.remove()
        return found.reshape(len(pixels), *gathering.grid, -1)

    return patch_rows


class _Hooks:
    """One pass over a tower whose tail reads each patch as a picture of its own."""

    def __init__(self, gathering: Gathering) -> None:
        self.gathering = gathering
        self.read: Any = None  # what the last attention read, (n, tokens, width)
        self.answer: Any = None  # what it says when it looks at one patch, (n x patches, 1, width)
        self.thread = threading.get_ident()  # another thread may use the model meanwhile

    def after_attention(self, _attention: Any, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> Any:  # noqa: ANN401
        if threading.get_ident() != self.thread:
            return None
        if self.answer is None:
            self.read = _first(args, kwargs)
            return None
        return (self.answer, *output[1:]) if isinstance(output, tuple) else self.answer

    def after_block(self, block: Any, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> Any:  # noqa: ANN401
        if threading.get_ident() != self.thread:
            return None
        prefix, (rows, columns) = self.gathering.prefix, self.gathering.grid
        if self.gathering.by == "pooling":
            return _one_by_one(output, prefix, keep=prefix)
        patches = _one_by_one(self.read, prefix, keep=0)
        attention = self.gathering.attention
        many = type(attention).__name__ == "MultiheadAttention"
        said = attention.forward(patches, patches, patches, need_weights=False) if many else attention.forward(patches)
        self.answer = said[0] if isinstance(said, tuple) else said
        class_tokens = _first(args, kwargs)[:, :1].repeat_interleave(rows * columns, dim=0)
        return block.forward(class_tokens, *[None] * (len(args) - 1))  # masks, which no image tower has


def _first(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:  # noqa: ANN401
    return args[0] if args else kwargs["hidden_states"]


def _one_by_one(tokens: Any, prefix: int, *, keep: int) -> Any:  # noqa: ANN401
    """From (n, prefix + patches, width) to (n x patches, keep + 1, width): each patch behind the first tokens."""
    import torch

    patches = tokens[:, prefix:].reshape(-1, 1, tokens.shape[2])
    if keep == 0:
        return patches
    before = tokens[:, :keep].repeat_interleave(tokens.shape[1] - prefix, dim=0)
    return torch.cat([before, patches], dim=1)
