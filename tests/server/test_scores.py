"""The result of a session against a table of labels, as `kpl evaluate` would score its run."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.server.conftest import CLASSES
from tests.tables.test_workbooks import cell as text_cell
from tests.tables.test_workbooks import workbook

TITLES = ("image", "patient_id", "label")
ROWS = [(f"cell-{number}", f"P{number // 2}", CLASSES[number % len(CLASSES)]) for number in range(12)]


def table(rows: list[tuple[str, ...]], titles: tuple[str, ...] = TITLES) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([titles, *rows])
    return text.getvalue().encode()


def scored(client: TestClient, address: str, data: bytes, name: str = "labels.csv", **how: Any) -> Any:
    return client.post(f"{address}/scores", files={"file": (name, data)}, params=how)


def test_a_table_scores_the_result_and_says_how_it_was_read(client: TestClient, classified: str) -> None:
    told = scored(client, classified, table(ROWS)).json()
    predictions = client.get(f"{classified}/predictions").json()
    right = [predictions["classes"][label] == ROWS[at][2] for at, label in enumerate(predictions["kpl"]["label"])]
    assert told["labelled"] == 12
    assert told["truth"] == [predictions["classes"].index(label) for _, _, label in ROWS]
    assert told["unit"] == "6 patients by 'patient_id', 12 images"
    assert told["methods"]["kpl"]["figures"]["accuracy"] == sum(right) / 12
    low, high = told["methods"]["kpl"]["intervals"]["accuracy"]
    assert 0 <= low <= high <= 1
    assert told["notices"][0] == "columns: image from 'image', label from 'label', group from 'patient_id'"
    assert any("without their suffix: 12" in notice for notice in told["notices"])
    odd = scored(client, classified, table(ROWS, ("a", "b", "c")), image_column="a", label_column="c", group_column="b")
    assert odd.json()["methods"] == told["methods"]


def test_what_cannot_be_read_is_refused_in_a_sentence_that_names_no_place_of_the_server(
    client: TestClient, classified: str, session: str
) -> None:
    unknown = scored(client, classified, table([(name, who, "neutrofil") for name, who, _ in ROWS]))
    assert (unknown.status_code, "did you mean 'neutrophil'?" in unknown.json()["detail"]) == (422, True)
    for name, data, part in (
        ("labels.xlsx", b"no workbook", "'labels.xlsx' is no Excel workbook"),
        ("../../labels.csv", b"a,b\n1,2\n", "'labels.csv' has no column of images"),
        ("labels.csv", table([("x", "P", "neutrophil")]), "none of the 1 labels is for one of the 12 images"),
    ):
        told = scored(client, classified, data, name)
        assert told.status_code == 422
        assert part in told.json()["detail"]
        assert "scores-" not in told.json()["detail"]
    assert scored(client, session, table(ROWS)).status_code == 404
    assert scored(client, classified, table(ROWS), numbers="any").status_code == 422


@pytest.mark.parametrize("name", ["of-run", "run", "\u9577" * 150 + ".csv", "..", "table"])
def test_whatever_a_table_is_called_it_is_read(client: TestClient, classified: str, name: str) -> None:
    assert scored(client, classified, table(ROWS), name).status_code == 200


def test_a_workbook_whose_cells_are_far_apart_takes_no_memory_of_the_server(
    client: TestClient, classified: str, tmp_path: Path
) -> None:
    far = workbook(tmp_path / "far.xlsx", f'<row r="1">{text_cell("image", "A1")}{text_cell("x", "XFD1048576")}</row>')
    told = scored(client, classified, far.read_bytes(), "far.xlsx")
    assert (told.status_code, "its cells reach to row 1048576" in told.json()["detail"]) == (422, True)


def test_no_label_reaches_what_is_learnt_or_stays(client: TestClient, classified: str) -> None:
    before = client.get(f"{classified}/predictions").json()
    scored(client, classified, table([(name, who, CLASSES[0]) for name, who, _ in ROWS]))
    assert client.get(f"{classified}/predictions").json() == before
    folder = client.app.state.service.sessions.get(classified.rpartition("/")[2]).folder  # type: ignore[attr-defined]
    assert not list(folder.glob("scores-*"))


def test_the_folders_of_the_pictures_are_labels_by_their_paths_alone(client: TestClient, classified: str) -> None:
    folders = "\n".join(f"train/{kind}/{name}.png" for name, _, kind in ROWS)
    told = client.post(f"{classified}/scores", files={"folder": ("folder", folders.encode())})
    assert told.status_code == 200, told.text
    assert told.json()["truth"] == scored(client, classified, table(ROWS)).json()["truth"]
    assert "the class is the folder just above each picture, since train are no classes" in told.json()["notices"]
    mixed = "\n".join(["a/b.png", "a/b.png/c.png"])
    for files, part in (
        ({"folder": ("folder", mixed.encode())}, "cannot be a file of a folder"),
        ({"folder": ("folder", b"../../cell-0.png\n/etc/cell-1.png")}, "not in the knowledge"),
        ({}, "give one table of labels"),
    ):
        answer = client.post(f"{classified}/scores", files=files)
        assert (answer.status_code, part in answer.json()["detail"]) == (422, True), answer.text
    many = "\n".join(f"neutrophil/{number}.png" for number in range(100_001))
    assert client.post(f"{classified}/scores", files={"folder": ("folder", many.encode())}).status_code == 413
