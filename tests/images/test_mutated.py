"""Damaged headers of DICOM, NIfTI, clips and slides: a picture or a reason, no crash, no endless wait, no flood."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image
from tests.images.made_dicom import FILES, cine
from tests.images.made_slides import blocks, of_picture, write_slide

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
MEMORY = 3 << 29  # a frame of an animation may claim 100 megapixels, and is made before its size is known
PIXELS = 40_000_000  # that are allowed of a picture: what a header may claim bounds what reading it takes


@dataclass(frozen=True)
class Seed:
    """A file that is sound, and where its header begins beside its first bytes."""

    data: bytes
    suffix: str
    start: int = 0


def clips(place: Path) -> list[Seed]:
    """A cine, and animations."""
    frames = [Image.new("RGB", (16, 12), (shade, 0, 0)) for shade in range(0, 250, 40)]
    found = [Seed(cine(4), ".dcm")]
    for suffix in (".gif", ".webp", ".tif"):
        path = place / f"film{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        start = int.from_bytes(path.read_bytes()[4:8], "little") if suffix == ".tif" else 0
        found.append(Seed(path.read_bytes(), suffix, start))
    return found


def slides(place: Path) -> list[Seed]:
    """Small pyramids, whose directories stand behind their tiles."""
    picture, found = blocks(np.eye(3, dtype=np.bool_), 100), []
    for name, more in (("plain", {}), ("jpeg", {"jpeg": True}), ("text", {"text": b"Aperio |MPP = 0.5"})):
        path = write_slide(place / f"{name}.tif", picture.shape[1::-1], of_picture(picture), levels=2, **more)
        found.append(Seed(path.read_bytes(), ".tif", int.from_bytes(path.read_bytes()[8:16], "little")))
    return found


def damaged(seed: Seed, generator: np.random.Generator) -> bytes:
    """A few bytes of the header changed, cut out or doubled, or the end cut off."""
    held = bytearray(seed.data)
    for _ in range(generator.integers(1, 5)):
        at = int(generator.integers(0, min(HEADER, max(16, len(held) - seed.start))))
        at += seed.start * (seed.start + at < len(held) and generator.random() < 0.9)
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
    """Seconds that the slowest of so many damaged files of each kind took, and the most memory that was held."""
    warnings.simplefilter("ignore")
    generator, slowest = np.random.default_rng(11), 0.0
    studies = [Seed(path.read_bytes(), "".join(path.suffixes)) for path in SEEDS]
    for seed in (own[at % len(own)] for own in (studies, clips(place), slides(place)) for at in range(count)):
        path = place / f"a{seed.suffix}"
        path.write_bytes(damaged(seed, generator))
        began = time.process_time()
        try:
            found = find_pictures(path, Asked(slices=2, frames=2))
        except InputError:
            continue
        for instance in found.pictures[:2]:
            pixels = load_instance(instance, max_pixels=PIXELS)[1]
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
    count = int(os.environ.get("KPL_FUZZ", "40"))
    # In a process of its own: this one holds what other tests left.
    code = f"from {__name__} import *; print(*gone_through(Path({str(tmp_path)!r}), {count}))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    slowest, most = map(float, done.stdout.split())
    sys.stdout.write(f"3 x {count} damaged headers: slowest {slowest:.1f} s, at most {most / 2**20:.0f} MiB\n")
    assert most < MEMORY
