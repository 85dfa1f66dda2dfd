"""Write the table of `docs/methods.md` from what the methods say of themselves."""

from __future__ import annotations

from pathlib import Path

from kpl.methods import METHODS

PAGE = Path(__file__).with_name("methods.md")
START, END = "<!-- table: python docs/write_methods.py -->", "<!-- end of table -->"


def table() -> str:
    rows = []
    for name, method in METHODS.items():
        facts = method.facts
        told = (facts.source, facts.assumes, facts.cost, facts.fails, facts.configured) if facts else ("",) * 5
        rows.append(f"| `{name}` | {method.reads} | " + " | ".join(told) + " |")
    head = "| name | reads | source | assumes | cost | fails | in the comparison |\n" + "|---" * 7 + "|\n"
    return head + "\n".join(rows)


def page(text: str) -> str:
    before, rest = text.split(START)
    return f"{before}{START}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
