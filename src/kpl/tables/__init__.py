"""Tables as people have them: text JSON, Parquet, Excel; one way to read them, in groups of rows."""

from kpl.tables.opening import GROUP_ROWS, TableReader, open_table
from kpl.tables.records import Row

__all__ = ["GROUP_ROWS", "Row", "TableReader", "open_table"]
