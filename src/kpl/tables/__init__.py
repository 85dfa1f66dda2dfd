"""Tables as people have them: text, JSON, Parquet, Excel; one way to read them, in groups of rows."""

from kpl.tables.cohorts import CohortRow, OpenedCohort, is_table, open_cohort
from kpl.tables.columns import Choice, ImageColumns, Wanted, fold_title, open_wanted
from kpl.tables.matching import Identifiers, Matched, Pictures, match_names
from kpl.tables.opening import GROUP_ROWS, TableReader, open_table
from kpl.tables.records import Row, Slice
from kpl.tables.text import read_records

__all__ = [
    "GROUP_ROWS",
    "Choice",
    "CohortRow",
    "Identifiers",
    "ImageColumns",
    "Matched",
    "OpenedCohort",
    "Pictures",
    "Row",
    "Slice",
    "TableReader",
    "Wanted",
    "fold_title",
    "is_table",
    "match_names",
    "open_cohort",
    "open_table",
    "open_wanted",
    "read_records",
]
