"""What can be wrong with a code."""

from __future__ import annotations


class GenotypeError(Exception):
    """A text is no code that fits, or a net has no code in a format; the message says why and what would fit."""
