"""Knowledge files that are wrong or strange, through every command that reads one: one clear line, nothing lost."""

from __future__ import annotations

import json
import shutil

import pytest

from kpl.knowledge import load_knowledge

GOOD = """\
# mine
kpl_knowledge: 1
task: {name: toys, modality: photo}
classes:
  - key: disc   # the round one
    descriptions: [a round outline, a thin rim]
  - key: box
    descriptions: [four corners, flat sides]
"""
BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
FAULTS = {
    "tabs": (GOOD.replace("  - key: box", "\t- key: box"), "bad.yaml, line 7: indented with a tab"),
    "a bomb of aliases": (BOMB, "bad.yaml, line 2: the alias *a is not taken"),
    "a bomb of brackets": ("a: " + "[" * 5000, "bad.yaml, line 1: nested too deeply"),
    "a control character": (GOOD.replace("thin", "thi\x1bn"), "bad.yaml, line 6: a control character"),
    "another encoding": (GOOD.replace("thin", "th\xefn").encode("latin-1"), "bad.yaml, line 6: not UTF-8 text"),
    "half a file": (GOOD[: GOOD.index("flat")], "bad.yaml, line"),
    "a class without its sentences": (GOOD[: GOOD.rindex("    desc")], "bad.yaml, line 7, class 'box': no descr"),
    "nothing": ("", "bad.yaml: holds nothing at the top"),
}
COMMANDS = {
    "lint": ("lint", "bad.yaml"),
    "lint --fix": ("lint", "bad.yaml", "--fix"),
    "show": ("show", "bad.yaml"),
    "review": ("review", "bad.yaml"),
    "write": ("write", "bad.yaml", "--model", "tiny", "--replay"),
    "import": ("import", "bad.yaml", "--as", "new.yaml"),
    "import --tidy": ("import", "bad.yaml", "--as", "bad.yaml", "--overwrite", "--tidy"),
    "merge": ("merge", "good.yaml", "bad.yaml", "-o", "new.yaml"),
    "merge into it": ("merge", "bad.yaml", "good.yaml", "-o", "new.json"),
    "diff": ("diff", "good.yaml", "bad.yaml"),
}
TAKES_UNFINISHED = ("lint", "lint --fix", "write", "review")
"""Commands for files that are still being written."""


def bytes_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("fault", "command"),
    [
        (fault, command)
        for fault in FAULTS
        for command in COMMANDS
        if fault != "a class without its sentences" or command not in TAKES_UNFINISHED
    ],
)
def test_a_faulty_file_is_one_line_and_nothing_is_written(quick, tmp_path, fault, command):
    text, says = FAULTS[fault]
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    before = bytes_in(tmp_path)
    assert says in quick("knowledge", *COMMANDS[command]).error
    assert bytes_in(tmp_path) == before


@pytest.mark.parametrize("fault", ["tabs", "a bomb of aliases"])
def test_the_same_as_a_process(kpl, tmp_path, fault):
    text, says = FAULTS[fault]
    (tmp_path / "bad.yaml").write_text(text)
    assert says in kpl("knowledge", "lint", "bad.yaml").error


# -------------------------------------------------------------------------------------------------------- many classes


@pytest.mark.long
def test_ten_thousand_classes_through_every_command(quick, tmp_path):
    rows = [f"  - {{key: kind {n}, descriptions: [a rim {n}, a pale middle {n}]}}\n" for n in range(10_000)]
    head = "# mine\nkpl_knowledge: 1\ntask: {name: huge, modality: photo, template: '{description}'}\nclasses:\n"
    (tmp_path / "a.yaml").write_text(head + "".join(rows))
    rows[77] = rows[77].replace("pale", "dark")
    (tmp_path / "b.yaml").write_text(head + "".join(rows))
    assert "10000 classes, 20000 descriptions: 0 errors" in quick("knowledge", "lint", "a.yaml", "--limit", 1).out
    assert "wrote c.yaml: 10000 classes" in quick("knowledge", "import", "a.yaml", "--as", "c.yaml").out
    assert (tmp_path / "c.yaml").read_text() == (head + "".join(rows)).replace("dark", "pale").replace(
        ": 1\n", ": 2\n", 1
    )
    told = quick("knowledge", "diff", "a.yaml", "b.yaml").out
    assert told.splitlines() == [
        "- kind 77, description: a pale middle 77",
        "+ kind 77, description: a dark middle 77",
        "2 differences",
    ]
    assert (
        "wrote d.json: 10000 classes, 20001 descr"
        in quick("knowledge", "merge", "a.yaml", "b.yaml", "-o", "d.json").out
    )
    assert "a terminal" in quick("knowledge", "review", "a.yaml").error


# ------------------------------------------------------------------------------------------------------- other scripts

CHINESE = {"结节": ["一个边界清晰的小圆影", "肺野内密度增高的斑点"], "正常": ["清晰的肺纹理", "对称的肺野"]}
ARABIC = {
    "عقدة": ["ظل دائري صغير ذو حواف واضحة", "بقعة كثيفة في أعلى الرئة"],
    "طبيعي": ["رئتان صافيتان", "حواف حادة للقلب"],
}
CYRILLIC = {
    "Узел": ["небольшая круглая тень с чётким краем", "плотное пятно в верхней доле"],
    "Норма": ["прозрачные лёгочные поля", "ровный купол диафрагмы"],
}


@pytest.mark.parametrize("sentences", [CHINESE, ARABIC, CYRILLIC], ids=["Chinese", "Arabic", "Cyrillic"])
def test_other_scripts_pass_every_command_unchanged(quick, tmp_path, sentences):
    (tmp_path / "in.json").write_text(json.dumps(sentences, ensure_ascii=False))
    first = next(iter(sentences))
    command = (
        "knowledge",
        "import",
        "in.json",
        "--as",
        "a.yaml",
        "--modality",
        "X-ray",
        "--template",
        "{class}: {description}",
    )
    assert "2 classes, 4 descriptions" in quick(*command).plain
    base = load_knowledge(tmp_path / "a.yaml")
    assert {e.key: [d.text for d in e.descriptions] for e in base.classes} == sentences
    assert first in (tmp_path / "a.yaml").read_text(), "written as people read it"
    assert sentences[first][0] in quick("knowledge", "show", "a.yaml", first).plain
    told = quick("knowledge", "lint", "a.yaml").out
    assert "K108" not in told
    assert " 0 errors" in told
    shutil.copy(tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert quick("knowledge", "diff", "a.yaml", "b.yaml").plain == "0 differences"
    assert "2 classes, 4 desc" in quick("knowledge", "merge", "a.yaml", "b.yaml", "-o", "c.json").plain
    assert load_knowledge(tmp_path / "c.json").classes == base.classes
    folder = tmp_path / "texts"
    folder.mkdir()
    for key, texts in sentences.items():
        (folder / f"{key}.txt").write_text("\n".join(texts), encoding="utf-8")
    quick("knowledge", "import", "texts", "--as", "d.yaml")
    assert {e.key: [d.text for d in e.descriptions] for e in load_knowledge(tmp_path / "d.yaml").classes} == sentences


def test_a_sentence_in_another_language_is_found_and_may_be_meant(quick, tmp_path):
    text = GOOD.replace("flat sides]", "ровные стороны]")
    (tmp_path / "a.yaml").write_text(text)
    assert (
        "line 8: K108 warning: class 'box', description 2: Cyrillic script" in quick("knowledge", "lint", "a.yaml").out
    )
    ignore = "ignore: [{rule: K108, reason: the encoder reads both}]\nclasses:"
    (tmp_path / "a.yaml").write_text(text.replace("classes:", ignore).replace(": 1\n", ": 2\n", 1))
    assert "K108" not in quick("knowledge", "lint", "a.yaml").out


# ------------------------------------------------------------------------------- markup, control characters, terminals

NASTY = {
    "disc\x1b]0;mine\x07": ["a \x1b[31mred\x07 rim", "<script>alert(1)</script> a <b>thin</b> edge", "round\x00 face"],
    "box": ["four \u202ecorners", "flat\u200b sides &amp; edges"],
}


@pytest.fixture
def nasty(tmp_path):
    (tmp_path / "in.json").write_text(json.dumps(NASTY))
    return tmp_path


def test_nothing_in_a_file_steers_the_terminal(quick, nasty):
    shutil.copy(nasty / "in.json", nasty / "other.json")
    (nasty / "other.json").write_text((nasty / "in.json").read_text().replace("flat", "even\\u001b[2J"))
    for arguments in (
        ("show", "in.json"),
        ("lint", "in.json"),
        ("diff", "in.json", "other.json"),
        ("import", "in.json", "--as", "a.yaml"),
        ("lint", "a.yaml", "--fix"),
        ("show", "a.yaml", "nowhere"),
        ("review", "in.json"),
    ):
        told = quick("knowledge", *arguments)
        for mark in ("\x1b", "\x07", "\x00", "\u202e"):
            assert mark not in told.out + told.err, arguments


def test_what_is_written_is_read_back_and_mended(quick, nasty):
    quick("knowledge", "import", "in.json", "--as", "a.yaml")
    read = [[d.text for d in e.descriptions] for e in load_knowledge(nasty / "a.yaml").classes]
    assert read == list(NASTY.values()), "nothing is lost"
    assert "mended K107 (markup): 5 markup removed" in quick("knowledge", "lint", "a.yaml", "--fix").out
    mended = [[d.text for d in e.descriptions] for e in load_knowledge(nasty / "a.yaml").classes]
    assert mended == [["a red rim", "alert(1) a thin edge", "round face"], ["four corners", "flat sides & edges"]]
