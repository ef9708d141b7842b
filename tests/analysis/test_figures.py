"""Figures 1, 3, 5 and 7, and Kendall's tau: against scipy, plain loops and hand-made cases."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from robdsl.analysis import (
    CountingNoise,
    DensityTrend,
    Finding,
    FinetuningShift,
    FlowTrend,
    RankAgreement,
    Reference,
    SizeTrend,
    TooFew,
    counting_noise,
    density_trend,
    finetuning_shift,
    flow_trend,
    rank_agreement,
    size_trend,
)  # fmt: skip
from robdsl.analysis.groups import extremes
from robdsl.analysis.sizes import front
from tests.analysis.synthetic import made, numbers


def columns(*names: str) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    return [numbers(made().frame, name) for name in names]


# --- Figure 3


def test_histograms_count_every_architecture_once() -> None:
    before, after = columns("robust_inherited", "robust_finetuned")
    found = finetuning_shift(before, after)
    assert isinstance(found, FinetuningShift)
    for counts, values in ((found.before, before), (found.after, after)):
        expected = [0] * len(counts)
        for value in values:  # the last bin holds its upper edge
            place = next(i for i in range(len(counts)) if value < found.edges[i + 1] or i == len(counts) - 1)
            expected[place] += 1
        assert counts.tolist() == expected
        assert counts.sum() == found.n == 300
    assert found.gain.value == pytest.approx((after - before).mean())
    assert found.gain.value == pytest.approx(0.15, abs=0.003)  # what the bank was made with
    assert found.gain.low < (after - before).mean() < found.gain.high
    assert found.median_after == pytest.approx(np.median(after))
    assert "raises robust accuracy" in found.sentence and "15.1 points on average" in found.sentence
    frame = found.frame()
    assert frame["from"].iloc[1:].tolist() == frame["to"].iloc[:-1].tolist()


def test_a_shift_by_hand() -> None:
    found = finetuning_shift([0.1, 0.1, 0.3, np.nan], [0.2, 0.3, 0.4, 0.9], bins=3, need=3)
    assert isinstance(found, FinetuningShift)
    assert found.edges.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert (found.n, found.before.sum(), found.after.sum()) == (3, 3, 3)
    assert found.before.tolist()[0] == 2
    assert found.gain.value == pytest.approx(0.4 / 3)


def test_no_shift_is_no_shift() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.5, 60)
    found = finetuning_shift(base, base + rng.normal(0, 0.05, 60) - 0.0)
    assert isinstance(found, FinetuningShift)
    assert "cannot be told from chance" in found.sentence


def test_outliers_make_no_endless_histogram() -> None:
    found = finetuning_shift(
        np.append(np.full(5000, 0.5), 0.51), np.append(np.linspace(0.5, 0.5001, 5000), 1.0)
    )
    assert isinstance(found, FinetuningShift)
    assert len(found.before) <= 40


def test_counting_noise_is_found() -> None:
    """True accuracies spread by 5 points, counted on 400 images: what is beyond chance is known."""
    rng = np.random.default_rng(5)
    true = np.clip(rng.normal(0.5, 0.05, 2000), 0, 1)
    counted = rng.binomial(400, true) / 400
    found = counting_noise(counted, np.full(2000, 400))
    assert isinstance(found, CountingNoise)
    expected = true.var() / (true.var() + np.mean(true * (1 - true)) / 400)
    assert found.beyond.low < expected < found.beyond.high
    assert found.chance == pytest.approx(0.025, abs=0.001)
    alike = counting_noise(rng.binomial(400, 0.5, 500) / 400, np.full(500, 400))
    assert isinstance(alike, CountingNoise)
    assert alike.beyond.low == 0 and alike.beyond.value < 0.1
    assert isinstance(counting_noise(counted, np.full(2000, np.nan)), TooFew)


# --- Figure 1


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25))
@settings(max_examples=80)
def test_the_front_by_definition(points: list[tuple[int, int]]) -> None:
    cost, gain = np.array(points, dtype=np.float64).T
    expected = [not any(c <= a and g >= b and (c < a or g > b) for c, g in points) for a, b in points]
    assert front(cost, gain).tolist() == expected


def test_size_and_references() -> None:
    params, accuracy = columns("params", "robust_finetuned")
    weak = Reference("weak <net>", int(params.max()), float(accuracy.min()) - 0.1)
    strong = Reference("strong", 10, 0.99)
    found = size_trend(params, accuracy, [weak, strong])
    assert isinstance(found, SizeTrend)
    assert found.spearman.value == pytest.approx(stats.spearmanr(params, accuracy)[0])
    assert "1 of 2 reference nets" in found.sentence
    frame = found.frame()
    assert frame["name"].tolist()[-2:] == ["weak <net>", "strong"] and len(frame) == 302
    assert frame["front"].sum() == found.front.sum()


# --- Figure 5


def test_density_agrees_with_scipy() -> None:
    density, accuracy = columns("density", "robust_finetuned")
    found = density_trend(density, accuracy)
    assert isinstance(found, DensityTrend)
    assert found.pearson.value == pytest.approx(stats.pearsonr(density, accuracy)[0])
    assert found.spearman.value == pytest.approx(stats.spearmanr(density, accuracy)[0])
    line = stats.linregress(density, accuracy)
    assert (found.slope, found.intercept) == pytest.approx((line.slope, line.intercept))
    # The rule rewards convolutions by more than it punishes skips.
    assert found.pearson.low > 0 and found.sentence.startswith("Denser architectures are more robust")


def test_density_of_noise_says_so() -> None:
    frame = made(rule=False).frame
    found = density_trend(numbers(frame, "density"), numbers(frame, "robust_finetuned"))
    assert isinstance(found, DensityTrend)
    assert "cannot be told from chance" in found.sentence


# --- Figure 7


def test_the_cell_that_matters_is_found() -> None:
    frame = made().frame
    fsp = np.array(frame["fsp"].tolist())
    natural, robust = numbers(frame, "natural_finetuned"), numbers(frame, "robust_finetuned")
    found = flow_trend(fsp, natural, robust)
    assert isinstance(found, FlowTrend)
    for column, each in zip(fsp.T, found.cells, strict=True):
        assert each.value == pytest.approx(stats.spearmanr(column, natural - robust)[0])
    assert found.strongest == len(found.cells) - 1
    assert found.cells[-1].low > 0.5
    assert "goes with a larger gap" in found.sentence
    assert list(found.frame().columns) == ["gap", *(f"cell_{i}" for i in range(len(found.cells)))]


def test_cells_that_do_not_vary_and_rows_without_fsp() -> None:
    rng = np.random.default_rng(0)
    fsp = np.column_stack([np.ones(60), rng.uniform(size=60)])
    fsp[:5] = np.nan
    found = flow_trend(fsp, rng.uniform(0.5, 1, 60), rng.uniform(0, 0.5, 60))
    assert isinstance(found, FlowTrend)
    assert found.n == 55
    assert np.isnan(found.cells[0].value) and found.strongest == 1
    assert "nan" not in found.sentence
    constant = flow_trend(np.ones((30, 2)), rng.uniform(size=30), np.zeros(30))
    assert isinstance(constant, TooFew)
    with pytest.raises(ValueError, match="there are 3 accuracies"):
        flow_trend(np.ones((4, 2)), [1, 1, 1], [0, 0, 0])


# --- ranks


def test_ranks_agree_with_scipy_and_a_plain_count() -> None:
    before, after = columns("robust_inherited", "robust_finetuned")
    found = rank_agreement(before, after)
    assert isinstance(found, RankAgreement)
    assert found.tau.value == pytest.approx(stats.kendalltau(before, after)[0])
    best = [set(sorted(range(300), key=lambda i: -each[i])[:30]) for each in (before, after)]
    assert found.kept == pytest.approx(len(best[0] & best[1]) / 30)
    assert "foretells" in found.sentence
    opposite = rank_agreement(before, 1 - after, names=("here", "there"))
    assert isinstance(opposite, RankAgreement)
    assert opposite.tau.value == pytest.approx(-found.tau.value)
    assert opposite.sentence.startswith("The order here is contrary to the order there")
    assert list(opposite.frame().columns) == ["here", "there"]


# --- too few


@given(n=st.integers(0, 19), level=st.floats(0, 1))
@settings(max_examples=20)
def test_too_few_is_said_not_drawn(n: int, level: float) -> None:
    values = np.full(n, level)
    functions: list[Callable[[], Finding | TooFew]] = [
        lambda: finetuning_shift(values, values),
        lambda: density_trend(values, values),
        lambda: rank_agreement(values, values),
        lambda: flow_trend(values[:, None], values, values),
        lambda: counting_noise(values, values + 1),
    ]
    for function in functions:
        found = function()
        assert isinstance(found, TooFew)
        assert (found.have, found.need, found.missing) == (n, 20, 20 - n) or "different" in found.what


def test_what_does_not_vary_has_no_correlation() -> None:
    flat, varied = np.full(50, 0.5), np.linspace(0, 1, 50)
    for found in (density_trend(flat, varied), density_trend(varied, flat), rank_agreement(flat, varied)):
        assert isinstance(found, TooFew)
        assert (found.have, found.need) == (1, 2) and "different" in found.what


def test_extremes_by_hand() -> None:
    groups = extremes(np.array([0.1, 0.9, 0.5, 0.5, 0.2, 0.8, 0.3, 0.4, 0.6, 0.7]))
    assert groups.best.tolist() == [1, 5, 9]
    assert groups.worst.tolist() == [6, 4, 0]
    assert groups.is_best.tolist() == [True] * 3 + [False] * 3
    thousand = extremes(np.arange(1000.0))
    assert (len(thousand.best), len(thousand.worst)) == (300, 300)  # as the paper's Figure 4
    assert len(extremes(np.arange(5000.0)).best) == 300
