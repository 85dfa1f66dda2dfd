"""Maps in the report: of the least sure pictures, in their evidence, the same every time, their cost told before."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from tests.encoders.tiny_models import openclip_vit
from tests.report.test_report import Page

from kpl.errors import EncoderError, InputError
from kpl.report import (
    explain_picture,
    map_picture,
    map_rows,
    occlusion_views,
    window_views,
    write_report,
)
from kpl.runs import classify, open_run

LINE = re.compile(r'<figure class="where"><img src="data:image/webp;base64,([^"]+)" alt="Map of ([^"]*)">')


@pytest.fixture(scope="module")
def mapped(run, pictures, tmp_path_factory):
    """A report with three maps, and what was told on the way."""
    copy = tmp_path_factory.mktemp("mapped") / "run"
    shutil.copytree(run, copy)
    told: list[tuple[int, float]] = []
    done: list[tuple[str, int, int]] = []
    report = write_report(
        copy, pictures=pictures, maps=3, announce=lambda *cost: told.append(cost), progress=lambda *at: done.append(at)
    )
    return report, told, done


def test_the_least_sure_are_mapped_in_their_evidence(run, mapped):
    seen, text = open_run(run), mapped[0].read_text()
    least = [seen.ids[row] for row in np.argsort(seen.predictions.confidence, kind="stable")[:3]]
    shown = LINE.findall(text)
    assert len(dict(shown)) == 3
    assert {name for name in least if "<" not in name} <= {name for _, name in shown}
    assert "by what hiding each part takes away" in text
    assert "not what KPL learnt" in text
    Page(text)  # every tag closes
    for data, _ in shown:
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert picture.format == "WEBP"
            assert max(picture.size) <= 224


def test_their_cost_is_told_before_and_each_is_counted(mapped):
    _, told, done = mapped
    assert [views for views, _ in told] == [3 * occlusion_views(8)]
    assert told[0][1] > 0
    assert done == [("maps", 1, 3), ("maps", 2, 3), ("maps", 3, 3)]


def test_a_report_with_maps_is_the_same_every_time(mapped, pictures):
    before = mapped[0].read_bytes()
    assert write_report(mapped[0].parent, pictures=pictures, maps=3).read_bytes() == before
    assert write_report(mapped[0].parent).read_bytes() != before


def test_windows_in_the_report(run, pictures):
    seen, told = open_run(run), []
    made = map_rows(seen, range(seen.n), pictures, 2, window=72, announce=lambda *cost: told.append(cost))
    assert [one.how for one in made.values()] == ["windows", "windows"]
    assert told[0][0] == 2 * window_views((144, 144, 3), 72)


def test_pictures_that_are_gone_or_changed_are_passed_over(run, pictures, tmp_path):
    seen = open_run(run)
    order = np.argsort(seen.predictions.confidence, kind="stable").tolist()
    for row in order:
        shutil.copy(pictures / seen.ids[row], tmp_path / seen.ids[row])
    (tmp_path / seen.ids[order[0]]).unlink()
    Image.new("RGB", (144, 144)).save(tmp_path / seen.ids[order[1]])
    assert list(map_rows(seen, order, tmp_path, 1, window=144)) == [order[2]]


def test_what_cannot_be_mapped_is_refused(run, pictures, tmp_path):
    seen = open_run(run)
    Image.new("RGB", (9, 9)).save(tmp_path / "other.png")
    with pytest.raises(InputError, match="need the pictures themselves"):
        write_report(run, maps=2)
    with pytest.raises(InputError, match="say how many maps"):
        write_report(run, window=72)
    with pytest.raises(InputError, match="must be at least 1, got -1"):
        write_report(run, pictures=pictures, maps=-1)
    with pytest.raises(InputError, match="none of the pictures"):
        map_rows(seen, range(seen.n), tmp_path, 1)
    with pytest.raises(InputError, match="does not fit"):
        map_rows(seen, range(seen.n), pictures, 1, window=500)
    with pytest.raises(EncoderError, match="the run used mini"):
        map_rows(seen, range(seen.n), pictures, 1, encoder=_Other())


class _Other:
    from kpl.encoders import load_encoder

    card = load_encoder("mini").card.model_copy(update={"name": "other"})


@pytest.mark.torch
def test_a_vision_transformer_maps_by_its_patches(pictures, tmp_path):
    encoder = str(openclip_vit(tmp_path / "tiny"))
    base = {"kpl_knowledge": 1, "task": {"name": "cells", "template": "{description}"}}
    base["classes"] = [{"key": key, "descriptions": [f"a {key} cell"]} for key in ("round", "pale", "dark")]
    (tmp_path / "cells.json").write_text(json.dumps(base), encoding="utf-8")
    classify(pictures, knowledge=tmp_path / "cells.json", encoder=encoder, out=tmp_path / "run")
    seen, told = open_run(tmp_path / "run"), []
    found = explain_picture(seen, "cell-01.png", top=0)
    drawn, where = map_picture(seen, found, pictures / "cell-01.png", encoder=encoder)
    assert (where.how, where.views, where.values.shape, drawn.size) == ("patches", 1, (2, 2), (144, 144))
    report = write_report(
        tmp_path / "run", pictures=pictures, maps=2, encoder=encoder, announce=lambda *cost: told.append(cost)
    )
    text = report.read_text()
    assert len(dict(LINE.findall(text))) == 2
    assert "features of its patches" in text
    assert told[0][0] == 2
    assert write_report(tmp_path / "run", pictures=pictures, maps=2, encoder=encoder).read_text() == text
