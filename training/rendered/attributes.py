"""The visible attributes of a stained blood cell: the vocabulary that the drawing, the captions and `mini` share.

No attribute is a class of cell. Each maps its values to what they mean in a picture.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ATTRIBUTES"]

ATTRIBUTES: Final[dict[str, dict[str, str]]] = {
    "size": {
        "tiny": "much smaller than the red cells around it, a fragment",
        "small": "about as large as a red cell or barely larger",
        "medium": "clearly larger than a red cell, up to about one and a half times its width",
        "large": "about twice as wide as a red cell or more",
    },
    "shape": {
        "round": "a circular outline",
        "oval": "an elongated, elliptical outline",
        "irregular": "an uneven, lobulated, amoeboid or drawn-out outline",
    },
    "border": {
        "smooth": "a crisp, even edge",
        "ragged": "a frayed, fuzzy, blebbed or jagged edge",
    },
    "nucleus": {
        "absent": "no nucleus at all",
        "single": "one nucleus in one piece, not split into lobes",
        "bilobed": "a nucleus of two lobes, like spectacles",
        "multilobed": "a nucleus of three or more lobes joined by strands or narrow bridges",
        "obscured": "a nucleus that can hardly be made out beneath what covers it",
    },
    "nucleus_form": {
        "round": "the nucleus is a circle",
        "oval": "the nucleus is an egg or ellipse",
        "indented": "the nucleus has a notch: kidney- or bean-shaped",
        "folded": "the nucleus is folded, convoluted, brain-like",
        "band": "the nucleus is a curved band: horseshoe, C, S or U",
    },
    "nucleus_share": {
        "small": "the nucleus takes up less than about a third of the cell",
        "half": "the nucleus takes up about half of the cell",
        "most": "the nucleus fills most of the cell",
        "nearly_all": "the nucleus fills nearly the whole cell, leaving a thin rim",
    },
    "nucleus_place": {
        "central": "the nucleus lies in the middle",
        "eccentric": "the nucleus lies to one side, against the edge",
    },
    "nucleus_tone": {
        "pale": "the nucleus stains pale, reddish or light violet",
        "violet": "the nucleus stains an even purple or violet",
        "dark": "the nucleus stains very dark, blue-black or ink-like",
    },
    "chromatin": {
        "open": "fine, lacy, loose, delicate chromatin",
        "clumped": "coarse, clumped, blocky chromatin",
        "dense": "smooth, solid, structureless, condensed (pyknotic) chromatin",
    },
    "nucleoli": {"present": "visible nucleoli: paler spots in the nucleus", "absent": "no nucleoli"},
    "cytoplasm_tone": {
        "clear": "colourless or almost transparent cytoplasm",
        "pink": "pale pink or lilac-pink cytoplasm",
        "orange": "orange, brick or salmon-red cytoplasm",
        "blue": "sky-blue to deep blue cytoplasm",
        "grey": "dull grey-blue, smoky, ground-glass cytoplasm",
        "red": "the buff-pink to red of haemoglobin, as in a red cell",
        "purple": "purple or violet cytoplasm",
    },
    "cytoplasm_amount": {
        "scant": "a thin rim of cytoplasm or hardly any",
        "moderate": "a moderate amount of cytoplasm",
        "abundant": "plenty of cytoplasm, wide around the nucleus",
    },
    "granules": {
        "none": "no granules: smooth, homogeneous cytoplasm",
        "fine": "fine, dust-like, pinkish or lilac granules",
        "purple": "distinct reddish-purple (azurophilic) granules scattered in the cytoplasm",
        "orange": "large, round, crowded orange-red granules",
        "dark": "large, coarse, blue-black to dark purple granules, often lying over the nucleus",
    },
    "vacuoles": {"present": "small clear holes or bubbles in the cytoplasm", "absent": "no vacuoles"},
    "inclusion": {
        "none": "nothing foreign inside the cell",
        "ring": "a small ring with a dot (signet ring) inside the cell",
        "parasite": "a larger irregular purple body or bluish patch with pigment inside the cell",
    },
    "pallor": {
        "present": "a paler centre (central pallor), like a doughnut or shallow dish",
        "absent": "no paler centre",
    },
}
