"""Every command that writes, as it is killed: what was there before, the command, and the names it writes.

All of them start from one folder with pictures, knowledge, features, runs and a model; see `start_state`.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.cli.conftest import MINI, SENTENCES
from typer.main import get_command

from kpl.cli.main import app
from kpl.knowledge.reviewing import Review

SPELLED = {name: [s.replace("without a", "and no") for s in said[:2]] for name, said in SENTENCES.items()}
"""Other sentences for the same classes, so that an earlier result differs."""


@dataclass(frozen=True)
class Case:
    """A command and its names.

    Attributes:
        command: as it is typed after `kpl`; {llm} stands for the address of a language model's server.
        outputs: what it writes; each must be whole at every moment. `~` is KPL_HOME.
        before: commands that make what it replaces.
        keys: what somebody presses all the time, where it needs a terminal.
        between: makes, in the folder of the start, what else is whole on the way: the first decisions of several.
        code: the exit code of the undisturbed command.
        short: belongs to the short selection.
        made: makes in the start what only this case needs.
        torch: needs the extras that bring torch.
    """

    command: str
    outputs: tuple[str, ...] = ("out",)
    before: tuple[str, ...] = ()
    keys: str = ""
    between: tuple[Callable[[Path], None], ...] = ()
    code: int = 0
    short: bool = False
    made: Callable[[Path], object] | None = None
    torch: bool = False

    @property
    def arguments(self) -> list[str]:
        return shlex.split(self.command)


def _decide_once(place: Path) -> None:
    Review(place / "clean.yaml", "A", datetime.now().astimezone().date().isoformat()).accept()


def _model(place: Path) -> None:
    from tests.encoders.tiny_models import openclip_vit

    openclip_vit(place / "model")


def _cases() -> dict[str, Case]:
    k, old = "-k small.json -o out", "classify fewer -k other.json -o out"
    labels = "--labels labels.csv --ignore-unknown"
    return {
        "classify": Case(f"classify scans {k}"),
        "classify over": Case(f"classify scans {k} --overwrite", before=(old,), short=True),
        "classify explain": Case(f"classify features {k} --explain"),
        "classify explain over": Case(f"classify features {k} --explain --overwrite", before=(old,)),
        "classify parquet": Case(f"classify features {k} --predictions parquet"),
        "classify several": Case(f"classify scans {k} --multi-label"),
        "classify several over": Case(f"classify scans {k} --multi-label --overwrite", before=(old,)),
        "classify model": Case("classify scans --model old.kpl -o out"),
        "classify bundle": Case(f"classify scans {k} --encoder ./mini.kplenc"),
        "report": Case(f"report run {labels}", ("run",), short=True),
        "explain": Case(
            "explain run cell-0.png --map map.png --picture scans/neutrophil/cell-0.png", ("map.png",)
        ),
        "explain over": Case(
            "explain run cell-0.png --map map.png --picture scans/neutrophil/cell-0.png", ("map.png", "run"),
            ("explain run cell-1.png --map map.png --picture scans/normal_red_cell/cell-1.png",),
        ),
        "plan": Case("plan scans --json plan.json", ("plan.json",)),
        "plan over": Case("plan scans --json plan.json", ("plan.json",), ("plan few --json plan.json",)),
        "plan medical": Case("plan study --json plan.json", ("plan.json", "~/pseudonyms.key")),
        "embed": Case("embed scans -o out"),
        "embed over": Case("embed scans -o out --overwrite", before=("embed few -o out",), short=True),
        "embed deep": Case("embed scans -o made/on/the/way", ("made/on/the/way",), short=True),
        "embed join": Case("embed --join out", before=("embed scans -o out --part 0/1",), short=True),
        "embed join over": Case(
            "embed --join out", before=("embed few -o out", "embed scans -o out --part 0/1 --overwrite")
        ),
        "fit": Case("fit scans -k small.json -o new.kpl", ("new.kpl",)),
        "fit over": Case("fit scans -k small.json -o old.kpl --overwrite", ("old.kpl",), short=True),
        "update": Case("update old.kpl scans", ("old.kpl",)),
        "update out": Case("update old.kpl scans -o new.kpl", ("new.kpl", "old.kpl")),
        "update out over": Case(
            "update old.kpl scans -o new.kpl --overwrite", ("new.kpl", "old.kpl"),
            ("fit fewer -k other.json -o new.kpl",),
        ),
        "evaluate": Case(
            f"evaluate run {labels} --methods text,kpl --replicates 20 --json figures.json --figure figure.svg",
            ("figures.json", "figure.svg", "run"),
        ),
        "evaluate over": Case(
            f"evaluate run {labels} --methods text --replicates 20 --json figures.json --figure figure.svg",
            ("figures.json", "figure.svg", "run"),
            ("evaluate olddozen --labels dozen.csv --methods text --json figures.json --figure figure.svg",),
        ),
        "calibrate": Case("calibrate dozenrun --labels dozen.csv -o cal.json", ("cal.json",)),
        "calibrate over": Case(
            "calibrate dozenrun --labels dozen.csv -o cal.json", ("cal.json",),
            ("calibrate olddozen --labels dozen.csv -o cal.json",),
        ),
        "queue": Case("queue run --out list.csv", ("list.csv", "run"), short=True),
        "queue over": Case("queue run --out list.csv", ("list.csv", "run"), ("queue olddozen --out list.csv",)),
        "correct": Case("correct run cell-0.png platelet --by A", ("run",), short=True),
        "correct many": Case("correct run --table labels.csv --by A", ("run",)),
        "learn": Case("learn readrun -o out", ("out", "readrun")),
        "learn over": Case(
            "learn readrun -o out --overwrite", ("out", "readrun"), ("classify fewer -k other.json -o out",)
        ),
        "compare": Case("compare run readrun --json told.json", ("told.json", "run"), short=True),
        "compare over": Case(
            "compare run readrun --json told.json", ("told.json", "run"), ("compare readrun run --json told.json",)
        ),
        "audit": Case("audit dozenrun --table sites.csv --json told.json", ("told.json", "dozenrun")),
        "audit over": Case(
            "audit dozenrun --table sites.csv --json told.json", ("told.json", "dozenrun"),
            ("audit olddozen --table sites.csv --json told.json",),
        ),
        "export": Case("export run --to folders --pictures scans -o out"),
        "export reports": Case(
            "export studyrun --to dicom-sr --source study -o out",
            before=("classify study -k small.json --encoder mini -o studyrun",),
        ),
        "export table": Case("export run --to csv -o out.csv", ("out.csv",), short=True),
        "demo": Case("demo -o out"),
        "knowledge new": Case("knowledge new made.yaml --classes a,b", ("made.yaml",)),
        "knowledge new over": Case("knowledge new small.yaml --classes a,b --overwrite", ("small.yaml",)),
        "knowledge write": Case(
            "knowledge write clean.yaml --llm {llm} --model tiny --per-class 4 --strategy paper --concurrency 1",
            ("clean.yaml",),
        ),
        "knowledge write pack": Case(
            "knowledge write blood-cells --llm {llm} --model tiny --per-class 12 --max-calls 1 --concurrency 1 "
            "--out made.yaml", ("made.yaml",),
        ),
        "knowledge schema": Case("knowledge schema -o schema.json", ("schema.json",)),
        "knowledge show": Case(
            "knowledge show small.json --features features --json told.json --figure told.svg",
            ("told.json", "told.svg"),
        ),
        "knowledge show over": Case(
            "knowledge show small.json --features features --json told.json --figure told.svg",
            ("told.json", "told.svg"),
            ("knowledge show other.json --features fewer --json told.json --figure told.svg",),
        ),
        "knowledge fix": Case("knowledge lint small.yaml --fix", ("small.yaml",), code=1, short=True),
        "knowledge review": Case(  # each decision is kept at once
            "knowledge review clean.yaml --reviewer A", ("clean.yaml",), keys="a", between=(_decide_once,), short=True
        ),
        "knowledge merge": Case("knowledge merge small.json other.json -o made.json", ("made.json",)),
        "knowledge merge over": Case(
            "knowledge merge small.json other.json -o small.yaml --overwrite", ("small.yaml",)
        ),
        "knowledge import": Case("knowledge import sentences.csv --as made", ("made.yaml",)),
        "knowledge import over": Case("knowledge import sentences.csv --as small.yaml --overwrite", ("small.yaml",)),
        "encoders bundle": Case("encoders bundle mini -o new.kplenc", ("new.kplenc",)),
        "encoders bundle over": Case("encoders bundle mini -o other.kplenc --overwrite", ("other.kplenc",)),
        "encoders bundle folder": Case("encoders bundle mini -o out"),
        "encoders bundle folder over": Case("encoders bundle mini -o other --overwrite", ("other",), short=True),
        "encoders pull": Case("encoders pull ./mini.kplenc", ("~/encoders/mini",)),
        "encoders pull over": Case(
            "encoders pull ./mini.kplenc", ("~/encoders/mini",), ("encoders pull ./other",), short=True
        ),
        "encoders pull folder": Case("encoders pull ./other", ("~/encoders/mini",)),
        "encoders advise": Case("encoders advise dozen -k small.json --json told.json", ("told.json",)),
        "encoders advise over": Case(
            "encoders advise dozen -k small.json --json told.json", ("told.json",),
            ("encoders advise dozen -k other.json --json told.json",),
        ),
        "encoders export": Case(  # made once before, or each one that is forked would read all of torch
            "encoders export ./model -o out", before=("encoders export ./model -o before",), made=_model, torch=True,
            short=True,
        ),
        "encoders check": Case("encoders check ./mini.kplenc", ()),
    }  # fmt: skip


CASES = _cases()

READS = (
    "encoders list",
    "encoders show mini",
    "correct run --list",
    "search features 'a round disc'",
    "knowledge diff small.json other.json",
    "knowledge lint small.json",
    "knowledge packs",
    "knowledge rules",
    "knowledge show small.json",
    "methods list",
    "methods show kpl",
)
"""Commands that write nothing at all, and are held to it."""

ELSEWHERE = {
    "serve": "runs until it is stopped; a job puts its result as `classify` does, under a name that no later job gets; "
    "what a killed server left of one goes at the next start",
}


def every_command(command: Any = None, name: str = "") -> Iterator[tuple[str, Any]]:
    """The commands of the program itself, by name."""
    command = command or get_command(app)
    for inner, found in getattr(command, "commands", {}).items():
        yield from every_command(found, f"{name} {inner}".strip())
    if not hasattr(command, "commands"):
        yield name, command


def start_state(place: Path, run: Callable[[str], None]) -> None:
    """Fill a folder with what the commands work on.

    Args:
        place: an empty folder that the commands are run in.
        run: runs a command there, and fails where it fails.
    """
    import numpy as np
    from PIL import Image
    from tests.images.made_dicom import dataset, packed

    from rendered import cell_of_class, draw_cell

    for number in range(20):
        name = list(SENTENCES)[number % 3]
        rng = np.random.default_rng([7, number])
        picture = Image.fromarray(draw_cell(cell_of_class(name, rng), rng)).resize((48, 48))
        pictures = "scans" if number < 5 else "few" if number < 8 else "dozen"
        for folder in (place / pictures, *([place / "DATA" / "cell_images"] if number < 8 else [])):
            kind = folder / (name if folder.name != "cell_images" else ("Parasitized", "Uninfected")[number % 2])
            kind.mkdir(parents=True, exist_ok=True)
            picture.save(kind / f"cell-{number}.png")
    for path, sentences in (("small.json", SENTENCES), ("other.json", SPELLED)):
        entries = [{"key": key, "name": key.replace("_", " "), "descriptions": d} for key, d in sentences.items()]
        task = {"name": "small", "modality": "blood smear", "template": "{description}"}
        (place / path).write_text(json.dumps({"kpl_knowledge": 1, "task": task, "classes": entries}))
    (place / "small.yaml").write_text(
        "kpl_knowledge: 1\ntask: {name: small}\nclasses:\n"
        "  - key: disc  # the round one\n    descriptions:\n      - a round  outline\n      - a round  outline\n"
        "  - key: box\n    descriptions:\n      - four corners.\n"
    )
    (place / "clean.yaml").write_text(
        "kpl_knowledge: 1\ntask: {name: clean}\nclasses:\n"
        "  - key: disc  # the round one\n    descriptions: [a round outline]\n"
        "  - key: box\n    descriptions: [four corners]\n"
    )
    (place / "sentences.csv").write_text(
        "class,description\n" + "".join(f"{k},{s}\n" for k in "ab" for s in ("x y", "z"))
    )
    for folder, table in (("scans", "labels.csv"), ("dozen", "dozen.csv")):
        pictures = sorted((place / folder).rglob("*.png"))
        rows = [f"{path.relative_to(place / folder)},{path.parent.name}\n" for path in pictures]
        (place / table).write_text("image,label\n" + "".join(rows))
    sites = "".join(f"{row.partition(',')[0]},{'AB'[at % 2]}\n" for at, row in enumerate(rows))
    (place / "sites.csv").write_text(f"image,site\n{sites}")
    (place / "study").mkdir()
    whose = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1"}
    for number in range(2):
        picture = np.random.default_rng(number).integers(0, 4096, (48, 48)).astype("u2")
        (place / "study" / f"{number}.dcm").write_bytes(
            packed(dataset(picture, PatientID="4711", SOPInstanceUID=f"1.2.3.1.{number}", **whose))
        )
    shutil.copytree(MINI, place / "changed", ignore=shutil.ignore_patterns("__*"))
    for command in (
        "embed scans -o features",
        "embed few -o fewer",
        "classify features -k small.json --explain -o run",
        "classify fewer -k other.json -o oldrun",
        "fit fewer -k other.json -o old.kpl",
        "classify dozen -k small.json -o dozenrun",
        "classify dozen -k other.json -o olddozen",
        "classify scans -k small.json -o readrun",
        "correct readrun cell-1.png platelet --by A",
        "encoders bundle mini -o mini.kplenc",
        "encoders bundle mini -o other",
    ):
        run(command)
