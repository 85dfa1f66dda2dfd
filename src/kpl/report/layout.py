"""What the reports of all runs have in common: what was run, what was set aside, and pictures kept once."""

from __future__ import annotations

import base64
from dataclasses import fields
from typing import Any

from kpl.images import BURNED_IN
from kpl.methods import METHODS
from kpl.runs import Run

_LISTED = 200  # set aside, one line each

Near = tuple[str, float, str | None]
"""Name of a picture, cosine with it, and its id in the page if the run kept it."""


class Sprite:
    """Thumbnails that are shown, each written once into the page, however often it is seen.

    Attributes:
        pictures: (id in the page, data URI) of those that were asked for.
    """

    def __init__(self, run: Run) -> None:
        """Begin with none, of the thumbnails that a run kept."""
        self.thumbnails = {(row, ""): small for row, small in run.thumbnails.items()} | run.beside
        self.pictures: dict[str, str] = {}

    def __call__(self, row: int, side: str | None = None) -> str | None:
        """Return the id of a picture in the page, or of what lies beside it; None if the run did not keep it."""
        kept = self.thumbnails.get((row, side or ""))
        if kept is None:
            return None
        name = f"p{row}{side or ''}"
        if name not in self.pictures:
            self.pictures[name] = inline(kept)
        return name

    def held(self, row: int) -> str | None:
        """Return the id of a picture if the page has it already, else the picture itself, WebP in base64; or None."""
        kept, name = self.thumbnails.get((row, "")), f"p{row}"
        return None if kept is None else name if name in self.pictures else base64.b64encode(kept).decode("ascii")


def inline(webp: bytes) -> str:
    """Return a picture as a data URI."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode("ascii")


def set_aside(run: Run) -> dict[str, Any]:
    """Tell which files have no prediction, and why."""
    files = run.summary["set_aside"]
    return {"files": files[:_LISTED], "count": len(files), "others": run.summary["other_files"]}


def what_was_run(run: Run) -> dict[str, Any]:
    """Tell what was run on what, and how each setting came to have its value."""
    summary = run.summary
    plan, about, encoder = summary["plan"], summary["knowledge"], summary["encoder"]
    method, units = METHODS.get(plan["method"]), run.features.of_units
    return {
        "pictures": run.total if run.whole else run.features.n,
        "units": run.n if run.key_rows is not None else None,
        "n": run.total,
        "table": run.predictions_file.name,
        "sample": run.n if run.whole else None,
        "things": "pictures" if run.key_rows is None else "units",
        "burned_in": 0 if units.single else sum(BURNED_IN in unit.notes for unit in units.listed),
        "classes": len(run.knowledge.classes),
        "encoder": encoder,
        "knowledge": about,
        "reviewed": about["reviewed"] / max(about["descriptions"], 1),
        "method": plan["method"],
        "summary": method.summary if method else "",
        "facts": method.facts if method else None,
        "settings": [(name, _plain(value), _why(run, name, value)) for name, value in plan["settings"].items()],
        "calibration": plan.get("calibration"),
        "abstain": plan.get("abstain"),
        "model": plan.get("model"),
        "plan_hash": summary["plan_hash"],
        "versions": summary["versions"],
        "plan": plan,
    }


def _plain(value: object) -> str:
    if value is None:
        return "all"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _why(run: Run, name: str, value: object) -> str:
    """Say how a setting came to have its value."""
    plan, scale = run.summary["plan"], run.summary["encoder"].get("logit_scale")
    if plan.get("model"):
        return "kept from the model"
    if name == "temperature" and scale and abs(float(str(value)) * scale - 1) < 1e-6:
        return f"one over the encoder's logit scale, {scale:.4g}"
    method = METHODS.get(plan["method"])
    defaults = {f.name: f.default for f in fields(method)} if method else {}
    if name in defaults and defaults[name] == value:
        return "the method's default"
    return "set for this run"
