"""Check an encoder as a machine without internet will use it: in a process without a network where that is allowed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kpl import errors
from kpl.encoders.bundles import check_sums, unpacked
from kpl.encoders.golden import has_golden
from kpl.encoders.offline import network_forbidden
from kpl.encoders.protocol import Encoder, EncoderCard
from kpl.encoders.registry import load_encoder, parse_spec
from kpl.encoders.selftest import check_golden, self_test
from kpl.errors import EncoderError, KplError
from kpl.progress import Progress

# The network is left before anything is loaded that has threads.
_CHILD: Final = """
from kpl.quiet import leave_network
left = leave_network()
from kpl.encoders.checking import answer
answer(left)
"""


@dataclass(frozen=True, slots=True)
class Checked:
    """An encoder that passed.

    Attributes:
        hashed: files that were compared with a bundle's list of hashes or those of the card; 0 where there are none.
        golden: largest difference of any column from the golden vectors; None where there are none.
        cut_off: whether there was no network at all; else it was refused to Python's calls alone.
    """

    card: EncoderCard
    hashed: int
    golden: float | None
    cut_off: bool


def check_encoder(spec: str, *, trust_remote_code: bool = False, progress: Progress | None = None) -> Checked:
    """Compare every hash, load, self-test and compare with the golden vectors, all with the network forbidden.

    A process of its own does it, which the system is asked to leave without any network, for native code too.

    Args:
        spec: as for `load_encoder`; mostly the path of a bundle.
        trust_remote_code: run the Python code that some models bring beside their weights.
        progress: told what is being done, how much of it is done, and how much there is.

    Raises:
        EncoderError: what is wrong with it, or that it asked for the network.
        MissingExtraError: its loader needs libraries that are not installed.
    """
    asked = json.dumps({"spec": spec, "trust_remote_code": trust_remote_code})
    command = [sys.executable, "-c", _CHILD, asked]
    said: dict[str, Any] = {}
    # this interpreter, with what stands above
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8") as process:  # noqa: S603
        try:
            for line in process.stdout or ():
                said = json.loads(line)
                if progress and "progress" in said:
                    progress(*said["progress"])
        except BaseException:
            process.terminate()
            raise
    if "kind" in said:
        kind: type[KplError] = getattr(errors, said["kind"])
        raise kind.__new__(kind, said["error"])  # some are made of other things than their message
    if "card" not in said:
        raise EncoderError(
            f"encoder {spec!r}: the check ended without an answer (exit code {process.returncode}): see what it wrote, "
            "and whether the memory was enough"
        )
    return Checked(EncoderCard.model_validate(said["card"]), said["hashed"], said["golden"], said["cut_off"])


def answer(cut_off: bool) -> None:
    """Check what the command line asks for, and tell on stdout how far it is, and how it ended, a line of JSON each."""
    asked = json.loads(sys.argv[1])
    with os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as out:
        os.dup2(2, 1)  # what libraries print is no part of the answer

        def tell(**told: Any) -> None:  # noqa: ANN401 - whatever JSON holds
            out.write(json.dumps(told) + "\n")

        try:
            tell(**_check(progress=lambda *told: tell(progress=told), **asked), cut_off=cut_off)
        except KplError as error:
            tell(error=str(error), kind=type(error).__name__)
        except KeyboardInterrupt:
            sys.exit(130)  # the process that asked says so


def _check(spec: str, *, trust_remote_code: bool, progress: Progress) -> dict[str, Any]:
    with network_forbidden():
        found = parse_spec(spec)
        if found.adapter or found.point:
            encoder = load_encoder(spec, trust_remote_code=trust_remote_code)
            self_test(encoder)
            return {"card": encoder.card.model_dump(mode="json"), "hashed": 0, "golden": None}
        if found.folder is None:
            raise EncoderError(f"encoder {spec!r} is known but its files are not here: kpl encoders pull {spec}")
        folder = unpacked(Path(found.folder), progress=progress)
        sums = check_sums(folder, progress=progress)
        encoder = load_encoder(spec, device="cpu", trust_remote_code=trust_remote_code)
        golden = passes_tests(encoder, folder)
    hashed = sums or (len(encoder.card.files) if (folder / "card.json").is_file() else 0)
    return {"card": encoder.card.model_dump(mode="json"), "hashed": hashed, "golden": golden}


def passes_tests(encoder: Encoder, folder: Path) -> float | None:
    """Self-test an encoder and compare it with the golden vectors in its folder; return the largest difference.

    Raises:
        EncoderError: what differs.
    """
    self_test(encoder)
    return check_golden(encoder, folder) if has_golden(folder) else None
