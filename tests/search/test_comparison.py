"""The best beside the median: means, counts and intervals against scipy's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from robdsl.search.choosing import around_median
from robdsl.search.comparison import compare


def rows(correct: list[int], examples: int = 40, params: int = 100) -> list[dict[str, Any]]:
    return [{"robust_scratch": each / examples, "examples": examples, "params": params} for each in correct]


@given(
    st.lists(st.integers(0, 40), min_size=2, max_size=7, unique=True),
    st.lists(st.integers(0, 40), min_size=2, max_size=7, unique=True),
)
def test_intervals_are_those_of_student_and_welch(best: list[int], median: list[int]) -> None:
    found = compare(rows(best), rows(median, params=80))
    one, other = np.array(best) / 40, np.array(median) / 40
    welch = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert found.difference == pytest.approx(one.mean() - other.mean())
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high))
    student = stats.ttest_1samp(one, 0).confidence_interval(0.95)
    assert (found.best.low, found.best.high) == pytest.approx((student.low, student.high))
    assert (found.best.correct, found.best.examples) == (sum(best), 40 * len(best))
    assert (found.best.params, found.median.params, found.median.count) == (100, 80, len(median))


def test_one_architecture_has_no_interval_and_equal_ones_have_none_to_speak_of() -> None:
    alone = compare(rows([20]), rows([10, 12]))
    assert math.isnan(alone.low) and math.isnan(alone.best.high) and not math.isnan(alone.median.low)
    assert alone.to_json()["low"] is None and alone.to_json()["best"]["high"] is None
    same = compare(rows([20, 20]), rows([10, 10]))
    assert (same.difference, same.low, same.high) == (0.25, 0.25, 0.25)
    with pytest.raises(ValueError, match="needs an architecture"):
        compare([], rows([1]))


@given(st.integers(0, 9), st.integers(0, 12))
def test_the_middle_of_a_ranking_is_its_middle(length: int, count: int) -> None:
    ranking = [{"trial": number} for number in range(length)]
    middle = [each["trial"] for each in around_median(ranking, count)]
    assert middle == list(range(length))[slice(middle[0], middle[-1] + 1) if middle else slice(0)]
    assert len(middle) == min(count, length)
    if middle:
        assert abs(middle[0] - (length - 1 - middle[-1])) <= 1
