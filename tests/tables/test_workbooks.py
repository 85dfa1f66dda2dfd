"""Workbooks that no person wrote: what they would take of memory is found out before it is taken."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from kpl.errors import TableError
from kpl.tables import open_table, workbooks

pytest.importorskip("python_calamine", reason="reading Excel needs the extra `excel`")

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
LINK = '<Relationships xmlns="{}/relationships"><Relationship Id="r1" Type="{}/{}" Target="{}"/></Relationships>'
PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
    "_rels/.rels": LINK.format(PACKAGE, RELATED, "officeDocument", "xl/workbook.xml"),
    "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATED}"><sheets><sheet name="a" sheetId="1" r:id="r1"/>'
    "</sheets></workbook>",
    "xl/_rels/workbook.xml.rels": LINK.format(PACKAGE, RELATED, "worksheet", "worksheets/sheet1.xml"),
}


def cell(text: str, place: str = "") -> str:
    return f"<c{place and f' r={chr(34)}{place}{chr(34)}'} t='inlineStr'><is><t>{text}</t></is></c>"


def workbook(path: Path, rows: str, *, merged: str = "", before: str = "") -> Path:
    """A workbook of one sheet, by hand."""
    merges = "".join(f'<mergeCell ref="{each}"/>' for each in merged.split())
    sheet = (
        f'{before}<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData><mergeCells>{merges}</mergeCells></worksheet>'
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as parts:
        for name, text in (PARTS | {"xl/worksheets/sheet1.xml": before + sheet}).items():
            parts.writestr(name, text)
    return path


TOP = f'<row r="1">{cell("image", "A1")}{cell("label", "B1")}</row>'


def test_such_a_workbook_is_read(tmp_path: Path) -> None:
    rows = TOP + f'<row r="2">{cell("a.png", "A2")}{cell("ig", "B2")}</row><row>{cell("b.png")}</row>'
    table = open_table(workbook(tmp_path / "a.xlsx", rows, merged="B2:B3 A90:A99 Z1:Z3"))
    assert [row.cells for row in table.rows()] == [["a.png", "ig"], ["b.png", "ig"]]
    assert table.notes == ("1 cell of 'a.xlsx' is merged with the one above it, and was read as that",)


@pytest.mark.parametrize(
    "rows",
    [
        f'<row r="1048576">{cell("x", "XFD1048576")}</row>',
        f'<row r="4000000000">{cell("x", "CV2")}</row>',
        f"<row>{cell('x', 'ZZZZZZ3')}</row>",
        f'<row r="999999">{"".join(cell("x") for _ in range(40))}</row>',
        f'<y:row xmlns:y="{MAIN}" r="1048576"><y:c r="XFD1048576"/></y:row>',
    ],
)
def test_cells_far_from_the_table_are_no_reason_for_a_rectangle(tmp_path: Path, rows: str) -> None:
    with pytest.raises(TableError, match=r"its cells reach to row \d+, column \d+: delete those far"):
        open_table(workbook(tmp_path / "a.xlsx", TOP + rows))


def test_what_unpacks_to_more_than_is_sensible_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "_UNPACKED", 1 << 21)
    path = workbook(tmp_path / "a.xlsx", TOP)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/sharedStrings.xml", f'<sst xmlns="{MAIN}">' + " " * (2 << 20))
    with pytest.raises(TableError, match="unpacks to more than"):
        open_table(path)


@pytest.mark.parametrize(
    ("how", "part"),
    [
        ({"rows": TOP + f"<row>{cell('y' * 200_000)}</row>"}, "row 2: a cell of more than 131072 characters"),
        ({"rows": TOP, "before": '<!DOCTYPE x [<!ENTITY y "yyyy">]>'}, "declares a document type"),
        ({"rows": TOP + "<row><c></row>"}, "a damaged sheet"),
        ({"rows": TOP + f"<row>{cell('a')}{cell('b')}</row>" * 2, "merged": "B2:B3 B2:B3"}, "is merged twice"),
    ],
)
def test_what_no_writer_writes_is_one_line(tmp_path: Path, how: dict[str, str], part: str) -> None:
    with pytest.raises(TableError, match=part) as caught:
        list(open_table(workbook(tmp_path / "a.xlsx", **how)).rows())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.xls", "a.xlsb", "a.ods"])
def test_workbooks_of_other_kinds_are_told_how_to_become_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"whatever")
    with pytest.raises(TableError, match=r"save it as \.xlsx or CSV"):
        open_table(tmp_path / name)
