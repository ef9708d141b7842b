"""The one-shot robust search (CVPR 2020, sections 3.2 to 3.5) and the bank of architectures that it leaves."""

from robdsl.search.bank import COLUMNS, read_bank, write_bank
from robdsl.search.errors import BankError, SearchError

__all__ = ["COLUMNS", "BankError", "SearchError", "read_bank", "write_bank"]
