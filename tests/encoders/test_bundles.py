"""Bundles that lie about themselves, a disk that is full, and a network that is forbidden."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import socket
import zipfile
from pathlib import Path

import pytest

from kpl.encoders.bundles import SUMS, check_sums, read_bundle
from kpl.encoders.hub import _explain
from kpl.encoders.offline import network_forbidden
from kpl.errors import EncoderError


def zipped(path: Path, files: dict[str, bytes], sums: str | None = None) -> Path:
    listed = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
        bundle.writestr(SUMS, listed if sums is None else sums)
    return path


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "C:outside", "a\\..\\outside"])
def test_nothing_is_written_outside(tmp_path, name):
    path = zipped(tmp_path / "x.kplenc", {"card.json": b"{}", name: b"x"})
    (tmp_path / "in").mkdir()
    with pytest.raises(EncoderError, match="not a bundle of KPL"):
        read_bundle(path, tmp_path / "in")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["in", "x.kplenc"]
    assert list((tmp_path / "in").iterdir()) == []


def test_files_that_the_list_does_not_name_are_refused(tmp_path):
    one = f"{hashlib.sha256(b'{}').hexdigest()}  card.json\n"
    path = zipped(tmp_path / "x.kplenc", {"card.json": b"{}", "more": b"x"}, one)
    with pytest.raises(EncoderError, match="other files than its list"):
        read_bundle(path, tmp_path / "in")


def test_a_list_without_a_card_is_none(tmp_path):
    (tmp_path / SUMS).write_text("0" * 64 + "  weights/x\n")
    with pytest.raises(EncoderError, match=r"names no card\.json"):
        check_sums(tmp_path)


def test_a_full_disk_names_the_mend():
    told = _explain(OSError(errno.ENOSPC, "No space left on device"), "a/b", None, ())
    assert told is not None
    assert "no space" in told
    assert "HF_HOME" in told


def ask_and_hide_it():
    """As a library does that falls back on its cache."""
    with contextlib.suppress(OSError):
        socket.create_connection(("example.invalid", 443))


def test_the_network_is_forbidden_even_to_those_who_hide_it():
    with pytest.raises(EncoderError, match=r"asked for the network \(example\.invalid\)"), network_forbidden():
        ask_and_hide_it()
    with (
        pytest.raises(EncoderError, match=r"127\.0\.0\.1 9"),
        contextlib.closing(socket.socket()) as plug,
        network_forbidden(),
    ):
        plug.connect(("127.0.0.1", 9))


def test_afterwards_the_network_is_as_before():
    before = socket.getaddrinfo, socket.socket.connect
    with network_forbidden():
        assert socket.getaddrinfo is not before[0]
    assert (socket.getaddrinfo, socket.socket.connect) == before
