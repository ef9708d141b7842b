"""Whether what a search found is better than what it drew: robust accuracy from scratch, of two groups of architectures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Group:
    """Architectures that were trained from scratch alike.

    Attributes:
        count: how many.
        mean: of their robust accuracies, in [0, 1].
        low, high: ends of Student's 95% interval of the mean over architectures; not numbers for one alone.
        correct: how many images they keep under the attack, all together.
        examples: of how many, all together.
        params: the mean number of their parameters.
    """

    count: int
    mean: float
    low: float
    high: float
    correct: int
    examples: int
    params: float


@dataclass(frozen=True)
class Comparison:
    """The best of a search beside its median.

    Attributes:
        best, median: the two groups.
        difference: the first mean less the second.
        low, high: ends of Welch's 95% interval of it, over architectures; not numbers where a group has only one.
    """

    best: Group
    median: Group
    difference: float
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        """As plain data; null for what is undefined."""
        plain = asdict(self)
        return {
            name: _finite(each) if isinstance(each, dict) else _number(each) for name, each in plain.items()
        }


def compare(best: Sequence[Mapping[str, Any]], median: Sequence[Mapping[str, Any]]) -> Comparison:
    """Set two groups of architectures side by side.

    Args:
        best: rows of a bank with accuracy from scratch, at least one.
        median: the same of others.

    Raises:
        ValueError: a group is empty.
    """
    one, other = _group(best), _group(median)
    reach = math.nan
    if min(one.count, other.count) > 1:
        # Welch 1947: variances of means, and the degrees of freedom that they leave.
        parts = [np.var(_robust(each), ddof=1) / len(each) for each in (best, median)]
        variance = sum(parts)
        freedom = (
            variance**2
            / sum(part**2 / (len(each) - 1) for part, each in zip(parts, (best, median), strict=True))
            if variance
            else math.inf
        )
        reach = float(math.sqrt(variance) * stats.t.ppf((1 + CONFIDENCE) / 2, freedom))
    difference = one.mean - other.mean
    return Comparison(one, other, difference, difference - reach, difference + reach)


def _group(rows: Sequence[Mapping[str, Any]]) -> Group:
    if not rows:
        raise ValueError("a group needs an architecture")
    robust = _robust(rows)
    low = high = math.nan
    if len(rows) > 1:
        reach = stats.sem(robust) * stats.t.ppf((1 + CONFIDENCE) / 2, len(rows) - 1)
        low, high = float(np.mean(robust) - reach), float(np.mean(robust) + reach)
    return Group(
        count=len(rows),
        mean=float(np.mean(robust)),
        low=low,
        high=high,
        correct=sum(round(row["robust_scratch"] * row["examples"]) for row in rows),
        examples=sum(int(row["examples"]) for row in rows),
        params=float(np.mean([row["params"] for row in rows])),
    )


def _robust(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    return [float(row["robust_scratch"]) for row in rows]


def _finite(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _number(each) for name, each in plain.items()}


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
