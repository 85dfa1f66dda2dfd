"""From a run folder to one HTML file that stands by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from kpl.embeddings import write_atomically
from kpl.errors import OutputError
from kpl.report.scores import score
from kpl.report.seen import look
from kpl.report.story import tell
from kpl.runs import EVALUATED

__all__ = ["REPORT_FILE", "write_report"]

REPORT_FILE = "report.html"


def write_report(
    run: str | Path,
    *,
    labels: str | Path | None = None,
    by: Sequence[str] = (),
    pictures: str | Path | None = None,
    methods: Sequence[str] = EVALUATED,
    replicates: int = 2000,
    ignore_unknown: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Write `report.html` into a run folder, in the place of an earlier one.

    One file, no network, no script; the same run and labels give the same bytes.

    Args:
        run: a run folder of `kpl classify`.
        labels: what to score against, as in `evaluate`; without it the report says nothing of right and wrong.
        by: columns of the labels whose values are scored apart.
        pictures: where the pictures are now, if the run kept no thumbnails.
        methods, replicates, ignore_unknown, progress: of the scoring, as in `evaluate`.

    Returns:
        The file.

    Raises:
        FeaturesError: it is no finished run, or a damaged or a multi-label one.
        LabelsError: the labels cannot be used.
        OutputError: the file cannot be written.
    """
    seen = look(run, pictures=pictures)
    scored = None
    if labels is not None:
        scored = score(
            seen,
            labels,
            by=by,
            methods=methods,
            replicates=replicates,
            ignore_unknown=ignore_unknown,
            progress=progress,
        )
    rooms = Environment(
        loader=PackageLoader("kpl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = rooms.get_template("report.html").render(tell(seen, scored))
    target = seen.run.path / REPORT_FILE
    try:
        write_atomically(target, page.encode("utf-8", errors="replace"))
    except OSError as error:
        raise OutputError(f"cannot write {str(target)!r}: {error.strerror}") from error
    return target
