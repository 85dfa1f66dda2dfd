"""The folder of results that a server keeps: nothing of a killed one stays on its way for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from kpl.files import locked
from kpl.server.running import sweep


def test_what_a_killed_server_left_is_swept_away_and_nothing_else(tmp_path):
    dead, alive, mine = "a" * 32, "b" * 32, "cells"
    for name in (dead, alive, mine):
        (tmp_path / f".{name}.partial").mkdir()
        (tmp_path / f".{name}.partial" / "features").write_text("half")
        (tmp_path / name).write_text("whole")
    (tmp_path / f".{dead}.lock").write_text("of one who is dead")
    with ThreadPoolExecutor(1) as other, locked(tmp_path / alive):
        other.submit(sweep, tmp_path).result()
        assert sorted(p.name for p in tmp_path.glob(".*.partial")) == [f".{alive}.partial", f".{mine}.partial"]
        assert not (tmp_path / f".{dead}.lock").exists()
    assert all((tmp_path / name).read_text() == "whole" for name in (dead, alive, mine))
