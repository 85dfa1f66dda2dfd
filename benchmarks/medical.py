"""Reading DICOM: every public file against DCMTK's `dcm2pnm`, the time of planning and reading, and the memory.

    python benchmarks/medical.py --json benchmarks/results/medical.json

Needs the extra `dicom`, `dcm2pnm` (Debian: dcmtk) and, for all files, `pip install pydicom-data==1.0.0`. The files that
are compared are listed in `benchmarks/results/medical_files.txt`, each with its largest difference.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

from kpl.errors import PictureError
from kpl.images import Asked, find_pictures, load_instance
from kpl.images.dicom import PERCENTILES, grey_values, own_window, picture_of
from kpl.images.dicom_header import frame_group, header_of, text

EXPLAINED = {
    "pydicom rtdose_expb.dcm": "32 bits in big endian: DCMTK draws it otherwise than the same values in little endian",
    "pydicom rtdose_expb_1frame.dcm": "the same",
    "pydicom-data data/SC_ybr_full_uncompressed.dcm": "YBR to RGB, rounded otherwise",
    "pydicom-data data/eCT_Supplemental.dcm": "DCMTK does not read the window in its functional groups (49/102)",
}
"""Files that differ by more than one grey level, and why."""
_VOI = "FrameVOILUTSequence"
FILES = Path(__file__).parent / "results" / "medical_files.txt"


def roots() -> list[Path]:
    """Where the public files are."""
    found = [Path(pydicom.__file__).parent / "data" / "test_files"]
    if (spec := find_spec("data_store")) and spec.origin:
        found.append(Path(spec.origin).parent)
    return found


def drawn(path: Path, spread: tuple[float, float] | None) -> NDArray[np.uint8] | None:
    """Draw the first frame with dcm2pnm, without overlays; None where it cannot.

    Args:
        path: of the file.
        spread: what becomes black and white where the file has no window; else its first window, or its VOI LUT.
    """
    between = []
    if spread:
        low, high = spread  # of a window the first value that is black, and the last but one that is white
        between = [["+Ww", f"{(low + high) / 2 + 0.5:.6f}", f"{high - low + 1:.6f}"]]
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "a.bmp"
        for how in (*between, ["+Wi", "1"], ["+Wl", "1"], []):
            words = ["dcm2pnm", "-q", "-O", "+ob", *how, str(path), str(out)]
            if subprocess.run(words, capture_output=True, check=False).returncode == 0 and out.exists():
                return np.asarray(Image.open(out).convert("RGB"))
    return None


def compare() -> dict[str, Any]:
    """Compare every file that both can draw, also such as are set aside when they are found (doses, segmentations).

    What is drawn is the first frame as it is stored: before it is cut to regions and made square.
    """
    told: dict[str, str] = {}
    for root in roots():
        for path in sorted(each for each in root.rglob("*") if each.is_file()):
            name = f"{'pydicom-data' if root.name == 'data_store' else 'pydicom'} {path.relative_to(root).as_posix()}"
            try:
                dataset = header_of(path)
                mine = picture_of(dataset, path=path)
                plain = mine.ndim == 3 or own_window(dataset) or frame_group(dataset, _VOI, 0).get("VOILUTSequence")
                values, padding = (mine, None) if plain else grey_values(dataset, 0, path)
            except Exception as error:  # no picture: the tests say which, and why
                del error
                continue
            seen = values if padding is None or padding.all() else values[~padding]
            eight = text(dataset, "BitsStored") == "8" and text(dataset, "RescaleSlope") in ("", "1")
            low, high = np.percentile(seen, PERCENTILES)
            other = drawn(path, None if plain or eight else (float(low), float(high)))
            if other is None:
                continue
            mine = mine if mine.ndim == 3 else np.repeat(mine[..., None], 3, axis=-1)
            if mine.shape != other.shape:
                told[name] = f"{mine.shape} against {other.shape}"
            else:
                told[name] = str(int(np.abs(mine.astype(int) - other).max()))
    lines = [f"{name}: {apart}" for name, apart in sorted(told.items())]
    FILES.write_text("\n".join(lines) + "\n", encoding="utf-8")
    apart = {name: most for name, most in told.items() if most not in ("0", "1")}
    reasons = {name: f"{most}: {EXPLAINED.get(name, 'not explained')}" for name, most in apart.items()}
    return {"compared": len(told), "within_one": len(told) - len(apart), "apart": reasons}


def series(folder: Path, count: int) -> None:
    """Write a CT of `count` slices, 512 x 512 in 16 bits, from one public header."""
    dataset = pydicom.dcmread(Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm")
    values = np.kron(dataset.pixel_array, np.ones((4, 4), np.int16))
    dataset.Rows = dataset.Columns = 512
    for number in range(count):
        dataset.SOPInstanceUID = f"1.2.3.{number}"
        dataset.ImagePositionPatient = ["0", "0", str(number)]
        dataset.PixelData = (values + np.int16(number % 7)).tobytes()
        dataset.save_as(folder / f"IM{number:05d}")


def timed(work: Callable[[], Any]) -> float:
    """Seconds of the best of three."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def speed(count: int = 1000, shown: int = 300) -> dict[str, float]:
    """Plan a CT, read it, and read as many PNG files of the same size in 8 bits; warm cache, one run."""
    with tempfile.TemporaryDirectory() as name:
        study, pngs = Path(name, "study"), Path(name, "png")
        study.mkdir()
        pngs.mkdir()
        series(study, count)
        planned = timed(lambda: find_pictures(study, Asked(slices=count)))
        began = time.process_time()
        find_pictures(study, Asked(slices=count))
        worked = time.process_time() - began
        dicom = find_pictures(study, Asked(slices=count, window="40/400")).pictures
        for number, instance in enumerate(dicom[:shown]):
            pixels = load_instance(instance)[1]
            if isinstance(pixels, PictureError):
                raise pixels
            buffer = io.BytesIO()
            Image.fromarray(pixels[..., 0]).save(buffer, "PNG")
            Path(pngs, f"{number}.png").write_bytes(buffer.getvalue())
        plain = find_pictures(pngs).pictures
        of_dicom = shown / timed(lambda: [load_instance(each) for each in dicom[:shown]])
        of_png = shown / timed(lambda: [load_instance(each) for each in plain])
        for each in dicom:
            load_instance(each)
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if sys.platform != "darwin" else 2**20)
    return {
        "slices": count,
        "planned_seconds": planned,
        "planned_cpu_seconds": worked,
        "dicom_a_second": of_dicom,
        "png_a_second": of_png,
        "ratio": of_dicom / of_png,
        "most_memory_mib": most,
    }


def main() -> None:
    """Measure all, print it and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    told: dict[str, Any] = {"speed": speed()}
    if shutil.which("dcm2pnm"):
        told["dcm2pnm"] = compare()
    print(json.dumps(told, indent=1))
    if chosen.json:
        chosen.json.parent.mkdir(exist_ok=True)
        chosen.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
