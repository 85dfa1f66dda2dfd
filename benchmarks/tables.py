"""How fast, and in how much memory, is a long table of labels read?

    python benchmarks/tables.py --json benchmarks/out/tables.json        (about 2 minutes)

A million rows of CSV and of Parquet, a hundred thousand of Excel; of a run of ten thousand pictures, and of one of a
hundred thousand. Each is read in a process of its own, as `kpl evaluate` reads it: columns found by their titles, names
matched with the run's pictures, labels with the classes.
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from common import parser, print_table, save

CLASSES = ("basophil", "monocyte", "neutrophil")
TITLES = ("image", "patient_id", "label", "age", "site")
PICTURES = (10_000, 100_000)


def rows(n: int) -> Iterator[tuple[str, str, str, int, str]]:
    """Yield what a table says of n pictures."""
    for at in range(n):
        yield f"scan-{at:07d}.png", f"P{at // 4:06d}", CLASSES[at % len(CLASSES)], 20 + at % 70, "abc"[at % 3]


def write(path: Path, n: int) -> None:
    """Write a table of n rows."""
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([TITLES, *rows(n)])
    elif path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(dict(zip(TITLES, zip(*rows(n), strict=True), strict=True))), path)
    else:
        from openpyxl import Workbook

        book = Workbook(write_only=True)
        sheet = book.create_sheet("labels")
        for row in (TITLES, *rows(n)):
            sheet.append(row)
        book.save(path)


def read(path: Path, pictures: int) -> None:
    """Read the labels of so many pictures, and print what it took."""
    from kpl.evaluation import read_labels

    ids = [f"scan-{at:07d}.png" for at in range(pictures)]
    before, start, busy = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter(), time.process_time()
    truth = read_labels(path, ids, list(CLASSES))
    told = {
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - busy,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "megabytes_before": before / 1024,
        "labelled": int((truth.labels >= 0).sum()),
    }
    print(json.dumps(told))


def main() -> None:
    """Measure, and print the table."""
    asked = parser(__doc__)
    asked.add_argument("--read", nargs=2, metavar=("TABLE", "PICTURES"), help="read one, in this process")
    arguments = asked.parse_args()
    if arguments.read:
        read(Path(arguments.read[0]), int(arguments.read[1]))
        return
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix, n in ((".csv", 1_000_000), (".parquet", 1_000_000), (".xlsx", 100_000)):
            path = Path(folder) / f"labels{suffix}"
            write(path, n)
            for pictures in PICTURES:
                command = [sys.executable, __file__, "--read", str(path), str(pictures)]
                told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                found.append({"kind": suffix[1:], "rows": n, "pictures": pictures, **told})
    shown = [
        (
            each["kind"],
            f"{each['rows']:,}",
            f"{each['pictures']:,}",
            f"{each['seconds']:.1f}",
            f"{each['processor_seconds']:.1f}",
            f"{each['megabytes']:.0f}",
        )
        for each in found
    ]
    print_table(
        "Reading a table of labels",
        ("table", "rows", "pictures of the run", "seconds", "of the processor", "MB at most"),
        shown,
    )
    save(arguments.json, {"tables": found})


if __name__ == "__main__":
    main()
