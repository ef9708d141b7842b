"""How far one ranking of architectures tells another: Kendall's tau with a bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Correlation:
    """The rank correlation of two measures of the same architectures.

    Attributes:
        tau: Kendall's tau-b, in [-1, 1], where ties count for neither side; not a number where it is undefined.
        low, high: the ends of the 95% percentile bootstrap interval over architectures.
        count: how many architectures have both measures.
    """

    tau: float
    low: float
    high: float
    count: int

    def to_json(self) -> dict[str, float | int | None]:
        """As plain data; null for what is undefined."""
        plain = asdict(self)
        return {
            name: None if isinstance(each, float) and math.isnan(each) else each
            for name, each in plain.items()
        }


def rank_correlation(
    first: Sequence[float], second: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0
) -> Correlation:
    """Kendall's tau of two measures, with the interval of a bootstrap over architectures (Efron 1979).

    Args:
        first: a measure of each architecture; pairs with something that is no number are left out.
        second: the other one, of the same architectures in the same order.
        resamples: how many samples the interval is made of; those without a tau (all tied) are left out.
        seed: of the resampling.
    """
    pairs = np.array([first, second], dtype=np.float64)
    if pairs.ndim != 2:
        raise ValueError("both measures must be of the same architectures")
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    count = pairs.shape[1]
    tau = kendall(pairs)
    if math.isnan(tau):
        return Correlation(math.nan, math.nan, math.nan, count)
    draws = np.random.default_rng(seed).integers(count, size=(resamples, count))
    found = np.array([kendall(pairs[:, rows]) for rows in draws])
    found = found[~np.isnan(found)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Correlation(tau, float(low), float(high), count)


def kendall(pairs: NDArray[np.float64]) -> float:
    """Kendall's tau-b of (2, N); not a number where a row is constant or N is under 2."""
    if pairs.shape[1] < 2 or (pairs == pairs[:, :1]).all(axis=1).any():
        return math.nan
    return float(stats.kendalltau(pairs[0], pairs[1]).statistic)


def between_stages(rows: Sequence[Mapping[str, Any]]) -> dict[str, Correlation]:
    """The correlations of robust accuracy between the ways an architecture is judged; those that are known.

    Args:
        rows: of a bank, or trials' facts.
    """
    found = {}
    for one, other in (("inherited", "finetuned"), ("inherited", "scratch"), ("finetuned", "scratch")):
        both = [
            (row[f"robust_{one}"], row[f"robust_{other}"])
            for row in rows
            if row.get(f"robust_{one}") is not None and row.get(f"robust_{other}") is not None
        ]
        if len(both) > 1:
            found[f"{one}-{other}"] = rank_correlation(*zip(*both, strict=True))
    return found
