"""Kendall's tau against its definition, and an interval that covers the truth as often as it says."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, strategies

from robdsl.search import rank_correlation
from robdsl.search.correlation import between_stages, kendall

VALUES = strategies.lists(
    strategies.tuples(strategies.integers(0, 6), strategies.integers(0, 6)), min_size=2, max_size=15
)


def plain_tau_b(pairs: list[tuple[int, int]]) -> float:
    """By its definition: concordant less discordant pairs over the geometric mean of untied ones."""
    sign = [(np.sign(a[0] - b[0]), np.sign(a[1] - b[1])) for a, b in combinations(pairs, 2)]
    untied = [sum(each[side] != 0 for each in sign) for side in (0, 1)]
    if not all(untied):
        return math.nan
    return float(sum(x * y for x, y in sign) / math.sqrt(untied[0] * untied[1]))


@given(VALUES)
def test_tau_is_what_it_is_defined_as(pairs: list[tuple[int, int]]) -> None:
    expected = plain_tau_b(pairs)
    assert kendall(np.array(pairs, dtype=float).T) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_the_interval_covers_the_truth() -> None:
    """Of 40 samples of a bivariate normal with r = 0.6, whose tau is 2/pi asin(r); nine in ten would do."""
    draws = np.random.default_rng(0)
    truth, covered = 2 / math.pi * math.asin(0.6), 0
    for seed in range(40):
        x = draws.standard_normal(60)
        y = 0.6 * x + 0.8 * draws.standard_normal(60)
        found = rank_correlation(x.tolist(), y.tolist(), resamples=200, seed=seed)
        assert found.low <= found.tau <= found.high and found.count == 60
        covered += found.low <= truth <= found.high
    assert covered >= 34


def test_what_is_undefined_is_said_to_be() -> None:
    constant = rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
    assert math.isnan(constant.tau) and constant.to_json()["tau"] is None and constant.count == 3
    assert rank_correlation([1.0, 2.0, math.nan], [2.0, 3.0, 1.0]).count == 2
    assert rank_correlation([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]).tau == -1


def test_only_what_is_known_is_correlated() -> None:
    rows = [{"robust_inherited": k / 4, "robust_finetuned": (k * k) / 16 if k else None} for k in range(5)]
    found = between_stages(rows)
    assert found.keys() == {"inherited-finetuned"}
    assert (found["inherited-finetuned"].tau, found["inherited-finetuned"].count) == (1.0, 4)
