"""The paper's tables from one call, on any data set."""

from robdsl.reproduction.rows import DIGITS, PAPER, Row, Version, version_for
from robdsl.reproduction.tables import ATTACKS, TRANSFER, RowEvent, Tables, make_tables

__all__ = [
    "ATTACKS",
    "DIGITS",
    "PAPER",
    "TRANSFER",
    "Row",
    "RowEvent",
    "Tables",
    "Version",
    "make_tables",
    "version_for",
]
