from __future__ import annotations

import hashlib
from pathlib import Path

from kpl.embeddings import sha256_of_file


def test_a_file_is_known_by_its_hash(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(b"a").hexdigest()
