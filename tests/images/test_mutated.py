"""Damaged headers of DICOM and NIfTI: a picture or a reason, never a crash, an endless wait or unbounded memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import nibabel
import numpy as np
from tests.images.made_dicom import FILES

from kpl.errors import InputError, PictureError
from kpl.images import Asked, find_pictures, load_instance

VOLUMES = (
    *("anatomical.nii", "example4d.nii.gz", "example_nifti2.nii.gz", "test.mgz"),
    *("minc1_1_scale.mnc", "minc2_1_scale.mnc"),
)
SEEDS = [
    *(
        FILES / name
        for name in ("CT_small.dcm", "MR_small_RLE.dcm", "examples_ybr_color.dcm", "MR_small_bigendian.dcm")
    ),
    *(Path(nibabel.__file__).parent / "tests" / "data" / name for name in VOLUMES),
]
HEADER = 2000  # bytes in which damage is done
MEMORY = 1 << 30


def damaged(data: bytes, generator: np.random.Generator) -> bytes:
    """A few bytes of the header changed, cut out or doubled, or the end cut off."""
    held = bytearray(data)
    for _ in range(generator.integers(1, 5)):
        at = int(generator.integers(0, min(HEADER, len(held))))
        what = generator.integers(0, 4)
        if what == 0:
            held[at : at + 4] = generator.bytes(4)
        elif what == 1:
            held[at : at + 4] = b"\xff\xff\xff\x7f"
        elif what == 2:
            del held[at : at + int(generator.integers(1, 9))]
        else:
            held[at:at] = held[at : at + 16]
    return bytes(held[: int(generator.integers(1, len(held)))]) if generator.random() < 0.1 else bytes(held)


def gone_through(place: Path, count: int) -> tuple[float, int]:
    """Seconds that the slowest of so many damaged files took, and the most memory that this process had."""
    warnings.simplefilter("ignore")
    generator, slowest = np.random.default_rng(11), 0.0
    for number in range(count):
        seed = SEEDS[number % len(SEEDS)]
        path = place / f"a{''.join(seed.suffixes)}"
        path.write_bytes(damaged(seed.read_bytes(), generator))
        began = time.process_time()
        try:
            found = find_pictures(path, Asked(slices=2, frames=2))
        except InputError:
            continue
        for instance in found.pictures:
            pixels = load_instance(instance)[1]
            assert isinstance(pixels, PictureError) or (pixels.dtype == np.uint8 and pixels.shape[2] == 3)
        slowest = max(slowest, time.process_time() - began)
    return slowest, most_memory()


def most_memory() -> int:
    """The most bytes that this process has held; what the system accounts for a child begins with its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def test_damaged_headers_give_a_picture_or_a_reason(tmp_path: Path) -> None:
    count = int(os.environ.get("KPL_FUZZ", "60"))
    # In a process of its own: this one holds what other tests left.
    code = f"from {__name__} import *; print(*gone_through(Path({str(tmp_path)!r}), {count}))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    slowest, most = map(float, done.stdout.split())
    sys.stdout.write(f"{count} damaged headers: slowest {slowest:.1f} s, at most {most / 2**20:.0f} MiB\n")
    assert most < MEMORY
