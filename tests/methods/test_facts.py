"""What methods say of themselves, and the page that repeats it."""

from __future__ import annotations

import runpy
from pathlib import Path

from kpl.methods import METHODS

DOCS = Path(__file__).parents[2] / "docs"


def test_every_method_says_what_it_assumes_and_when_it_fails():
    for name, method in METHODS.items():
        assert method.facts is not None, name
        assert all(vars(method.facts).values()), name


def test_the_page_says_what_the_methods_say():
    written = runpy.run_path(str(DOCS / "write_methods.py"))
    text = (DOCS / "methods.md").read_text(encoding="utf-8")
    assert written["page"](text) == text, "write the table anew: python docs/write_methods.py"
