"""Type a page's commands and nothing else, on a folder and a table that somebody else made; stop where one fails.

python .ci/walk.py README.md --heading "From a folder" --kpl BIN/kpl --pictures FOLDER --labels TABLE
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def commands(page: Path, heading: str) -> list[str]:
    """The lines that begin with `kpl` in the first block below the heading that holds any."""
    below = page.read_text(encoding="utf-8").partition(f"## {heading}")[2].partition("\n## ")[0]
    blocks = re.findall(r"```\w*\n(.*?)```", below, flags=re.DOTALL)
    return next(lines for block in blocks if (lines := re.findall(r"^(?:\$ )?(kpl .+)$", block, flags=re.MULTILINE)))


def read_by_a_person(queue: Path, labels: dict[str, str]) -> None:
    """Fill in the empty column of the queue, as who looks at the pictures would."""
    with queue.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        sys.exit(f"{queue.name} lists no picture")
    with queue.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {"label": labels[Path(row["image"]).stem]} for row in rows)


def main() -> None:
    """Walk the page in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--heading", required=True)
    parser.add_argument("--kpl", type=Path, required=True, help="the command to walk with")
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True, help="a table: picture, label")
    asked = parser.parse_args()
    lines = commands(asked.page, asked.heading)
    with asked.labels.open(encoding="utf-8", newline="") as file:
        labels = {Path(row[0]).stem: row[1] for row in csv.reader(file)}
    env = os.environ | {"PATH": f"{asked.kpl.resolve().parent}{os.pathsep}{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        shutil.copytree(asked.pictures, work / "SCANS")
        shutil.copyfile(asked.labels, work / "labels.csv")
        for line in lines:
            for queue in re.findall(r"^kpl correct .*--table (\S+)", line):
                read_by_a_person(work / queue, labels)
            print(f"$ {line}", flush=True)
            if code := subprocess.run(line, shell=True, cwd=work, env=env, check=False).returncode:  # noqa: S602 - our page
                sys.exit(f"exit {code}")
            for made in re.findall(r"--out (\S+)", line):
                if not (work / made).exists():
                    sys.exit(f"{made} is not there")
    print(f"{len(lines)} commands of {asked.page.name}, as typed")


if __name__ == "__main__":
    main()
