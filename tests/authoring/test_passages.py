"""Sources cut into passages that can be cited and found again."""

from __future__ import annotations

import pytest

from kpl.authoring.passages import choose_passages, read_passages, supports
from kpl.errors import InputError


def test_a_passage_knows_its_lines(tmp_path):
    page = tmp_path / "atlas.md"
    blocks = [
        f"# Class {n}\n" + "\n".join(f"line {i} says what is seen of class {n}" for i in range(12)) for n in range(20)
    ]
    page.write_text("\n\n".join(blocks))
    lines = page.read_text().splitlines()
    passages = read_passages([page])
    assert passages[0].file == "atlas.md"
    covered = set()
    for passage in passages:
        assert passage.text == " ".join(" ".join(lines[passage.first - 1 : passage.last]).split())
        covered.update(range(passage.first, passage.last + 1))
    assert {number for number, line in enumerate(lines, 1) if line} <= covered


def test_a_text_without_blank_lines_is_cut_too(tmp_path):
    page = tmp_path / "long.txt"
    page.write_text("\n".join(f"word{n} " * 20 for n in range(100)))
    passages = read_passages([page])
    assert len(passages) > 5
    assert passages[-1].last == 100
    page.write_text("one line")
    assert [str(passage) for passage in read_passages([page])] == ["long.txt, line 1"]


def test_the_fitting_passages_are_chosen(tmp_path):
    page = tmp_path / "a.txt"
    page.write_text("\n\n".join(f"{name} " * 60 for name in ["cats", "birds", "neutrophils", *("filler",) * 20]))
    passages = read_passages([page])
    assert [passages[n].text[:4] for n in choose_passages(passages, ["Neutrophil"])] == ["neut"]
    assert len(choose_passages(passages, ["unheard of"])) == 8


def test_a_citation_out_of_thin_air_is_seen(tmp_path):
    page = tmp_path / "a.txt"
    page.write_text("The nucleus is lobed.")
    (passage,) = read_passages([page])
    assert supports(passage, "several lobes in one nucleus")
    assert not supports(passage, "bright yellow feathers")
    assert supports(passage, "圆形的细胞核")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"%PDF-1.4\0", "not UTF-8 text"),
        (b" \n\n", "holds no text"),
        (None, "not a file"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, problem):
    page = tmp_path / "page.pdf"
    if content is not None:
        page.write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read_passages([page])


def test_a_source_is_of_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr("kpl.authoring.passages.MAX_BYTES", 10)
    (tmp_path / "a.txt").write_text("more than ten bytes")
    with pytest.raises(InputError, match="larger than 0 MB"):
        read_passages([tmp_path / "a.txt"])
