"""Progress bars on stderr, one per stage; silent where nobody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

__all__ = ["stages"]


@contextmanager
def stages(*, in_bytes: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Give a function (stage, done, total) that draws a bar for each stage it hears of; `in_bytes` writes MB."""
    console = Console(stderr=True)
    if not console.is_interactive:  # rich would leave an empty line in a log
        yield lambda _stage, _done, _total: None
        return
    amount = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    bars = Progress(*columns, console=console, transient=True)
    tasks: dict[str, TaskID] = {}

    def tell(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            bars.start()  # not before there is something to show: an error on the way here stays one clean line
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=done, total=total)

    try:
        yield tell
    finally:
        if tasks:
            bars.stop()
