"""Counts of right answers and what they say about the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95


def wilson_interval(correct: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval (1927) for a share of which ``correct`` of ``total`` were seen.

    Returns:
        The lower and upper bound, in [0, 1]; (0, 1) where nothing was seen.
    """
    if not 0 <= correct <= total:
        raise ValueError(f"{correct} of {total} is no count")
    if total == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / total
    scale = 1 + z * z / total
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    # The ends are exact where all or none are right; rounding must not push them past 0 and 1.
    lower = 0.0 if correct == 0 else (centre - spread) / scale
    upper = 1.0 if correct == total else (centre + spread) / scale
    return lower, upper


@dataclass(frozen=True)
class Accuracy:
    """How many of how many were right.

    Attributes:
        correct: the number of examples given their label.
        total: the number of examples.
    """

    correct: int
    total: int

    @property
    def share(self) -> float:
        """The accuracy in [0, 1]; not a number where there are no examples."""
        return self.correct / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% confidence interval, see :func:`wilson_interval`."""
        return wilson_interval(self.correct, self.total)

    def to_json(self) -> dict[str, int | float | list[float] | None]:
        """Counts, share and interval; the share of nothing is null."""
        return {
            "correct": self.correct,
            "total": self.total,
            "accuracy": self.share if self.total else None,
            "interval95": list(self.interval),
        }
