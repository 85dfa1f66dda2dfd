"""What came out, to look at: the report of a run as one HTML file, the evidence for one picture, and where in it.

All but the report itself loads on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kpl.later import on_first_use
from kpl.report.page import REPORT_FILE, write_report

if TYPE_CHECKING:
    from kpl.report.explaining import Explained, SentenceSaid, Without, explain_picture
    from kpl.report.mapping import SmallMap, map_picture, map_rows
    from kpl.report.multi_label_explaining import ClassExplained, explain_classes
    from kpl.report.similarity import draw_similarity, similarity_figure
    from kpl.report.where import (
        How,
        Where,
        class_margin,
        draw_where,
        occlusion_map,
        occlusion_views,
        patch_map,
        window_map,
        window_views,
    )

__all__ = [
    "REPORT_FILE",
    "ClassExplained",
    "Explained",
    "How",
    "SentenceSaid",
    "SmallMap",
    "Where",
    "Without",
    "class_margin",
    "draw_similarity",
    "draw_where",
    "explain_classes",
    "explain_picture",
    "map_picture",
    "map_rows",
    "occlusion_map",
    "occlusion_views",
    "patch_map",
    "similarity_figure",
    "window_map",
    "window_views",
    "write_report",
]

__getattr__ = on_first_use(
    __name__,
    {
        "explaining": ("Explained", "SentenceSaid", "Without", "explain_picture"),
        "mapping": ("SmallMap", "map_picture", "map_rows"),
        "multi_label_explaining": ("ClassExplained", "explain_classes"),
        "similarity": ("draw_similarity", "similarity_figure"),
        "where": (
            "How",
            "Where",
            "class_margin",
            "draw_where",
            "occlusion_map",
            "occlusion_views",
            "patch_map",
            "window_map",
            "window_views",
        ),
    },
)
