"""Intervals: by the bootstrap (Efron & Tibshirani 1993, chapter 13), and Wilson's for counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from robdsl.analysis.results import Estimate, Floats, Places

RESAMPLES = 2000
LEVEL = 0.95

#: How many numbers of a resampled column are held at once.
_BLOCK = 1 << 22

#: From columns of resampled rows, each (resamples, n), to one number a resample; NaN where it is not defined.
Statistic = Callable[..., Floats]


def bootstrap(
    statistic: Statistic, *columns: Floats, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> Estimate:
    """A statistic of paired columns with its percentile interval over resampled rows.

    Where more than a tenth of the resamples leave the statistic undefined, there is no interval (NaN).
    """
    n = len(columns[0])
    value = float(statistic(*(column[None] for column in columns))[0])
    values = np.concatenate(
        [statistic(*(column[rows] for column in columns)) for rows in resampled(n, resamples, seed)]
    )
    return Estimate(value, *percentiles(values, level), level)


def resampled(n: int, resamples: int, seed: int) -> list[Places]:
    """Rows drawn with replacement, as blocks of (resamples, n)."""
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // max(n, 1))
    sizes = [block] * (resamples // block) + ([resamples % block] if resamples % block else [])
    return [rng.integers(0, n, size=(size, n)) for size in sizes]


def percentiles(values: Floats, level: float = LEVEL) -> tuple[float, float]:
    """The interval that leaves out equally many resamples on either side."""
    defined = values[np.isfinite(values)]
    if len(defined) < 0.9 * len(values):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilson(right: int, of: int, level: float = LEVEL) -> Estimate:
    """A share with Wilson's score interval."""
    interval = stats.binomtest(right, of).proportion_ci(level, method="wilson")
    return Estimate(right / of, float(interval.low), float(interval.high), level)


# --- statistics over resamples


def mean(column: Floats) -> Floats:
    """The mean."""
    return np.asarray(column.mean(axis=-1))


def pearson(x: Floats, y: Floats) -> Floats:
    """Pearson's r; NaN where a column does not vary."""
    x, y = (each - each.mean(axis=-1, keepdims=True) for each in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        norm = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
        return np.asarray(np.where(norm > 0, (x * y).sum(axis=-1) / norm, np.nan))


def spearman(x: Floats, y: Floats) -> Floats:
    """Spearman's rho; NaN where a column does not vary."""
    return pearson(stats.rankdata(x, axis=-1), stats.rankdata(y, axis=-1))


def kendall(x: Floats, y: Floats) -> Floats:
    """Kendall's tau-b; NaN where a column does not vary."""
    return np.array([_tau(first, second) for first, second in zip(x, y, strict=True)])


def _tau(x: Floats, y: Floats) -> float:
    if len(np.unique(x)) < 2 or len(np.unique(y)) < 2:
        return np.nan
    return float(stats.kendalltau(x, y).statistic)
