"""`kpl demo`: the whole job on drawn cells, from nothing to a scored run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kpl.cli.classify import print_result
from kpl.cli.evaluate import print_evaluation
from kpl.cli.progress import stages
from kpl.cli.shown import Console

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder for the demo.")] = Path("demo"),
    count: Annotated[int, typer.Option(min=20, help="Cells to draw.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same cells.")] = 0,
) -> None:
    """Draw a few hundred stained cells, classify them with the embedded encoder, and score the result.

    Example:

      kpl demo --out demo/
    """
    from kpl.rendered import draw_demo
    from kpl.report import write_report
    from kpl.runs import classify, evaluate

    console = Console()
    with stages() as progress:
        pictures = draw_demo(out, count=count, seed=seed, progress=lambda done, total: progress("drawing", done, total))
        result = classify(pictures, knowledge="blood-cells", out=out / "run", with_evidence=True, progress=progress)
        methods = ("names", "cupl", "text", "kpl")
        scored = evaluate(out / "run", labels=out / "truth.csv", methods=methods, progress=progress)
        report = write_report(out / "run", labels=out / "truth.csv", methods=methods)
    print_result(result)
    console.print()
    print_evaluation(scored)
    console.print("\nThese cells are drawn, in proportions that are not equal; no label was used to classify them.")
    console.print("Where to look:", style="bold")
    for path, what in (
        (pictures, "the cells"),
        (out / "run" / "predictions.csv", "what KPL says of each, and how sure it is"),
        (out / "run" / "evidence.csv", "the sentences that spoke for and against"),
        (out / "run" / "run.json", "what was run on what"),
        (report, "all of it with the pictures, to open in a browser"),
    ):
        console.print(f"  {path}  {what}", highlight=False, soft_wrap=True)
