"""What every statistic gives: numbers with how sure one may be of them, or word of how much is missing."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]


class Finding(Protocol):
    """The result of a statistic: ``sentence`` says what it shows and how sure one may be, ``frame()`` has its data."""

    @property
    def sentence(self) -> str: ...

    def frame(self) -> pd.DataFrame: ...


@dataclass(frozen=True)
class TooFew:
    """There is not enough to say anything that is not chance.

    Attributes:
        have, need: how many there are, and from how many on there is a result.
        what: of what, in the plural.
    """

    have: int
    need: int
    what: str = "evaluated architectures"

    @property
    def missing(self) -> int:
        return self.need - self.have

    @property
    def sentence(self) -> str:
        return f"Too few {self.what} so far: {self.have:,} of the {self.need:,} that this takes; {self.missing:,} missing."


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; ``low`` and ``high`` are NaN where the data allow none.

    Attributes:
        level: the share of such intervals that hold the true value.
    """

    value: float
    low: float
    high: float
    level: float = 0.95

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero: whether the sign can be told."""
        return self.low > 0 or self.high < 0

    @property
    def interval(self) -> str:
        """``95% interval 0.31 to 0.52``"""
        return self.spelled(1, ".2f", "")

    def spelled(self, scale: float, form: str, unit: str) -> str:
        """As `interval`, with the numbers scaled, in another form, and with a unit."""
        if not (isfinite(self.low) and isfinite(self.high)):
            return "no interval"
        low, high = (format(scale * each + 0.0, form) for each in (self.low, self.high))
        return f"{self.level * 100:g}% interval {_zero(low)} to {_zero(high)}{unit}"

    def __str__(self) -> str:
        return f"{_zero(format(self.value, '.2f'))} ({self.interval})"


def _zero(text: str) -> str:
    """Without the sign of a rounded zero."""
    return text.removeprefix("-") if not text.strip("-0.") else text


def points(difference: float) -> str:
    """A difference of two accuracies: ``3.1 points``."""
    return f"{_zero(format(100 * difference, '.1f'))} points"


def percent(share: float) -> str:
    """``41.3%``"""
    return f"{100 * share:.1f}%"


def together(*columns: ArrayLike) -> tuple[Floats, ...]:
    """Columns as floats, without the rows where one of them is not finite.

    Raises:
        ValueError: the columns are not one-dimensional and equally long.
    """
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    if any(array.ndim != 1 or len(array) != len(arrays[0]) for array in arrays):
        raise ValueError(f"these columns do not go together: shapes {[array.shape for array in arrays]}")
    whole = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    return tuple(array[whole] for array in arrays)


def lacking(need: int, accuracy: Floats, *varying: tuple[Floats, str]) -> TooFew | None:
    """What is missing before a statistic of ``accuracy`` and other columns, which must vary, says anything."""
    if len(accuracy) < need:
        return TooFew(len(accuracy), need)
    for column, what in ((accuracy, "different accuracies"), *varying):
        distinct = len(np.unique(column))
        if distinct < 2:
            return TooFew(distinct, 2, what)
    return None
