"""The options of scoring against labels, which `kpl evaluate` and `kpl report` have alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kpl.cli.options import gathers
from kpl.errors import LabelsError

if TYPE_CHECKING:
    from kpl.evaluation import OperatingRule, Reading

LabelOrder = Literal["order"]
BlankCell = Literal["absent", "unknown"]
UncertainCell = Literal["ignore", "present", "absent"]
SeveralReaders = Literal["majority", "any", "all"]

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


def _reading(
    image_column: Annotated[
        str | None,
        typer.Option(help="Title of the column of images, of several joined by commas; numbers without header."),
    ] = None,
    image_pattern: Annotated[
        str | None, typer.Option(help="How images are named by columns: 'patient_{patient}/x_{x}.png'.")
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="Title of the column of labels.")] = None,
    group_column: Annotated[
        str | None, typer.Option(help="Title of the column that says what belongs together: patients.")
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of an Excel workbook with several.")] = None,
    numbers: Annotated[
        LabelOrder | None,
        typer.Option("--label-numbers", help="order: labels 0, 1, 2 are the classes in the knowledge's order."),
    ] = None,
    blank: Annotated[
        BlankCell | None, typer.Option(help="What an empty cell says in a column of a class. Default: unknown.")
    ] = None,
    uncertain: Annotated[
        UncertainCell, typer.Option(help="What -1 says in a column of a class.", show_default=True)
    ] = "ignore",
    readers: Annotated[
        SeveralReaders | None,
        typer.Option(help="Several lines a picture: what most, any or all of them say. Default: refused."),
    ] = None,
    reader_column: Annotated[
        str | None, typer.Option(help="Title of the column that says whose word a line is.")
    ] = None,
    none: Annotated[
        str | None, typer.Option(help="The label, or column, that says that no class is there: 'No Finding'.")
    ] = None,
) -> Reading:
    from kpl.evaluation import Reading

    wanted = {"image_column": image_column, "image_pattern": image_pattern, "group_column": group_column}
    said = {"numbers": numbers, "blank": blank, "uncertain": uncertain, "none": none}
    said |= {"readers": readers, "reader_column": reader_column}
    return Reading(label_column=label_column, sheet=sheet, **wanted, **said)  # type: ignore[arg-type]


def reads_table(*without: str) -> Callable[[Callable[..., Any]], Any]:
    """Give a command the options of how a table is read, but for some; it takes them gathered, as `reading`."""
    return gathers("reading", _reading, *without)


def listed(text: str | None) -> list[str]:
    """Cut a list at its commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


@gathers("reading", _reading)
def chosen_scoring(
    labels: Labels = None,
    methods: Methods = None,
    by: By = None,
    ordered: Ordered = False,
    replicates: Replicates = 2000,
    ignore_unknown: IgnoreUnknown = False,
    *,
    reading: Reading,
) -> dict[str, Any]:
    """Gather how a run is scored against labels, as `kpl.evaluate` takes it."""
    named = listed(methods)
    return {
        "labels": labels,
        "methods": "all" if named == ["all"] else named if methods else None,
        "by": listed(by),
        "ordered": ordered,
        "replicates": replicates,
        "ignore_unknown": ignore_unknown,
        "reading": reading,
    }


def read_rule(text: str) -> OperatingRule:
    """Read an operating point as it is typed.

    Raises:
        LabelsError: it is none.
    """
    from kpl.evaluation import OperatingRule

    reach, _, value = text.partition("=")
    try:
        share = float(value)
    except ValueError:
        share = float("nan")
    if reach == "sensitivity" and 0 < share <= 1:
        return OperatingRule("sensitivity", share)
    if reach == "specificity" and 0 < share <= 1:
        return OperatingRule("specificity", share)
    raise LabelsError(
        f"--at {text!r} is no operating point: write sensitivity=0.95 or specificity=0.9, a share up to 1"
    )
