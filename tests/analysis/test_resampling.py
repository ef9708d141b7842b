"""Correlations are scipy's, and intervals are the bootstrap's and Wilson's."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from robdsl.analysis.resampling import (
    bootstrap,
    kendall,
    mean,
    pearson,
    percentiles,
    resampled,
    spearman,
    wilson,
)
from robdsl.analysis.results import Estimate, TooFew, points, together

Column = NDArray[np.float64]
PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(-3, 3)), min_size=3, max_size=30)


@given(PAIRS)
@settings(max_examples=60)
def test_correlations_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=np.float64).T
    oracles = ((pearson, stats.pearsonr), (spearman, stats.spearmanr), (kendall, stats.kendalltau))
    for ours, theirs in oracles:
        found = ours(x[None], y[None])
        assert found.shape == (1,)
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            assert np.isnan(found[0])
        else:
            assert found[0] == pytest.approx(theirs(x, y)[0], abs=1e-12)


@given(PAIRS)
@settings(max_examples=40)
def test_tau_counts_pairs(pairs: list[tuple[int, int]]) -> None:
    """Kendall's tau-b from its definition: concordant less discordant pairs, over what ties leave."""
    agree = untied_x = untied_y = 0
    for (a, b), (c, d) in combinations(pairs, 2):
        agree += int(np.sign(a - c) * np.sign(b - d))
        untied_x += a != c
        untied_y += b != d
    x, y = np.array(pairs, dtype=np.float64).T
    found = kendall(x[None], y[None])[0]
    if untied_x and untied_y:
        assert found == pytest.approx(agree / math.sqrt(untied_x * untied_y))
    else:
        assert math.isnan(found)


@pytest.mark.parametrize(("statistic", "theirs"), [(pearson, stats.pearsonr), (mean, None)])
def test_the_interval_is_that_of_scipys_bootstrap(
    statistic: Callable[..., Column], theirs: Callable[..., tuple[float, float]] | None
) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=80)
    y = 0.6 * x + rng.normal(size=80)
    columns = (x, y) if theirs else (x,)
    ours = bootstrap(statistic, *columns, resamples=4000, seed=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # renamed options of scipy's bootstrap
        them = stats.bootstrap(
            columns,
            (lambda a, b: theirs(a, b)[0]) if theirs else np.mean,
            paired=True,
            vectorized=False,
            n_resamples=2000,
            method="percentile",
        ).confidence_interval
    assert ours.value == pytest.approx(theirs(x, y)[0] if theirs else x.mean())
    assert (ours.low, ours.high) == pytest.approx((them.low, them.high), abs=0.04)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        x = rng.normal(size=60)
        found = bootstrap(mean, x, resamples=400, seed=trial)
        held += found.low <= 0 <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_a_seed_gives_the_same_interval_in_blocks_or_not() -> None:
    x = np.random.default_rng(0).normal(size=50)
    assert bootstrap(mean, x, seed=5) == bootstrap(mean, x, seed=5)
    assert bootstrap(mean, x, seed=5) != bootstrap(mean, x, seed=6)
    blocks = resampled(1 << 20, 9, 0)
    assert [each.shape for each in blocks] == [(4, 1 << 20), (4, 1 << 20), (1, 1 << 20)]


def test_undefined_resamples_leave_no_interval() -> None:
    assert all(map(math.isnan, percentiles(np.array([1.0, 2.0, np.nan, np.nan]))))
    assert percentiles(np.append(np.arange(101.0), [np.nan] * 5), level=0.9) == pytest.approx((5, 95))


def test_wilson_by_hand() -> None:
    """Wilson (1927) for 8 of 10, z = 1.959964."""
    z, n, p = 1.959964, 10, 0.8
    centre, reach = (p + z * z / (2 * n)), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = wilson(8, 10)
    assert found.low == pytest.approx((centre - reach) / (1 + z * z / n), abs=1e-6)
    assert found.high == pytest.approx((centre + reach) / (1 + z * z / n), abs=1e-6)


def test_estimates_in_words() -> None:
    assert str(Estimate(0.412, 0.31, 0.498)) == "0.41 (95% interval 0.31 to 0.50)"
    assert str(Estimate(-0.001, -0.4, 0.2)) == "0.00 (95% interval -0.40 to 0.20)"
    assert str(Estimate(0.5, math.nan, math.nan)) == "0.50 (no interval)"
    assert Estimate(0.1, 0.05, 0.2).clear and Estimate(-0.1, -0.2, -0.05).clear
    assert not Estimate(0.1, -0.05, 0.2).clear and not Estimate(0.1, math.nan, math.nan).clear
    assert points(-0.00001) == "0.0 points"
    assert (
        TooFew(3, 20).sentence
        == "Too few evaluated architectures so far: 3 of the 20 that this takes; 17 missing."
    )


def test_columns_go_together() -> None:
    x, y = together([1, 2, np.nan, 4], [5, np.inf, 7, 8])
    assert (x.tolist(), y.tolist()) == ([1, 4], [5, 8])
    with pytest.raises(ValueError, match="do not go together"):
        together([1, 2], [1])
