from __future__ import annotations

import json
import struct
import sys

import numpy as np
import pytest

from kpl.errors import MissingExtraError, TableError
from kpl.tables import open_table

WANTED = [["Zelle_ä00.png", "basophil"], ["b.png", "monocyte"]]


def compound(*streams):
    """The smallest compound file with these streams, as Excel keeps a workbook with a password in."""
    free, end, table = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<5H", 62, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<9I", 0, 1, 1, 0, 4096, end, 0, end, 0) + struct.pack("<109I", 0, *[free] * 108)

    def entry(name, kind, child):
        text = name.encode("utf-16-le") + b"\0\0"
        numbers = struct.pack("<HBBIII", len(text), kind, 1, free, free, child)
        return text.ljust(64, b"\0") + numbers + bytes(36) + struct.pack("<IQ", end, 0)

    entries = [entry("Root Entry", 5, 1), *[entry(name, 2, free) for name in streams]]
    return head + struct.pack("<128I", table, end, *[free] * 126) + b"".join(entries).ljust(512, b"\0")


def cells(path, **options):
    return [row.cells for row in open_table(path, **options).rows()]


def kept(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


DIALECTS = {
    "plain.csv": "image,label\nZelle_ä00.png,basophil\nb.png,monocyte\n",
    "mark.csv": "\ufeffimage,label\r\nZelle_ä00.png,basophil\r\nb.png,monocyte\r\n",
    "utf16.txt": "image\tlabel\r\nZelle_ä00.png\tbasophil\r\nb.png\tmonocyte\r\n".encode("utf-16"),
    "utf16-no-mark.txt": "image\tlabel\nZelle_ä00.png\tbasophil\nb.png\tmonocyte\n".encode("utf-16-le"),
    "western.csv": "image;label\r\nZelle_ä00.png;basophil\r\nb.png;monocyte\r\n".encode("cp1252"),
    "old-mac.csv": "image,label\rZelle_ä00.png,basophil\rb.png,monocyte\r",
    "sep.csv": "sep=;\r\nimage;label\r\nZelle_ä00.png;basophil\r\nb.png;monocyte\r\n",
    "bar.csv": "image|label\nZelle_ä00.png|basophil\nb.png|monocyte\n",
    "remarks.csv": "# exported, by hand; on Monday\n#\nimage,label\nZelle_ä00.png,basophil\n\nb.png,monocyte\n",
    "trailing.csv": "image,label\nZelle_ä00.png,basophil,\nb.png,monocyte,,\n",
    "titles.csv": " image , label\nZelle_ä00.png,basophil\nb.png,monocyte\n",
    "lines.jsonl": '{"image": "Zelle_ä00.png", "label": "basophil"}\n\n{"label": "monocyte", "image": "b.png"}\n',
    "map.json": json.dumps(dict(WANTED)),
    "list.json": json.dumps([{"image": image, "label": label} for image, label in WANTED]),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_one_table_in_every_dialect(tmp_path, name):
    path = kept(tmp_path / name, DIALECTS[name])
    assert open_table(path).titles == ("image", "label")
    assert cells(path) == WANTED


def test_windows_1252_and_a_map_are_said(tmp_path):
    assert "Windows-1252" in open_table(kept(tmp_path / "w.csv", DIALECTS["western.csv"])).notes[0]
    assert "its keys name images" in open_table(kept(tmp_path / "m.json", DIALECTS["map.json"])).notes[0]
    assert open_table(kept(tmp_path / "p.csv", DIALECTS["plain.csv"])).notes == ()


def test_without_a_header_columns_have_numbers(tmp_path):
    path = kept(tmp_path / "bare.csv", "Zelle_ä00.png,basophil\nb.png,monocyte\n")
    assert open_table(path, header=False).titles == ("1", "2")
    assert cells(path, header=False) == WANTED


def test_a_header_that_begins_with_a_hash_is_one(tmp_path):
    path = kept(tmp_path / "h.csv", "#image,label\na,b\n")
    assert open_table(path).titles == ("#image", "label")


def test_groups_hold_no_more_rows_than_asked_and_lines_are_numbered(tmp_path):
    path = kept(tmp_path / "l.csv", "# remark\nimage\n" + "".join(f"{at}.png\n" for at in range(5)))
    groups = list(open_table(path).groups(2))
    assert [len(group) for group in groups] == [2, 2, 1]
    assert [row.line for group in groups for row in group] == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("name", "data", "part"),
    [
        ("a.csv", "image,label\n1.png,ig,more\n", "line 2: 3 cells where the header has 2"),
        ("a.csv", '# remark\nimage,label\n"1.png,ig\n', "line 3: unexpected end of data"),
        ("a.csv", b"image,label\n\x81\x8d,ig\n", "not a text in UTF-8, UTF-16 or Windows-1252"),
        ("a.jsonl", '{"image": 1}\n[2]\n', "line 2: .* is no JSON object"),
        ("a.jsonl", '{"image": 1}\n{\n', "line 2: not valid JSON"),
        ("a.json", "{", "not valid JSON"),
        ("a.json", "3", "holds no table"),
        ("a.xlsx", "image,label\n", "no Excel workbook"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0" + bytes(500), "has a password, or is no workbook"),
        ("a.xlsx", compound("EncryptedPackage"), "has a password: save it without one"),
        ("~$a.xlsx", b"", "the lock that is kept beside an open file"),
        (".~lock.a.xlsx#", b"", "the lock that is kept beside an open file"),
        ("a.parquet", "image,label\n", "no Parquet file"),
    ],
)
def test_bad_tables_are_refused_in_one_line(tmp_path, name, data, part):
    with pytest.raises(TableError, match=part) as caught:
        cells(kept(tmp_path / name, data))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TableError, match=r"cannot read 'no.csv'"):
        open_table(tmp_path / "no.csv")


def workbook(path, **sheets):
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_a_workbook_gives_its_only_sheet_or_the_one_named(tmp_path):
    rows = [["image", "label", "age"], ["a.png", "ig", 50.0], ["b.png", None, None], [None], ["c.png", "ig", 0.5]]
    one = workbook(tmp_path / "one.xlsx", labels=rows, empty=[])
    assert cells(one) == [["a.png", "ig", "50"], ["b.png", "", ""], ["c.png", "ig", "0.5"]]
    two = workbook(tmp_path / "two.xlsx", first=rows, second=[["x"], ["1"]])
    with pytest.raises(TableError, match=r"2 sheets .* 'first', 'second': name one"):
        open_table(two)
    with pytest.raises(TableError, match=r"no sheet 'third': it has 'first', 'second'"):
        open_table(two, sheet="third")
    assert cells(two, sheet="second") == [["1"]]
    beyond = workbook(tmp_path / "b.xlsx", s=[["image"], ["a.png", "ig"]])
    with pytest.raises(TableError, match="row 2: 'ig' stands under no title"):
        cells(beyond)
    with pytest.raises(TableError, match="empty workbook"):
        open_table(workbook(tmp_path / "e.xlsx", s=[]))


def test_parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"image": ["a.png", "b.png"], "grade": [1, None]}), tmp_path / "t.parquet")
    assert open_table(tmp_path / "t.parquet").titles == ("image", "grade")
    assert cells(tmp_path / "t.parquet") == [["a.png", "1"], ["b.png", ""]]


def test_words_of_parquet_are_kept_once_and_nested_cells_are_text(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "text": pa.array(["a", None]),
        "large": pa.array(["a", ""], pa.large_string()),
        "binary": pa.array([b"a", None]),
        "coded": pa.DictionaryArray.from_arrays(pa.array([1, None], pa.int8()), pa.array([3, 4])),
        "list": pa.array([["a", "b"], []]),
        "map": pa.array([[("a", "b")], []], pa.map_(pa.string(), pa.string())),
        "record": pa.array([{"a": "u", "b": [1]}, None]),
        "none": pa.nulls(2),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert cells(tmp_path / "t.parquet") == [
        ["a", "a", "a", "4", "a|b", '[["a", "b"]]', '{"a": "u", "b": [1]}', ""],
        ["", "", "", "", "", "", "", ""],
    ]


@pytest.mark.parametrize("kind", ["coded", "lists", "packed"])
def test_a_small_parquet_cannot_fill_the_memory(kind, tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setattr("kpl.tables.sheets._UNPACKED", 1 << 20)  # less work than the real bound
    rows = 1 << 16
    column, message = {
        "coded": lambda: (
            pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * (1 << 18)])),
            "column 'label': a cell of more than",
        ),
        "lists": lambda: (pa.array([["y" * 1000] * 9] * 400), "column 'label': its lists are too long"),
        "packed": lambda: (pa.array(["z" * (1 << 16)] * 30), "unpacks to"),
    }[kind]()
    table = pa.table({"image": [f"{at}.png" for at in range(len(column))], "label": column})
    pq.write_table(table, tmp_path / "t.parquet", compression="zstd", use_dictionary=kind != "packed")
    assert (tmp_path / "t.parquet").stat().st_size < 1 << 19
    with pytest.raises(TableError, match=message):
        cells(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "library", "extra"), [("a.xlsx", "python_calamine", "excel"), ("a.pq", "pyarrow", "parquet")]
)
def test_without_the_library_the_install_line_is_said(tmp_path, monkeypatch, name, library, extra):
    for module in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'knowledge-proxy-learning\[{extra}\]'"):
        open_table(kept(tmp_path / name, b"x"))
