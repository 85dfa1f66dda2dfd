"""Check an encoder as a machine without internet will use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kpl.encoders.bundles import check_sums, unpacked
from kpl.encoders.golden import has_golden
from kpl.encoders.hub import Progress
from kpl.encoders.offline import network_forbidden
from kpl.encoders.protocol import Encoder, EncoderCard
from kpl.encoders.registry import load_encoder, parse_spec
from kpl.encoders.selftest import check_golden, self_test
from kpl.errors import EncoderError

__all__ = ["Checked", "check_encoder", "passes_tests"]


@dataclass(frozen=True, slots=True)
class Checked:
    """An encoder that passed.

    Attributes:
        sums: files that were compared with a bundle's list of hashes; 0 where there is no list.
        golden: largest difference of any column from the golden vectors; None where there are none.
    """

    card: EncoderCard
    sums: int
    golden: float | None


def check_encoder(spec: str, *, trust_remote_code: bool = False, progress: Progress | None = None) -> Checked:
    """Compare every hash, load, self-test and compare with the golden vectors, all with the network forbidden.

    Args:
        spec: as for `load_encoder`; mostly the path of a bundle.
        trust_remote_code: run the Python code that some models bring beside their weights.
        progress: told what is being done, how much of it is done, and how much there is.

    Raises:
        EncoderError: what is wrong with it, or that it asked for the network.
        MissingExtraError: its loader needs libraries that are not installed.
    """
    with network_forbidden():
        found = parse_spec(spec)
        if found.folder is None:
            raise EncoderError(f"encoder {spec!r} is known but its files are not here: kpl encoders pull {spec}")
        folder = unpacked(Path(found.folder), progress=progress)
        sums = check_sums(folder, progress=progress)
        encoder = load_encoder(spec, device="cpu", trust_remote_code=trust_remote_code)
        golden = passes_tests(encoder, folder)
    return Checked(encoder.card, sums, golden)


def passes_tests(encoder: Encoder, folder: Path) -> float | None:
    """Self-test an encoder and compare it with the golden vectors in its folder; return the largest difference.

    Raises:
        EncoderError: what differs.
    """
    self_test(encoder)
    return check_golden(encoder, folder) if has_golden(folder) else None
