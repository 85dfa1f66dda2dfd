"""A model at another place: how far the pictures of a run are from those that the model learnt from, in words too."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kpl.embeddings import FeatureFolder
from kpl.proxies.arrays import Floats, chunks
from kpl.proxies.passes import Spread
from kpl.proxies.pooling import whole_units
from kpl.proxies.site import Arrivals, Moved
from kpl.runs.models import Model
from kpl.runs.warnings import UNLIKE


@dataclass(frozen=True)
class Site:
    """How far pictures are from those that a model learnt from.

    Attributes:
        pictures, shift, far_from, spread, prior: see `kpl.proxies.site.Moved`.
        far: whether the shift is beyond chance.
        unlike: share of the pictures that are like none of the classes as they were learnt; None where the method does
            not know.
    """

    pictures: int
    shift: float
    far_from: float
    spread: float
    prior: float
    far: bool
    unlike: float | None = None

    @classmethod
    def of(cls, moved: Moved, unlike: float | None = None) -> Site:
        """Round what was measured."""
        told = {name: round(value, 4) for name, value in asdict(moved).items()}
        return cls(**told, far=moved.far, unlike=None if unlike is None else round(unlike, 4))

    @property
    def told(self) -> str:
        """The same as a sentence."""
        strange = "" if self.unlike is None else f", {self.unlike:.0%} like no class it learnt"
        return (
            f"Against what the model learnt from: shifted by {self.shift:.2f} (beyond chance from {self.far_from:.2f} "
            f"on), spread {self.spread:.2f}, class shares moved by {self.prior:.0%}{strange}"
        )

    @property
    def warnings(self) -> list[str]:
        """What is to be known before believing the model here."""
        if not self.far:
            return []
        return [
            f"these are not pictures as the model learnt from (shifted by {self.shift:.2f}; of pictures as it learnt "
            "from fewer than 1 lot in 20 is called so): another stain, scanner or preparation; check on labels here, "
            "or fit a model on them"
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it as `run.json` has it."""
        return asdict(self)


def site_of(model: Model, features: FeatureFolder, distances: Floats | None, held: Spread | None = None) -> Site | None:
    """Say how far features are from those that a model learnt from; None where it keeps nothing of these.

    Args:
        model: fitted.
        features: of pictures, or of units of several.
        distances: of each row from the nearest class, if the method knows them.
        held: the same features where workers hold them.
    """
    if model.seen is None:
        return None
    arrivals = Arrivals(model.method.moments_, model.seen)
    if features.of_units.plain:
        arrivals.add_all(held or features, model.method.predict)
    else:
        for rows, sizes in whole_units(chunks(features), features.of_units.sizes):
            arrivals.add(rows, model.method.predict(rows), sizes)
    moved = arrivals.moved()
    unlike = None if distances is None else float((distances > UNLIKE).mean())
    return None if moved is None else Site.of(moved, unlike)
