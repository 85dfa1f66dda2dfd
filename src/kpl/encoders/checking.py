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
        hashed: files that were compared with a bundle's list of hashes or those of the card; 0 where there are none.
        golden: largest difference of any column from the golden vectors; None where there are none.
    """

    card: EncoderCard
    hashed: int
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
    hashed = sums or (len(encoder.card.files) if (folder / "card.json").is_file() else 0)
    return Checked(encoder.card, hashed, golden)


def passes_tests(encoder: Encoder, folder: Path) -> float | None:
    """Self-test an encoder and compare it with the golden vectors in its folder; return the largest difference.

    Raises:
        EncoderError: what differs.
    """
    self_test(encoder)
    return check_golden(encoder, folder) if has_golden(folder) else None
