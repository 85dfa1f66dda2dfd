"""Progress bars on stderr, one per stage; silent where nobody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)

from kpl.cli.terminal import Console, plain
from kpl.progress import Progress, silent


class _Bars(Bars):
    """Bars with lines below them that are asked for whenever they are drawn."""

    note: Callable[[], str] | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.note is not None:
            lines = plain(self.note())
            lines.no_wrap, lines.overflow = True, "ellipsis"
            yield lines


@contextmanager
def stages(*, in_bytes: bool = False, note: Callable[[], str] | None = None) -> Iterator[Progress]:
    """Give a function (stage, done, total) that draws a bar for each stage it hears of.

    `in_bytes` writes MB. `note` gives lines below the bars, asked for ten times a second, for work whose end nobody can
    foretell: the bars then show the time that has passed.
    """
    console = Console(stderr=True)
    if not console.is_interactive:  # rich would leave an empty line in a log
        yield silent
        return
    amount = DownloadColumn() if in_bytes else MofNCompleteColumn()
    clock = TimeElapsedColumn() if note else TimeRemainingColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, clock)
    bars = _Bars(*columns, console=console, transient=True)
    bars.note = note
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
