"""Write the table of encoders on the page `bring-your-encoder.md`: `python docs/write_catalogue.py`."""

from __future__ import annotations

import re
from pathlib import Path

from kpl.encoders import catalogue

PAGE = Path(__file__).with_name("bring-your-encoder.md")
MARKS = re.compile(r"(<!-- catalogue: [^\n]*\n).*?(<!-- end of catalogue -->)", re.DOTALL)


def table() -> str:
    """One line of Markdown for each encoder that is known by name."""
    head = "| name | what it is | pixels | tokens | extra | terms |\n|---|---|---|---|---|---|\n"
    return head + "".join(
        f"| `{name}` | {entry.title} | {entry.image_size or ''} | {entry.context_length or ''} | {entry.loader} "
        f"| {entry.licence}{'; ' + entry.gate[0].lower() + entry.gate[1:] if entry.gate else ''} |\n"
        for name, entry in catalogue().items()
    )


def page() -> str:
    """The page with its table as the catalogue has it now."""
    return MARKS.sub(lambda found: f"{found[1]}\n{table()}\n{found[2]}", PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
