"""A file that is too large for what it is costs one line, and no memory beyond the bound."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kpl.bounded import LARGEST, read_bounded
from kpl.embeddings import open_features
from kpl.embeddings.rows import map_array
from kpl.encoders.files import read_json
from kpl.encoders.golden import read_golden
from kpl.encoders.registry import load_encoder, parse_spec
from kpl.errors import KplError
from kpl.runs.calibrating import load_calibration
from kpl.runs.opening import open_run

TOLD = rf"more than {LARGEST >> 20} MiB"


def swollen(path: Path) -> Path:
    """The file, with nothing behind it that fills a disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.truncate(LARGEST + 1)
    return path


def test_what_fits_is_read_whole(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bounded(tmp_path / "a", 5) == b"12345"
    with pytest.raises(OSError, match="it has more than 0 MiB"):
        read_bounded(tmp_path / "a", 4)


def test_files_of_an_encoder(tmp_path):
    shutil.copytree(parse_spec("mini").folder, tmp_path / "mini")
    swollen(tmp_path / "mini" / "golden.json")
    with pytest.raises(KplError, match=TOLD):
        read_golden(tmp_path / "mini")
    with pytest.raises(KplError, match=TOLD):
        read_json(swollen(tmp_path / "config.json"))
    swollen(tmp_path / "mini" / "weights" / "tokenizer.json")
    with pytest.raises(KplError) as told:  # by its hash, before it is parsed
        load_encoder(str(tmp_path / "mini"))
    assert "\n" not in str(told.value)


def test_files_of_runs_and_features(tmp_path):
    swollen(tmp_path / "run" / "run.json")
    swollen(tmp_path / "features" / "index.json")
    for read, what in ((open_run, "run"), (open_features, "features"), (load_calibration, "features/index.json")):
        with pytest.raises(KplError) as told:
            read(tmp_path / what)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("<f4", "(-3, 4)"),
        ("<f4", "(3, -4)"),
        ("<f4", "(4611686018427387904, 4)"),
        ("<f4", "(3.0, 4)"),
        ("<f4", "(True, 12)"),
        ("<f4", "(3, 4, 1)" + " " * 99_000),
        ("bfloat16", "(3, 4)"),
        ("|V2", "(3, 4)"),
        ("<f16", "(3, 1)"),
        ("|O", "(3, 4)"),
        (",".join(["<f4"] * 5000), "(3, 4)"),
    ],
)
def test_arrays_whose_header_says_what_cannot_be(tmp_path, kind, shape):
    """Negative and endless shapes, bfloat16 as others write it, objects, endless headers: one line, nothing mapped."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode("latin-1")
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header + bytes(48))
    try:
        array = map_array(tmp_path / "a.npy")
    except KplError as error:
        assert "\n" not in str(error)  # noqa: PT017 - what is odd but readable is allowed
    else:
        assert array.nbytes <= 48
        assert array.dtype == "float32"
