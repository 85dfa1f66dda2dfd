"""`kpl bench paper` in a real process."""

from __future__ import annotations

import json
import shutil


def test_the_papers_table(kpl, cells, tmp_path):
    for number, name in enumerate(("Parasitized", "Uninfected")):
        (tmp_path / "DATA/cell_images" / name).mkdir(parents=True)
        for source in sorted(cells.rglob("*.png"))[number::2]:
            shutil.copy(source, tmp_path / "DATA/cell_images" / name)
    told = kpl("bench", "paper", "--data", "DATA", "--encoder", "mini", "--methods", "cupl,kpl", "--json", "paper.json")
    assert "Malaria cells: 12 labelled pictures" in told.plain
    assert "released log, ViT-L/14, k = 25, its best" in told.plain
    assert "text 65.45, KPL 78.21" in told.plain
    assert "absent: no folder idrid" in told.plain
    figures = json.loads((tmp_path / "paper.json").read_text())
    assert len(figures) == 10
    assert set(figures["malaria"]["methods"]) == {"cupl", "kpl", "majority", "chance"}
    assert "no such folder" in kpl("bench", "paper", "--data", "none", "--encoder", "mini").error


def test_a_table_of_nothing_is_a_failure(kpl, tmp_path):
    (tmp_path / "DATA").mkdir()
    told = kpl("bench", "paper", "--data", "DATA", "--encoder", "mini", "--sets", "idrid")
    assert "no data set was scored" in told.error
    assert told.code == 1
