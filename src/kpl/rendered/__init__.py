"""A public, seeded generator of pictures of stained blood cells, described by visible attributes.

`random_spec` and `draw_cell` make the unlimited world that `mini` is trained on.
"""

from kpl.rendered.attributes import ATTRIBUTES
from kpl.rendered.draw import draw_cell
from kpl.rendered.spec import CellSpec, random_spec, sample_spec
from kpl.rendered.world import DEMO_WORLD, TRAINING_WORLD, WorldSettings

__all__ = [
    "ATTRIBUTES",
    "DEMO_WORLD",
    "TRAINING_WORLD",
    "CellSpec",
    "WorldSettings",
    "draw_cell",
    "random_spec",
    "sample_spec",
]
