"""From a run folder to one HTML file that stands by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, UndefinedError
from markupsafe import Markup

from kpl.encoders import Encoder
from kpl.errors import FeaturesError, InputError
from kpl.evaluation import Reading
from kpl.files import locked, write_file
from kpl.progress import Progress
from kpl.report.compiled import templates
from kpl.report.mapping import map_rows
from kpl.report.multi_label import MultiLabelStory
from kpl.report.multi_label_scores import score_multi_label
from kpl.report.scores import score
from kpl.report.single_label import SingleLabelStory
from kpl.report.story import Kind, Story
from kpl.runs import MultiLabelRun, Run, open_run, open_single_label
from kpl.runs.sampling import sampled
from kpl.visible import visible

REPORT_FILE = "report.html"


def write_report(
    run: str | Path | Run,
    *,
    labels: str | Path | None = None,
    by: Sequence[str] = (),
    pictures: str | Path | None = None,
    maps: int = 0,
    window: int | None = None,
    encoder: str | Encoder | None = None,
    methods: Sequence[str] | Literal["all"] | None = None,
    ordered: bool = False,
    replicates: int = 2000,
    ignore_unknown: bool = False,
    reading: Reading | None = None,
    announce: Callable[[int, float], None] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write `report.html` into a run folder, in the place of an earlier one.

    One file, no network, no script; the same run and labels give the same bytes.

    Args:
        run: a run folder of `kpl classify`, of one label a picture or of several.
        labels: what to score against, as in `evaluate`; without it the report says nothing of right and wrong.
        by: columns of the labels whose values are scored apart.
        pictures: where the pictures are now, if the run kept no thumbnails, or for maps.
        maps: for so many of the pictures shown, the least sure, also draw where in the picture the class is seen.
        window, announce: of the maps, as in `map_picture`.
        encoder: where the run's encoder is, for maps and for methods that read further texts.
        methods, ordered, replicates, ignore_unknown, reading: of the scoring, as in `evaluate`, with the run's own
            method.
        progress: told the stage, how much of it is done, and how much there is.

    Returns:
        The file.

    Raises:
        FeaturesError: it is no finished run, or a damaged one.
        InputError: maps are asked for without the pictures, or of a multi-label run.
        EncoderError: the maps need the run's encoder, and it is not at hand.
        LabelsError: the labels cannot be used.
        OutputError: the file cannot be written, or another process writes the run.
    """
    of_table = ignore_unknown or reading not in (None, Reading())
    _check(maps, window, pictures, labels, of_scoring=methods is not None or bool(by) or ordered or of_table)
    if encoder is not None and labels is None and not maps:
        raise InputError("the encoder is for maps and for methods that are scored: give --maps or --labels too")
    how: dict[str, Any] = {"by": by, "replicates": replicates, "reading": reading}
    with _alone_with(run.path if isinstance(run, Run) else Path(run)):
        seen = run if isinstance(run, Run) else open_run(run)
        if isinstance(seen, MultiLabelRun):
            if maps or methods or ordered or ignore_unknown:
                raise InputError(
                    "the report of a multi-label run has no maps, compares no methods, orders no classes and ignores "
                    "no label: leave these out"
                )
            found = score_multi_label(seen, labels, **how) if labels else None
            several = _shown_of(seen, pictures)
            return _write(seen.path, MultiLabelStory(several, found and found.only(several.whole)))
        single, scored = open_single_label(seen), None
        if labels is not None:
            how |= {"methods": methods, "encoder": encoder, "ordered": ordered, "ignore_unknown": ignore_unknown}
            scored = score(single, labels, **how, progress=progress)
        single = _shown_of(single, pictures)
        story = SingleLabelStory(single, scored and scored.only(single.whole))
        if maps and pictures is not None:
            story.maps = map_rows(
                single,
                sorted(story.rows),
                pictures,
                maps,
                window=window,
                encoder=encoder,
                announce=announce,
                progress=progress and partial(progress, "maps"),
            )
        return _write(single.path, story)


def _shown_of(run: Kind, pictures: str | Path | None) -> Kind:
    """Return what of a run is shown, with the small pictures that it did not keep where it is said where they are."""
    shown = sampled(run)
    return shown if pictures is None else shown.with_pictures(pictures)


def _alone_with(run: Path) -> AbstractContextManager[object]:
    """Nobody else replaces the run whose report is written; where nobody could, nothing is locked."""
    may = run.is_dir() and os.access(run.resolve().parent, os.W_OK)
    return locked(run) if may else nullcontext()


def _check(
    maps: int, window: int | None, pictures: str | Path | None, labels: str | Path | None, *, of_scoring: bool
) -> None:
    """Refuse what is asked for without what it needs."""
    if maps and pictures is None:
        raise InputError(f"{maps} maps need the pictures themselves: say where they are, with --pictures")
    if window is not None and not maps:
        raise InputError("windows are for maps: say how many maps to draw, with --maps")
    if labels is None and of_scoring:
        raise InputError(
            "methods, columns, graded classes and how labels are read are of the scoring: give --labels too"
        )


def _shown(value: object) -> object:
    """Show text from others without what would steer its reader: every value of the page comes through here."""
    if isinstance(value, Markup):
        return Markup(visible(value))  # noqa: S704 - it was markup before
    return visible(value) if isinstance(value, str) else value


@cache
def _templates() -> Environment:
    return templates(_shown)


def _write(run: Path, story: Story[Any]) -> Path:
    try:
        page = _templates().get_template(story.template).render(story.tell())
    except UndefinedError as error:
        raise FeaturesError(f"{str(run)!r}: its run.json says too little ({error.message}): classify again") from error
    target = run / REPORT_FILE
    write_file(target, page.encode("utf-8", errors="replace"))
    return target
