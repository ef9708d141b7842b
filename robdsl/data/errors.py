"""What can go wrong with data, as types; each message says what to do."""

from __future__ import annotations


class DataError(Exception):
    """Data cannot be used as asked."""


class UnknownDataError(DataError):
    """No data set has this name, or a data set has no such split."""


class MissingDataError(DataError):
    """Files are not there, or not all of them: the message says what to fetch and where to put it."""


class BrokenDataError(DataError):
    """A file is there but is not what it should be."""


class MissingLibraryError(DataError):
    """A library that this data set is read with cannot be loaded here."""
