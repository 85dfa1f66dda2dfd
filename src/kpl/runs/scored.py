"""The table of an evaluation as rows, HTML, Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kpl.evaluation import CLASS_METRICS, METRICS, MultiLabelTable, Table
from kpl.visible import visible, visible_html

_Interval = tuple[float, float] | None
_Row = tuple[str, Mapping[str, float | None], Mapping[str, _Interval]]
_SPECIAL = re.compile(r"[&%$#_{}]")
_ABSENT = str.maketrans("\\~^", "/  ")


def rows(table: Table | MultiLabelTable) -> list[dict[str, str | float | None]]:
    """Return a row a method or class: its name, each metric that has a figure, and the two ends of its interval."""
    first, metrics, found = _shown(table)
    made = []
    for name, figures, intervals in found:
        row: dict[str, str | float | None] = {first: name}
        for metric in metrics:
            low, high = intervals.get(metric) or (None, None)
            row |= {metric: figures[metric], f"{metric}_low": low, f"{metric}_high": high}
        made.append(row)
    return made


def markdown(table: Table | MultiLabelTable) -> str:
    """Return the table in Markdown, each figure with its interval."""
    head, *lines = ([cell.replace("|", "/") for cell in line] for line in _cells(table, "-"))
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ["---"] * len(head), *lines])


def latex(table: Table | MultiLabelTable) -> str:
    """Return the table in LaTeX with the rules of `booktabs`, each figure with its interval."""
    head, *lines = (" & ".join(map(_latex, line)) + " \\\\" for line in _cells(table, "--"))
    columns = "l" + "r" * len(_shown(table)[1])
    inner = [r"\toprule", head, r"\midrule", *lines, r"\bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *inner, r"\end{tabular}", ""])


def html(table: Table | MultiLabelTable, notices: Sequence[str]) -> str:
    """Return the table for a notebook, with what has to be said of it below."""
    first, metrics, found = _shown(table)
    count = table.n if isinstance(table, MultiLabelTable) else table.majority.n
    head = "".join(f'<th scope="col">{title}</th>' for title in (first, *map(_title, metrics)))
    body = "".join(
        f'<tr><th scope="row">{visible_html(name)}</th>'
        f"{''.join(_html(figures[metric], intervals.get(metric)) for metric in metrics)}</tr>"
        for name, figures, intervals in found
    )
    title = f"{count} labelled images (95 % interval over {visible_html(table.unit)})"
    notes = "".join(f"<p>Note: {visible_html(notice)}</p>" for notice in notices)
    return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


def _shown(table: Table | MultiLabelTable) -> tuple[str, list[str], list[_Row]]:
    """What the first column is, the metrics that have a figure, and the rows."""
    found: list[_Row]
    if isinstance(table, MultiLabelTable):
        metrics, first = [metric.name for metric in CLASS_METRICS], "class"
        found = [
            (key, each, {metric: table.intervals.get(f"{metric} {key}") for metric in metrics})
            for key, each in table.classes.items()
        ]
        found.append(("mean", table.mean, {metric: table.intervals.get(metric) for metric in metrics}))
    else:
        metrics, first = list(METRICS), "method"
        scores = {**table.scores, "majority": table.majority, "chance": table.guessing}
        found = [(name, each.figures, dict(each.intervals)) for name, each in scores.items()]
    return first, [m for m in metrics if any(figures[m] is not None for _, figures, _ in found)], found


def _cells(table: Table | MultiLabelTable, dash: str) -> list[list[str]]:
    first, metrics, found = _shown(table)
    body = [
        [visible(name), *(_told(figures[m], intervals.get(m), dash) for m in metrics)]
        for name, figures, intervals in found
    ]
    return [[first, *map(_title, metrics)], *body]


def _title(metric: str) -> str:
    return metric.replace("_", " ")


def _told(value: float | None, pair: _Interval, dash: str) -> str:
    return "" if value is None else f"{value:.3f}" + (f" ({pair[0]:.3f}{dash}{pair[1]:.3f})" if pair else "")


def _html(value: float | None, pair: _Interval) -> str:
    told = "" if value is None else f"{value:.3f}" + (f"<br><small>{pair[0]:.3f}-{pair[1]:.3f}</small>" if pair else "")
    return f"<td>{told}</td>"


def _latex(text: str) -> str:
    return _SPECIAL.sub(lambda found: "\\" + found[0], text.translate(_ABSENT))
