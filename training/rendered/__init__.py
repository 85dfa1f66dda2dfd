"""A public, seeded generator of pictures of stained blood cells, described by visible attributes.

`random_spec` and `draw_cell` make the unlimited world that `mini` is trained on; `cell_of_class` makes
the pictures of ten kinds of cell that the demo classifies, in ranges of stain and camera that training never used.
"""

from rendered.attributes import ATTRIBUTES
from rendered.classes import CELL_CLASSES, cell_of_class
from rendered.draw import draw_cell
from rendered.spec import CellSpec, allowed_values, random_spec, sample_spec
from rendered.world import DEMO_WORLD, TRAINING_WORLD, WorldSettings

__all__ = [
    "ATTRIBUTES",
    "CELL_CLASSES",
    "DEMO_WORLD",
    "TRAINING_WORLD",
    "CellSpec",
    "WorldSettings",
    "allowed_values",
    "cell_of_class",
    "draw_cell",
    "random_spec",
    "sample_spec",
]
