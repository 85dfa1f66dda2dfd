"""What OpenCLIP knows by name: its architectures, and the weights that others published of them."""

from __future__ import annotations

import difflib
from types import ModuleType
from typing import Any

from kpl.errors import EncoderError, from_extra


def openclip_library() -> ModuleType:
    """The package open_clip.

    Raises:
        MissingExtraError: it is not installed.
    """
    with from_extra("openclip", "loading an OpenCLIP model"):
        import open_clip
    module: ModuleType = open_clip
    return module


def built_in(architecture: str, tag: str) -> tuple[str, dict[str, Any]]:
    """Find weights that OpenCLIP knows by architecture and tag.

    Returns:
        The hub id of the weights, and the content of their `open_clip_config.json`, where QuickGELU is as the weights
        were trained.

    Raises:
        EncoderError: OpenCLIP knows no such architecture or tag, or the weights are on no hub.
        MissingExtraError: OpenCLIP is not installed.
    """
    known_by = openclip_library()
    config = architecture_config(architecture)["model_cfg"]
    tags = known_by.list_pretrained_tags_by_model(architecture)
    if tag not in tags:
        raise EncoderError(f"OpenCLIP has no weights {tag!r} of {architecture}: it has {', '.join(tags) or 'none'}")
    known = known_by.get_pretrained_cfg(architecture, tag)
    hub_id = "/".join(str(known.get("hf_hub", "")).split("/")[:2])
    if "/" not in hub_id:
        raise EncoderError(f"the weights {tag!r} of {architecture} are on no hub: get their folder, and give its path")
    keys = ("mean", "std", "interpolation", "resize_mode")
    preprocess = {key: known[key] for key in keys if key in known}
    return hub_id, {"model_cfg": config | {"quick_gelu": known.get("quick_gelu", False)}, "preprocess_cfg": preprocess}


def architecture_config(architecture: str) -> dict[str, Any]:
    """The content of `open_clip_config.json` of an architecture, for weights that come without one.

    Raises:
        EncoderError: OpenCLIP knows no such architecture; says which are named alike.
        MissingExtraError: OpenCLIP is not installed.
    """
    known_by = openclip_library()
    config = known_by.get_model_config(architecture)
    if config is None:
        near = difflib.get_close_matches(architecture, known_by.list_models(), n=3)
        raise EncoderError(
            f"OpenCLIP knows no architecture {architecture!r}{': ' + ', '.join(near) + '?' if near else ''}; "
            "python -c 'import open_clip; print(open_clip.list_models())' lists them"
        )
    return {"model_cfg": config, "preprocess_cfg": {}}
