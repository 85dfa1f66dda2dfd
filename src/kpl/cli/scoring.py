"""The options of scoring against labels, which `kpl evaluate` and `kpl report` have alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["By", "IgnoreUnknown", "Labels", "Methods", "Ordered", "Replicates", "chosen_methods", "listed"]

Labels = Annotated[
    Path | None, typer.Option(help="CSV with image,label[,group]; or a folder whose sub-folders are the classes.")
]
Methods = Annotated[
    str | None, typer.Option(help="Comma-separated names, or 'all'. Default: names,cupl,text,inmap,kpl-official,kpl.")
]
By = Annotated[str | None, typer.Option(help="Columns of the labels, such as site: score each value apart.")]
Ordered = Annotated[
    bool, typer.Option("--ordered", help="The classes are grades in the knowledge's order: weighted kappas too.")
]
Replicates = Annotated[int, typer.Option(min=0, help="Bootstrap replicates of the 95 % intervals.")]
IgnoreUnknown = Annotated[
    bool, typer.Option("--ignore-unknown", help="Leave out images whose label is no class of the knowledge.")
]


def listed(text: str | None) -> list[str]:
    """Cut a list at its commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def chosen_methods(text: str | None) -> list[str] | Literal["all"] | None:
    """Return the methods that were asked for; None for those that are usually compared."""
    names = listed(text)
    return "all" if names == ["all"] else names if text else None
