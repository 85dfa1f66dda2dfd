"""The page and the notebook of the Python interface run as they stand, and say the same."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


def cells() -> list[dict[str, Any]]:
    return json.loads((DOCS / "python.ipynb").read_text(encoding="utf-8"))["cells"]


def code(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_the_page_runs_as_it_stands():
    found = doctest.testfile(str(DOCS / "python.md"), module_relative=False)
    assert found.attempted > 15
    assert found.failed == 0


@pytest.mark.long
def test_the_notebook_runs_from_its_first_cell_to_its_last():
    names: dict[str, Any] = {}
    for cell in cells():
        if cell["cell_type"] == "code":
            exec(compile(code(cell), "python.ipynb", "exec"), names)  # noqa: S102 - the project's own notebook
    assert len(names["result"]._repr_html_()) > 1000, "what a notebook shows of a run"


def test_the_notebook_has_the_lines_of_the_page():
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    shown = re.findall(r"^>>> (.+)$", page, flags=re.MULTILINE)
    assert "\n".join(code(cell) for cell in cells() if cell["cell_type"] == "code").splitlines() == shown
    assert not any(cell.get("outputs") for cell in cells()), "outputs are of whoever runs it"
