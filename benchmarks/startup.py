"""What does a newcomer wait for: processor seconds of short commands, with the byte code written.

python benchmarks/startup.py --json benchmarks/out/startup.json        (half a minute)
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from PIL import Image

from common import parser, print_table, save

ROUNDS = 9
COMMANDS = {
    "kpl --help": ("--help",),
    "kpl knowledge packs": ("knowledge", "packs"),
    "kpl classify of one picture": ("classify", "one.png", "-k", "blood-cells", "-o", "run", "--overwrite"),
}


def seconds(words: tuple[str, ...], folder: Path) -> float:
    """Return the processor seconds, user and system, of one command."""
    before = os.times()
    kpl = Path(sysconfig.get_path("scripts")) / "kpl"
    subprocess.run([kpl, *words], cwd=folder, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["KPL_HOME"] = str(Path(place) / "kpl")
        Image.new("RGB", (128, 128), (200, 160, 180)).save(Path(place) / "one.png")
        found = {
            name: statistics.median([seconds(words, Path(place)) for _ in range(ROUNDS + 1)][1:])
            for name, words in COMMANDS.items()
        }
    rows = [(name, f"{value:.2f}") for name, value in found.items()]
    print_table(f"Median of {ROUNDS}", ["command", "processor seconds"], rows)
    save(arguments.json, {"rounds": ROUNDS, "seconds": found})


if __name__ == "__main__":
    main()
