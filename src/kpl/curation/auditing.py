"""What predictions follow that is no finding: site, scanner, view, sex, age, and every other column of a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.curation.association import Codes, count_pairs, cramers_v, phi2, shuffler
from kpl.errors import LabelsError, TableError
from kpl.evaluation import Reading, choose_columns, count_units, holm, unit_told
from kpl.progress import Counted
from kpl.runs import SingleLabelRun
from kpl.runs.units import identified
from kpl.tables import Choice, ImageColumns, Pictures, open_wanted

FOLLOWS = 0.1
"""Cramér's V from which an association that is no chance is worth a warning: Cohen's small effect."""
LEVEL = 0.05
FEWEST = 10  # pictures, below which nothing is said of a column
MOST_VALUES = 20
PARTS = 4
_DATE = re.compile(r"^(\d{4})(-\d{2}){1,2}\b")


@dataclass(frozen=True)
class Followed:
    """How far something of the run goes with a column.

    Attributes:
        v: Cramér's V, corrected for its bias in few pictures: 0 is no association, 1 a full one.
        interval: of 95 %, over patients where they are known, else over pictures; None without replicates.
        p_value: by shuffling the column: among patients if it is the same for all pictures of each, else within them.
        p_holm: corrected for every question asked in the audit.
        shares: of each value, the share of the class that is commonest in the run, or of errors.
    """

    v: float
    interval: tuple[float, float] | None
    p_value: float
    p_holm: float = 1.0
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def warns(self) -> bool:
        """Whether it is neither small nor likely to be chance."""
        return self.v >= FOLLOWS and self.p_holm < LEVEL


@dataclass(frozen=True)
class Column:
    """A column that was looked at.

    Attributes:
        title: as the table has it.
        values: in words, numbers cut into four parts of about equal size.
        pictures: that have a value.
        predictions: how far the predicted classes follow it.
        errors: how far being wrong does; None without labels.
    """

    title: str
    values: tuple[str, ...]
    pictures: int
    predictions: Followed
    errors: Followed | None


@dataclass(frozen=True)
class Audit:
    """Every column of a table beside what a run says.

    Attributes:
        columns: the strongest association with predictions first.
        left_out: columns that were not looked at, with the reason.
        unit: what the intervals are over, in words.
        said: which columns say which picture a row is of, and what belongs together.
        labelled: pictures with a true label; None without labels.
        notices: what the user should be told.
    """

    columns: tuple[Column, ...]
    left_out: Mapping[str, str]
    unit: str
    said: str
    labelled: int | None
    notices: tuple[str, ...]

    @property
    def warnings(self) -> list[str]:
        """One sentence for each column that predictions or errors follow."""
        told = []
        for column in self.columns:
            for what, found in (("predictions", column.predictions), ("errors", column.errors)):
                if found is not None and found.warns:
                    told.append(
                        f"{what} follow {column.title!r} (V {found.v:.2f}, p {found.p_holm:.2g} after Holm): does it "
                        "stand for the finding, or for where the picture comes from?"
                    )
        return told

    def to_json(self) -> dict[str, Any]:
        """Return all figures."""
        return asdict(self) | {"warnings": self.warnings}


def audit(
    run: SingleLabelRun,
    table: str | Path,
    *,
    labels: str | Path | None = None,
    reading: Reading | None = None,
    replicates: int = 1000,
    seed: int = 0,
    progress: Counted | None = None,
) -> Audit:
    """Ask of every column of a table whether the predictions go with it, and with labels whether the errors do.

    An association is no proof of a shortcut: a site that sends sicker patients has more findings. Errors that follow a
    column are the stronger sign.

    Args:
        run: of one label a picture.
        table: of any kind that `kpl.tables` reads; how its rows name pictures as in `read_labels`.
        labels: another source of labels; None takes those in the table, if it has any.
        reading: which columns are which.
        replicates: of the intervals and of the shuffling; 0 for neither intervals nor p-values.
        seed: of their draws.
        progress: called with (columns done, all).

    Raises:
        LabelsError, TableError: the table or the labels cannot be used, or no row is of a picture of the run.
    """
    reading = reading or Reading()
    read = _read(run, Path(table), reading)
    truth, notices = _truth(run, table, labels, reading)
    groups = read.groups or (run.patients if any(run.patients) else None)
    said = np.asarray(run.predictions.winners)
    wrong = None if truth is None else np.where(truth < 0, -1, (said != truth).astype(int))
    asked: list[tuple[str, tuple[str, ...], Codes]] = []
    left_out: dict[str, str] = {}
    for title, cells in read.columns.items():
        values, codes, reason = _coded(cells)
        if reason:
            left_out[title] = reason
        else:
            asked.append((title, values, codes))
    if not asked:
        told = (
            "; ".join(f"{title!r}: {reason}" for title, reason in left_out.items()) or "give one with a site or an age"
        )
        raise LabelsError(f"{Path(table).name!r} has no column to look at beside those of pictures and labels: {told}")
    columns = []
    for done, (title, values, codes) in enumerate(asked, start=1):
        rng = np.random.default_rng([seed, done])
        errors = None
        if wrong is not None and len(set(wrong[(wrong >= 0) & (codes >= 0)])) > 1:
            errors = _followed(wrong, codes, values, 2, groups, replicates, rng, focus=1)
        found = _followed(said, codes, values, len(run.keys), groups, replicates, rng)
        columns.append(Column(title, values, int((codes >= 0).sum()), found, errors))
        if progress is not None:
            progress(done, len(asked))
    by = "the run" if read.group_column is None else repr(read.group_column)
    return Audit(
        columns=tuple(sorted(_corrected(columns), key=lambda each: -each.predictions.v)),
        left_out=left_out,
        unit=unit_told(run.n, count_units(groups, range(run.n)), by),
        said=read.said,
        labelled=None if truth is None else int((truth >= 0).sum()),
        notices=(*read.notices, *notices),
    )


@dataclass(frozen=True)
class _Read:
    """The further columns of a table in the order of the run's pictures; None where a row says nothing."""

    columns: Mapping[str, tuple[str | None, ...]]
    groups: tuple[str | None, ...] | None
    group_column: str | None
    said: str
    notices: tuple[str, ...]


def _read(run: SingleLabelRun, path: Path, reading: Reading) -> _Read:
    table = open_wanted(path, reading, reading.label_column)
    choice, pictures = Choice(table), Pictures(run.ids, identified(run.path, run.ids), run.patients)
    images = ImageColumns.choose(choice, reading, pictures.may_fit)
    if images is None:
        told = ", ".join(map(repr, table.titles[:20]))
        raise LabelsError(f"{path.name!r} has no column of images: it has {told}. Name it with --image-column")
    group = choice.group(reading.group_column)
    label = _label(choice, reading, run, pictures)
    spared = {*images.used, *choice.all("image", "patient", "study", "identifier"), group, label}
    classes = {at for at, title in enumerate(table.titles) if run.knowledge.resolve(title) is not None}
    taken = [at for at in range(len(table.titles)) if at not in spared | classes and table.titles[at]]
    rows = [(name, row) for row in table.rows() for name in images.images(row, pictures)]
    found = pictures.match([name for name, _ in rows])
    cells: list[list[str | None]] = [[None] * run.n for _ in taken]
    groups: list[str | None] = [None] * run.n
    seen, differing = set[int](), dict[str, set[int]]()
    for place, (_, row) in zip(found.places, rows, strict=True):
        if place is None:
            continue
        for column, at in zip(cells, taken, strict=True):
            cell = row.cells[at].strip() or None
            if place in seen and cell != column[place]:
                differing.setdefault(table.titles[at], set()).add(place)
            column[place] = cell
        seen.add(place)
        groups[place] = None if group is None else row.cells[group].strip() or None
    for column, at in zip(cells, taken, strict=True):
        for place in differing.get(table.titles[at], ()):
            column[place] = None
    matched = len(seen)
    if not matched:
        raise LabelsError(f"no row of {path.name!r} is for one of the {run.n} pictures of the run")
    notes = [f"{run.n - matched} pictures of the run have no row in {path.name}"] if matched < run.n else []
    notes += [f"rows of one picture differ in {title!r}, not counted: {len(own)}" for title, own in differing.items()]
    belongs = "" if group is None else f", group from {table.titles[group]!r}"
    return _Read(
        columns={table.titles[at]: tuple(column) for at, column in zip(taken, cells, strict=True)},
        groups=tuple(groups) if any(groups) else None,
        group_column=None if group is None else table.titles[group],
        said=f"columns: {images.told}{belongs}",
        notices=(*table.notes, *found.told(), *notes),
    )


def _label(choice: Choice, reading: Reading, run: SingleLabelRun, pictures: Pictures) -> int | None:
    """Return the column of labels, which predictions follow where they are right."""
    if reading.label_column:
        return choice.named(reading.label_column)
    try:
        return choose_columns(choice.table, reading, pictures, run.knowledge.resolve).label
    except (LabelsError, TableError):  # a table may have none
        return choice.first("label")


def _truth(
    run: SingleLabelRun, table: str | Path, labels: str | Path | None, reading: Reading
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    try:
        truth = run.labels(labels or table, ignore_unknown=True, reading=reading)
    except LabelsError as error:
        if labels is not None or reading.label_column is not None:
            raise
        return None, (f"without labels, so nothing is said of errors ({error})",) if "predictions" in str(error) else ()
    return truth.labels, truth.notices if labels is not None else ()


def _coded(cells: Sequence[str | None]) -> tuple[tuple[str, ...], Codes, str]:
    """Return the values of a column, the place of each cell's value (-1 where it is empty), or why it is left out."""
    nothing = np.empty(0, dtype=np.intp)
    filled = [cell for cell in cells if cell is not None]
    if len(filled) < FEWEST:
        return (), nothing, f"{len(filled)} of {len(cells)} pictures have a value, {FEWEST} are needed"
    if all(_DATE.match(cell) for cell in filled):
        cells = [None if cell is None else cell[:4] for cell in cells]
    counts = Counter(cell for cell in cells if cell is not None)
    numbers = _numbers(counts)
    if numbers is not None and len(counts) > PARTS * 2:
        return _parts(cells, numbers)
    if len(counts) == 1:
        return (), nothing, f"every picture has {next(iter(counts))!r}"
    if len(counts) > min(MOST_VALUES, len(filled) / 2):
        return (), nothing, f"{len(counts)} different values: an identifier or free text"
    values = tuple(sorted(counts, key=lambda value: (numbers or {}).get(value, 0)))
    places = {value: place for place, value in enumerate(values)}
    return values, np.array([-1 if cell is None else places[cell] for cell in cells]), ""


def _numbers(values: Sequence[str] | Counter[str]) -> dict[str, float] | None:
    try:
        found = {value: float(value.replace(",", ".")) for value in values}
    except ValueError:
        return None
    return found if all(np.isfinite(list(found.values()))) else None


def _parts(cells: Sequence[str | None], numbers: Mapping[str, float]) -> tuple[tuple[str, ...], Codes, str]:
    """Cut numbers into parts of about equal size."""
    values = np.array([numbers[cell] for cell in cells if cell is not None])
    cuts = np.unique(np.quantile(values, np.arange(1, PARTS) / PARTS))
    codes = np.array([-1 if c is None else int(np.searchsorted(cuts, numbers[c], side="left")) for c in cells])
    used, codes_used = np.unique(codes[codes >= 0], return_inverse=True)
    codes[codes >= 0] = codes_used
    bounds = [f"up to {cut:g}" for cut in cuts] + [f"above {cuts[-1]:g}"]
    return tuple(bounds[at] for at in used), codes, "" if len(used) > 1 else "nearly every picture has the same number"


def _followed(
    said: Codes,
    codes: Codes,
    values: Sequence[str],
    kinds: int,
    groups: Sequence[str | None] | None,
    replicates: int,
    rng: np.random.Generator,
    *,
    focus: int | None = None,
) -> Followed:
    """Measure the association of two codings; pictures without one of them (-1) take no part.

    Args:
        said: (n,) of `kinds`.
        codes: (n,) places in `values`.
        focus: the kind whose shares are told; None takes the commonest.
    """
    kept = np.flatnonzero((said >= 0) & (codes >= 0))
    one, other = said[kept], codes[kept]
    alone = [f"\0{place}" for place in kept.tolist()]  # a picture of no patient is one of its own
    names_of = alone if groups is None else [groups[place] or alone[at] for at, place in enumerate(kept.tolist())]
    _, unit = np.unique(names_of, return_inverse=True)
    shape = (kinds, len(values))
    table = count_pairs(one, other, shape)
    v = cramers_v(table)
    common = int(table.sum(axis=1).argmax()) if focus is None else focus
    shares = {
        value: float(table[common, at] / table[:, at].sum()) for at, value in enumerate(values) if table[:, at].any()
    }
    if not replicates:
        return Followed(v, None, 1.0, shares=shares)
    shuffle = shuffler(other, unit)
    observed = phi2(table)
    beaten = sum(phi2(count_pairs(one, shuffle(rng), shape)) >= observed - 1e-12 for _ in range(replicates))
    rows = np.arange(len(kept))[np.argsort(unit, kind="stable")]
    ends = np.cumsum(np.bincount(unit))
    members = np.split(rows, ends[:-1])
    drawn = []
    for _ in range(replicates):
        picked = np.concatenate([members[at] for at in rng.integers(len(members), size=len(members))])
        drawn.append(cramers_v(count_pairs(one[picked], other[picked], shape), resampled=True))
    low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2])
    return Followed(v, (float(low), float(high)), (1 + beaten) / (1 + replicates), shares=shares)


def _corrected(columns: Sequence[Column]) -> list[Column]:
    """Correct the p-values for all questions together."""
    found = [each for column in columns for each in (column.predictions, column.errors) if each is not None]
    corrected = iter(holm([each.p_value for each in found]))

    def mended(each: Followed) -> Followed:
        return replace(each, p_holm=next(corrected))

    return [
        replace(
            column,
            predictions=mended(column.predictions),
            errors=None if column.errors is None else mended(column.errors),
        )
        for column in columns
    ]
