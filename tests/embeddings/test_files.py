from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from kpl.embeddings import sha256_of_file, write_atomically
from kpl.errors import OutputError


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, b"old")
    assert sha256_of_file(path) == hashlib.sha256(b"old").hexdigest()

    def stopped(source: Path, target: Path) -> None:
        assert source.read_bytes() == b"new"
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.json": b"old"}
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_folder_that_is_gone_is_a_one_line_reason(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write a.json in '.*none': No such file"):
        write_atomically(tmp_path / "none" / "a.json", b"")
