"""`kpl demo`: the whole job on real pictures that ship with the package, from nothing to a scored run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from kpl.cli.classify import print_result
from kpl.cli.evaluate import print_evaluation
from kpl.cli.progress import stages
from kpl.cli.terminal import Console
from kpl.errors import AlreadyThereError, OutputError

if TYPE_CHECKING:
    from kpl.runs.single_label import SingleLabelRun

_METHODS = ("cupl", "kpl")


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder for the demo.")] = Path("demo"),
) -> None:
    """Classify 200 real blood cells that ship with KPL by the embedded encoder, score the result, and write a report.

    Example:

      kpl demo --out demo/
    """
    from kpl.demo import draw_demo
    from kpl.files import new_folder
    from kpl.report import write_report
    from kpl.runs import classify, evaluate, open_run

    console = Console()
    with stages() as progress, new_folder(out) as work:
        _refuse_loss(out)
        pictures = draw_demo(work, progress=lambda done, total: progress("pictures", done, total))
        result = classify(pictures, knowledge="blood-cells", out=work / "run", with_evidence=True, progress=progress)
        scored = evaluate(work / "run", labels=work / "truth.csv", methods=_METHODS, progress=progress)
        write_report(work / "run", labels=work / "truth.csv", methods=_METHODS)
    run = cast("SingleLabelRun", open_run(out / "run"))
    print_result(replace(run, seconds=result.seconds, embed_seconds=result.embed_seconds))
    console.print()
    print_evaluation(scored)
    console.print("\nReal cells, in proportions that are not equal; no label was used to classify them.")
    console.print("cupl is the average of the descriptions, majority the commonest kind for every picture.")
    console.print("Pictures: Acevedo et al. 2020, CC BY 4.0; the encoder was trained on others of the same data set.")
    console.print("Where to look:", style="bold")
    for path, what in (
        (out / "pictures", "the cells"),
        (out / "run" / "predictions.csv", "what KPL says of each, and how sure it is"),
        (out / "run" / "evidence.csv", "the sentences that spoke for and against"),
        (out / "run" / "run.json", "what was run on what"),
        (out / "run" / "report.html", "all of it with the pictures, to open in a browser"),
    ):
        console.print(f"  {path}  {what}", highlight=False, soft_wrap=True)


def _refuse_loss(out: Path) -> None:
    if out.is_dir() and not any(out.iterdir()):
        return
    if (out / "truth.csv").is_file() and (out / "run" / "run.json").is_file():
        raise AlreadyThereError(out)
    if out.exists():
        raise OutputError(f"{str(out)!r} exists and is no demo: name another folder, or remove it")
