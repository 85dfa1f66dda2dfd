"""What came out, to look at: a report of a run as one HTML file."""

from kpl.report.writing import REPORT_FILE, write_report

__all__ = ["REPORT_FILE", "write_report"]
