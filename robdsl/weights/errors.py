"""What can be wrong with a file of weights, as types; each message says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: How many keys of each kind a message names, and how much of each.
_SHOWN = 8
_LONGEST = 120


class WeightsError(Exception):
    """Weights cannot be loaded or saved as asked; the model and what was on disk are as they were."""


class UnsafeWeightsError(WeightsError):
    """A pickle wants to call what no weights need; nothing of it was run."""


class BrokenWeightsError(WeightsError):
    """A file is no file of weights, or is cut short or damaged."""


@dataclass(frozen=True)
class Misfits:
    """All that keeps the tensors of a file from being the weights of a model.

    Attributes:
        missing: what the model needs and the file does not have.
        extra: what the file has and the model does not know.
        misshapen, mistyped: what both have, with a word on how they differ.
    """

    missing: Sequence[str] = ()
    extra: Sequence[str] = ()
    misshapen: Sequence[str] = ()
    mistyped: Sequence[str] = ()

    def __bool__(self) -> bool:
        return any((self.missing, self.extra, self.misshapen, self.mistyped))

    def lines(self) -> list[str]:
        """One line for each kind: how many there are, and the first of them."""
        kinds = (
            ("missing in the file", self.missing),
            ("not in the model", self.extra),
            ("of another shape", self.misshapen),
            ("of another type", self.mistyped),
        )
        return [f"{what} ({len(keys):,}): {_listed(keys)}" for what, keys in kinds if keys]


class MisfitError(WeightsError):
    """Sound weights, but not those of this model.

    Attributes:
        misfits: every key that does not fit.
    """

    def __init__(self, message: str, misfits: Misfits) -> None:
        super().__init__(message)
        self.misfits = misfits


def printable(text: str) -> str:
    """A name from a stranger's file as it can be shown on a terminal."""
    shown = "".join(each if each.isprintable() else "?" for each in text[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def _listed(keys: Sequence[str]) -> str:
    shown = ", ".join(map(printable, keys[:_SHOWN]))
    return shown if len(keys) <= _SHOWN else f"{shown}, and {len(keys) - _SHOWN:,} more"
