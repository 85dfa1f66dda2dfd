"""What a reader wants first: what was found, how far to believe it and why, and what to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kpl.evaluation import NONE_OF_THESE
from kpl.runs import Run, SingleLabelRun

_NAMED = 5


def verdict(run: Run, scores: Mapping[str, Any] | None) -> dict[str, Any]:
    """Sum a run up in plain sentences.

    Args:
        run: of either kind.
        scores: where there are labels, `headline`, (title, value, interval) of the first figures, and `caveats`.

    Returns:
        `found`, (class name, pictures) of the commonest, "none of these" among them; `more`, further ones that were
        found; `level`, one sentence; `reasons`, why; `look`, (what, anchor) to look at first.
    """
    names = dict(zip(run.keys, run.class_names, strict=True))
    counts = [(names[key], count) for key, count in run.counts.items()]
    if isinstance(run, SingleLabelRun) and run.none_of_these:
        counts.append((NONE_OF_THESE, run.none_of_these))
    found = sorted((each for each in counts if each[1]), key=lambda each: -each[1])
    return {
        "found": found[:_NAMED],
        "more": len(found) - _NAMED if len(found) > _NAMED else 0,
        "level": _level(run, scores),
        "reasons": _reasons(run),
        "look": _look(run),
    }


def _level(run: Run, scores: Mapping[str, Any] | None) -> str:
    if scores and scores["headline"] and scores["headline"][0][1] is not None:
        title, value, interval = scores["headline"][0]
        told = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
        against = f" But {scores['caveats'][0]}." if scores["caveats"] else ""
        return f"Measured against labels: {title.lower()} {value:.3f}{told}.{against}"
    if run.warnings:
        many = "one thing" if len(run.warnings) == 1 else f"{len(run.warnings)} things"
        return f"Look before you believe it: {many} speak{'s' if len(run.warnings) == 1 else ''} against this result."
    return "Nothing that can be seen without labels speaks against it; that is no proof. Check some pictures yourself."


def _reasons(run: Run) -> list[str]:
    reasons = []
    if isinstance(run, SingleLabelRun):
        same = float((run.predictions.winners == run.text.winners).mean())
        things = "pictures" if run.key_rows is None else "units"
        reasons.append(f"The descriptions alone say the same of {same:.0%} of the {things}.")
    knowledge: Mapping[str, Any] = run.summary["knowledge"]
    if not knowledge["reviewed"]:
        reasons.append("Nobody has signed the descriptions.")
    if not run.plan.get("calibration"):
        reasons.append("Confidences are not calibrated: they order pictures, and are no rate of being right.")
    return reasons


def _look(run: Run) -> list[tuple[str, str]]:
    look = [("the least sure pictures of each class", "pictures")]
    if isinstance(run, SingleLabelRun):
        moved = int((run.predictions.winners != run.text.winners).sum())
        if moved:
            look.append((f"the {moved} on which pictures and descriptions disagree", "overruled"))
        if against := len(run.contradicted):
            look.append((f"the {against} descriptions that the pictures contradict", "knowledge"))
    return look
