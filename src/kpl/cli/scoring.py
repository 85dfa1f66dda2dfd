"""The options of scoring against labels, which `kpl evaluate` and `kpl report` have alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from kpl.evaluation import Reading

__all__ = [
    "Blank",
    "By",
    "GroupColumn",
    "IgnoreUnknown",
    "ImageColumn",
    "LabelColumn",
    "LabelNumbers",
    "Labels",
    "Methods",
    "NoClass",
    "Ordered",
    "Replicates",
    "Sheet",
    "Uncertain",
    "chosen_methods",
    "listed",
    "reading_of",
]

LabelOrder = Literal["order"]
BlankCell = Literal["absent", "unknown"]
UncertainCell = Literal["ignore", "present", "absent"]

Labels = Annotated[
    Path | None,
    typer.Option(
        help="A table with image,label[,group], or a column a class: CSV, TSV, JSON, Parquet, Excel; or a folder whose "
        "sub-folders are the classes."
    ),
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
ImageColumn = Annotated[
    str | None, typer.Option("--image-column", help="Title of the column of images; its number if there is no header.")
]
LabelColumn = Annotated[str | None, typer.Option("--label-column", help="The same of the column of labels.")]
GroupColumn = Annotated[
    str | None, typer.Option("--group-column", help="The same of the column that says what belongs together: patients.")
]
Sheet = Annotated[str | None, typer.Option("--sheet", help="Sheet of an Excel workbook with several.")]
LabelNumbers = Annotated[
    LabelOrder | None,
    typer.Option("--label-numbers", help="order: labels 0, 1, 2 are the classes in the knowledge's order."),
]
Blank = Annotated[
    BlankCell | None, typer.Option("--blank", help="What an empty cell says in a column of a class. Default: unknown.")
]
Uncertain = Annotated[
    UncertainCell, typer.Option("--uncertain", help="What -1 says in a column of a class.", show_default=True)
]
NoClass = Annotated[
    str | None, typer.Option("--none", help="The label, or column, that says that no class is there: 'No Finding'.")
]


def reading_of(
    image: str | None,
    label: str | None,
    group: str | None,
    sheet: str | None,
    numbers: LabelOrder | None = None,
    blank: BlankCell | None = None,
    uncertain: UncertainCell = "ignore",
    none: str | None = None,
) -> Reading:
    """Gather the options of how a table of labels is read."""
    from kpl.evaluation import Reading

    return Reading(image, label, group, sheet, numbers, blank, uncertain, none)


def listed(text: str | None) -> list[str]:
    """Cut a list at its commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def chosen_methods(text: str | None) -> list[str] | Literal["all"] | None:
    """Return the methods that were asked for; None for those that are usually compared."""
    names = listed(text)
    return "all" if names == ["all"] else names if text else None
