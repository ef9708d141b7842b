"""The paper's tables from one call, on any data set."""

from robdsl.reproduction.rows import DIGITS_ROWS, PAPER_ROWS, Row, rows_for
from robdsl.reproduction.tables import ATTACKS, TRANSFER, RowEvent, Tables, make_tables

__all__ = [
    "ATTACKS",
    "DIGITS_ROWS",
    "PAPER_ROWS",
    "TRANSFER",
    "Row",
    "RowEvent",
    "Tables",
    "make_tables",
    "rows_for",
]
