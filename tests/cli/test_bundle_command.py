"""An encoder in one artefact: made, carried, checked and used with the network forbidden, by the real command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from kpl.encoders import check_encoder, registry

MINI = Path(registry.__file__).parent / "mini"

NO_SOCKETS = """\
import socket, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind"):
        sys.stderr.write(f"the network was asked for: {event} {arguments}\\n")
        raise RuntimeError("no network here")
sys.addaudithook(refuse)
"""


@pytest.fixture
def apart(tmp_path, monkeypatch) -> Path:
    """A home of its own, and a Python that ends every attempt to reach the network with an error that is seen."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_SOCKETS)
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "kpl"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path


@pytest.fixture
def bundle(quick, apart) -> Path:
    assert "4 MB in cells.kplenc" in quick("encoders", "bundle", "mini", "--out", "cells.kplenc").plain
    return apart / "cells.kplenc"


def no_network(apart: Path) -> dict[str, str]:
    import os

    return {"PYTHONPATH": os.pathsep.join([str(apart / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])}


def test_the_guard_of_these_tests_works(apart):
    script = "import socket; socket.create_connection(('127.0.0.1', 9))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=no_network(apart), capture_output=True, text=True, check=False
    )
    assert "the network was asked for" in done.stderr


@pytest.mark.long
def test_a_bundle_works_elsewhere_without_network(kpl, bundle, apart, cells, knowledge):
    """Only the one file is carried: another folder, another home, an empty cache, no network."""
    there = apart / "elsewhere"
    there.mkdir()
    shutil.move(bundle, there / "carried.kplenc")
    env = no_network(apart) | {"KPL_HOME": str(there / "kpl"), "HF_HOME": str(there / "hf")}
    told = kpl("encoders", "check", "./carried.kplenc", cwd=there, env=env).plain
    assert "with the network forbidden" in told
    command = ("classify", cells, "-k", knowledge, "--out", "run")
    assert "12 pictures" in kpl(*command, "--encoder", "./carried.kplenc", cwd=there, env=env).out
    kpl("classify", cells, "-k", knowledge, "--out", "usual", "--encoder", "mini").plain  # noqa: B018 - must go well
    assert (there / "run" / "predictions.csv").read_bytes() == (apart / "usual" / "predictions.csv").read_bytes()
    assert not (there / "hf").exists()


def test_a_check_that_could_not_cut_off_the_network_says_so(quick, monkeypatch):
    checked = check_encoder("mini")
    monkeypatch.setattr("kpl.encoders.check_encoder", lambda *_, **__: replace(checked, cut_off=False))
    assert (
        "to Python's calls alone: this system allows no process without one" in quick("encoders", "check", "mini").out
    )


def test_what_is_wrong_is_said_by_the_check_as_by_any_command(quick, tmp_path):
    assert quick("encoders", "check", "no-such-encoder").error.startswith("unknown encoder 'no-such-encoder'")
    (tmp_path / "weights").mkdir()
    assert "is the folder of no encoder" in quick("encoders", "check", "./weights").error


def test_a_folder_does_as_well_and_sha256sum_reads_its_list(kpl, apart):
    assert "On the other machine" in kpl("encoders", "bundle", "mini", "-o", "folder").plain
    assert "Hashes: " in kpl("encoders", "check", "./folder", env=no_network(apart)).plain
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=apart / "folder", check=True)


def test_a_bundle_is_kept_under_its_name(kpl, bundle, apart):
    told = kpl("encoders", "pull", "./cells.kplenc", env=no_network(apart)).plain
    assert "Kept as 'mini'" in told
    assert (apart / "kpl" / "encoders" / "mini" / "card.json").is_file()


def test_what_is_kept_and_whole_is_not_kept_again(quick, bundle, apart):
    kept = apart / "kpl" / "encoders" / "mini"
    assert "Kept as 'mini'" in quick("encoders", "pull", "./cells.kplenc").plain
    first = kept.stat().st_ino
    assert "Kept as 'mini'" in quick("encoders", "pull", "./cells.kplenc").plain
    assert kept.stat().st_ino == first
    (kept / "weights" / "tokenizer.json").write_bytes(b"{}")
    assert "Kept as 'mini'" in quick("encoders", "pull", "./cells.kplenc").plain
    assert len((kept / "weights" / "tokenizer.json").read_bytes()) > 2


def test_the_same_encoder_gives_the_same_bytes(quick, bundle, apart):
    assert quick("encoders", "bundle", "mini", "--out", "again.kplenc").code == 0
    assert (apart / "again.kplenc").read_bytes() == bundle.read_bytes()
    with zipfile.ZipFile(bundle) as file:
        assert {entry.compress_type for entry in file.infolist()} == {zipfile.ZIP_STORED}


def test_what_is_there_is_not_replaced(quick, bundle, apart):
    (apart / "thesis").mkdir()
    assert "exists: give another --out; it is no bundle" in quick("encoders", "bundle", "mini", "-o", "thesis").error
    same = quick("encoders", "bundle", "mini", "-o", "cells.kplenc")
    assert (same.code, same.out) == (0, "'cells.kplenc' is there already, made from the same: nothing to do\n")
    (apart / "cells.kplenc").write_bytes(b"another")
    error = quick("encoders", "bundle", "mini", "-o", "cells.kplenc").error
    assert error == "'cells.kplenc' exists: give another --out; replace that bundle with --overwrite"
    assert quick("encoders", "bundle", "mini", "-o", "cells.kplenc", "--overwrite").code == 0
    assert "kpl encoders pull biomedclip" in quick("encoders", "bundle", "biomedclip", "-o", "b.kplenc").error


def damage(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_damaged_bundles_are_refused(quick, bundle, apart):
    damage(bundle, 2_000_000)
    error = quick("encoders", "check", "./cells.kplenc").error
    assert "cells.kplenc" in error
    assert "copy" in error
    bundle.write_bytes(bundle.read_bytes()[:-100])
    assert "no bundle, or a damaged one" in quick("encoders", "check", "./cells.kplenc").error
    assert not [path for path in (apart / "kpl").rglob("*") if path.is_file()]


def test_a_damaged_folder_is_refused(quick, apart):
    assert quick("encoders", "bundle", "mini", "-o", "folder").code == 0
    image = next((apart / "folder").rglob("image.onnx"))
    damage(image, 1000)
    assert "image.onnx has hash" in quick("encoders", "check", "./folder").error
    image.unlink()
    assert "is missing from the bundle" in quick("encoders", "check", "./folder").error


def test_a_truncated_model_whose_hash_is_right_is_refused(quick, apart):
    """A file that was cut before the card was written: only the runtime can tell."""
    import hashlib

    shutil.copytree(MINI, apart / "mine")
    image = next((apart / "mine").rglob("image.onnx"))
    image.write_bytes(image.read_bytes()[:100_000])
    card = json.loads((apart / "mine" / "card.json").read_text())
    card["files"][image.relative_to(apart / "mine").as_posix()] = hashlib.sha256(image.read_bytes()).hexdigest()
    (apart / "mine" / "card.json").write_text(json.dumps(card))
    assert "cannot be loaded" in quick("encoders", "check", "./mine").error


def test_other_folders_and_files_are_refused(quick, apart, cells):
    (apart / "notes.kplenc").write_text("my notes")
    assert "no bundle" in quick("encoders", "check", "./notes.kplenc").error
    assert "card.json" in quick("encoders", "check", cells).error
    assert "no folder and no file" in quick("encoders", "check", "./nowhere.kplenc").error


def test_a_description_beyond_the_context_is_named_with_its_tokens(quick, bundle, apart, cells, knowledge):
    base = json.loads(knowledge.read_text())
    base["classes"][2]["descriptions"] = ["a body " * 100]
    (apart / "long.json").write_text(json.dumps(base))
    told = quick("classify", cells, "-k", "long.json", "--encoder", "./cells.kplenc", "-o", "run")
    assert told.code == 1
    error = told.err.splitlines()[-1]  # after the terms of an encoder that is loaded for the first time
    for word in ("platelet", "200", "64", "tokens"):
        assert word in error


def test_a_card_cannot_choose_where_it_is_kept(quick, apart):
    shutil.copytree(MINI, apart / "mine")
    card = json.loads((apart / "mine" / "card.json").read_text())
    (apart / "mine" / "card.json").write_text(json.dumps(card | {"name": "../../elsewhere"}))
    assert "no name for an encoder's folder" in quick("encoders", "pull", "./mine").error
    assert not (apart / "elsewhere").exists()
