"""What came out, to look at: the report of a run as one HTML file, the evidence for one picture, and where in it."""

from kpl.report.explaining import Explained, SentenceSaid, Without, explain_picture
from kpl.report.mapping import map_picture
from kpl.report.seen import Seen, look
from kpl.report.where import (
    Where,
    class_margin,
    draw_where,
    occlusion_map,
    occlusion_views,
    window_map,
    window_views,
)
from kpl.report.writing import REPORT_FILE, write_report

__all__ = [
    "REPORT_FILE",
    "Explained",
    "Seen",
    "SentenceSaid",
    "Where",
    "Without",
    "class_margin",
    "draw_where",
    "explain_picture",
    "look",
    "map_picture",
    "occlusion_map",
    "occlusion_views",
    "window_map",
    "window_views",
    "write_report",
]
