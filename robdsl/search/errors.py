"""What can be wrong with a study, in words for its user."""

from __future__ import annotations


class SearchError(Exception):
    """A study cannot be read, or cannot go on; the message says why and what to do."""


class BankError(SearchError):
    """A file is no bank of architectures."""
