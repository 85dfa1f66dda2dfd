"""The libraries that bring torch are silent too: small models of theirs, made here, at work where all is seen."""

from __future__ import annotations

import shutil

import pytest

from kpl.encoders.openvino import require_bfloat16
from kpl.errors import KplError

from .test_silence import in_a_namespace, observe  # noqa: F401 - a fixture for all tests here

pytestmark = [pytest.mark.torch, pytest.mark.strace]


def _has_bfloat16() -> bool:
    try:
        require_bfloat16("this test")
    except KplError:
        return False
    return True


def test_models_of_other_libraries_ask_nobody(cells, knowledge, tmp_path):
    from tests.encoders.tiny_models import clip, openclip_vit

    work = tmp_path / "work"
    shutil.copytree(cells, work / "scans")
    shutil.copy(knowledge, work / "small.json")
    for make in (clip, openclip_vit):
        make(work / make.__name__)
    models = ("clip", "openclip_vit")
    commands = [
        ["classify", "scans", "-k", "small.json", "--encoder", f"./{name}", "-o", f"run-{name}"] for name in models
    ]
    commands.append(["encoders", "export", "./clip", "-o", "exported"])
    if _has_bfloat16():
        commands.append(["encoders", "export", "./clip", "--bf16", "-o", "bf16"])
        commands.append(["classify", "scans", "-k", "small.json", "--encoder", "./bf16", "-o", "run-bf16"])
    seen = observe(tmp_path, {"groups": [commands], "linger": 12})
    assert [(group["codes"], group["told"]) for group in seen["outcomes"] if set(group["codes"]) != {0}] == []
    assert seen["seen"] == []
    assert sorted(path.name for path in (tmp_path / "user").rglob("*")) == []
