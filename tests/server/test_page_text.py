"""Text of others reaches the page by one way, which writes out what would turn its reading order around."""

from __future__ import annotations

import re
from pathlib import Path

import kpl.server
from kpl.visible import visible

PAGE = Path(kpl.server.__file__).parent / "page"


def test_no_script_of_the_page_passes_the_one_way_by():
    others = re.compile(
        r"\.(?:textContent|innerHTML|outerHTML|innerText)\s*=(?!=)|insertAdjacent|document\.write"
        r"|\.title = (?!.*\.textContent;)|\.alt = (?!.*visible\()"
    )
    found = [
        f"{path.name}:{number} {line.strip()[:80]}"
        for path in sorted(PAGE.glob("*.js"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if others.search(line) and not (path.name == "dom.js" and "visible(text)" in line)
    ]
    assert found == []


def test_the_page_writes_out_what_the_terminal_does():
    source = (PAGE / "dom.js").read_text(encoding="utf-8")
    listed = re.search(r"const STEERING = /(\[.*?\])/g;", source)
    assert listed
    pattern = re.compile(listed[1].replace(r"\0", r"\x00"))
    for code in (*range(0x3000), *range(0xFE00, 0x10000)):
        assert bool(pattern.match(chr(code))) == (visible(chr(code)) != chr(code)), hex(code)
