"""What planning a table of pictures costs: processor seconds and memory by the number of rows, each in its own process.

python benchmarks/planning.py --rows 100000 1000000 --json benchmarks/out/planning.json
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_GROUP = 1 << 17


def write(path: Path, rows: int) -> None:
    """Write a table of names, patients and labels; one of the pictures is there."""
    from PIL import Image

    (path.parent / "p0000").mkdir(exist_ok=True)
    Image.new("RGB", (4, 4)).save(path.parent / "p0000" / "000000000.png")

    def groups() -> Iterator[tuple[list[str], list[str]]]:
        for start in range(0, rows, _GROUP):
            places = range(start, min(rows, start + _GROUP))
            yield [f"p{at // 10_000:04d}/{at:09d}.png" for at in places], [f"P{at // 7}" for at in places]

    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow.parquet import ParquetWriter

        schema = pyarrow.schema([(title, pyarrow.string()) for title in ("image", "patient", "label")])
        with ParquetWriter(path, schema) as writer:
            for names, patients in groups():
                writer.write_table(pyarrow.table([names, patients, ["x"] * len(names)], schema=schema))
        return
    with path.open("w", encoding="utf-8") as file:
        file.write("image,patient,label\n")
        for names, patients in groups():
            file.writelines(f"{name},{patient},x\n" for name, patient in zip(names, patients, strict=True))


def measure(path: Path) -> dict[str, float]:
    """Plan a table in this process."""
    from kpl.embeddings import open_manifest
    from kpl.images import Asked

    began = time.process_time()
    manifest = open_manifest([str(path)], Asked(), 16384)
    seconds = time.process_time() - began
    if manifest is None:
        raise SystemExit("too few rows to be read in slices")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": manifest.total, "seconds": seconds, "us": seconds / manifest.total * 1e6, "MB": memory}


def main() -> None:
    """Write tables, plan each in a process of its own, and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--kinds", nargs="+", default=["parquet", "csv"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one)))
        return
    found = {}
    for kind in given.kinds:
        for rows in given.rows:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"m.{kind}"
                write(path, rows)
                said = subprocess.run([sys.executable, __file__, "--one", str(path)], capture_output=True, check=True)
            found[f"{kind} {rows}"] = told = json.loads(said.stdout)
            print(f"{kind:8} {rows:>11} rows {told['seconds']:7.2f} s {told['us']:6.2f} us a row {told['MB']:6.0f} MB")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
