"""What is proposed: uniform and repeatable where it should be, valid and new everywhere."""

from __future__ import annotations

from collections import Counter
from math import comb
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, strategies
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy import stats

import robdsl
from robdsl.graph.net import Net, Space
from robdsl.search import SearchError
from robdsl.search.budgets import within_budget
from robdsl.search.predictor import Predictor
from robdsl.search.samplers import (
    Sampler,
    choices_of,
    distributions_of,
    facts_of,
    make_sampler,
    params_of,
    template,
)
from robdsl.search.settings import Settings
from tests.search.small import OPERATION, settings, space

BUDGETS = {"small": (0, 7), "medium": (8, 10), "large": (11, 14)}


def large_space(name: str) -> Space:
    return robdsl.load_space(name, width=4, layers=3)


def convolutions(net: Net, pick: int = 0) -> int:
    return sum(code[1] == "1" for code in net.alpha[pick].replace("|", " ").split())


@pytest.mark.parametrize("sampler", ["random", "budget"])
def test_trial_k_of_a_seed_is_always_the_same_net(sampler: Any) -> None:
    budget = "large" if sampler == "budget" else None
    made = [
        make_sampler(
            settings(sampler=sampler, budget=budget, operation="sep_conv_3x3", seed=3),
            large_space("cell-free"),
        )
        for _ in range(2)
    ]
    forward = [made[0].propose(number, ()).net.alpha for number in range(6)]
    backward = [made[1].propose(number, ()).net.alpha for number in reversed(range(6))]
    assert forward == backward[::-1]
    assert len({str(each) for each in forward}) == 6
    other = make_sampler(
        settings(sampler=sampler, budget=budget, operation="sep_conv_3x3", seed=4), large_space("cell-free")
    )
    assert other.propose(0, ()).net.alpha != forward[0]


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("draws", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_draws_within_a_budget_are_uniform(budget: str, draws: int) -> None:
    """Against counts by hand: of 14 edges with any of 2 operations, C(14, k) 2^14 cells have k convolutions."""
    low, high = BUDGETS[budget]
    sampler = make_sampler(
        settings(sampler="budget", budget=budget, operation="sep_conv_3x3"), large_space("cell-based")
    )
    seen = Counter(convolutions(sampler.propose(number, ()).net) for number in range(draws))
    assert low <= min(seen) and max(seen) <= high
    weights = np.array([comb(14, k) for k in range(low, high + 1)], dtype=float)
    expected = weights / weights.sum() * draws
    observed = np.array([seen[k] for k in range(low, high + 1)])
    rare = expected < 5  # chi-square needs five or so in each class
    classes = [
        np.append(each[~rare], each[rare].sum()) if rare.any() else each for each in (observed, expected)
    ]
    assert stats.chisquare(*classes).pvalue > 1e-6


def test_budgets_hold_in_every_cell_and_part_the_space() -> None:
    free, based = large_space("cell-free"), large_space("cell-based")
    for budget, (low, high) in BUDGETS.items():
        narrowed = within_budget(free, budget)
        for seed in range(20):
            net = narrowed.sample(seed)
            assert all(low <= convolutions(net, pick) <= high for pick in range(3))
            assert free.net(net.alpha).hash == net.hash
        assert narrowed.size() == within_budget(free, budget).size()
    assert sum(within_budget(based, each).size() for each in BUDGETS) == based.size()
    assert within_budget(based, "small").size() == robdsl.load_space("cell-based-small").size()


def test_a_budget_needs_what_it_counts() -> None:
    with pytest.raises(SearchError, match="no budget"):
        within_budget(space(), "tiny", OPERATION)
    with pytest.raises(SearchError, match="within the large budget"):
        within_budget(space(), "large", OPERATION)
    with pytest.raises(robdsl.RobError, match="sep_conv_3x3"):
        within_budget(space(), "small")
    with pytest.raises(ValueError, match="needs a budget"):
        settings(sampler="budget")


@given(strategies.integers(0, 10**6), strategies.sampled_from(["cell-free", "darts", "nas-bench-201"]))
def test_parameters_stand_for_choices(seed: int, name: str) -> None:
    known = robdsl.load_space(name)
    choices = known.sample(seed).choices
    params = params_of(known, choices)
    assert choices_of(known, params) == choices
    distributions = distributions_of(known)
    assert params.keys() == distributions.keys()
    assert all(value in distributions[key].choices for key, value in params.items())


# --- samplers that look


def played(searched: Settings, known: Space, count: int, value: Any) -> list[FrozenTrial]:
    """A game of ask and tell, where a net's value is known at once."""
    sampler: Sampler = make_sampler(searched, known)
    trials: list[FrozenTrial] = []
    for number in range(count):
        proposal = sampler.propose(number, trials)
        waiting = template(proposal, facts_of(proposal.net, searched), known)
        values = [value(proposal.net)]
        if len(searched.directions) > 1:
            values.append(float(proposal.net.cost.params))
        trials.append(
            create_trial(
                state=TrialState.COMPLETE,
                values=values,
                params=waiting.params,
                distributions=waiting.distributions,
                user_attrs=waiting.user_attrs,
                system_attrs=waiting.system_attrs,
            )
        )
    return trials


def skips(net: Net) -> float:
    """How many identities a small net has, of eight."""
    return float(sum(code[0] == "1" for alpha in net.alpha for code in alpha.replace("|", " ").split()))


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "predictor"])
def test_samplers_that_look_learn(sampler: Any) -> None:
    """They find better nets late than early, and never the same net twice."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials = played(settings(sampler=sampler), space(), 70, skips)
    values = [each.values[0] for each in trials]
    assert len({each.user_attrs["hash"] for each in trials}) == 70
    assert np.mean(values[-20:]) > np.mean(values[:20]) + 0.5
    again = played(settings(sampler=sampler), space(), 12, skips)
    assert [each.user_attrs["alpha"] for each in again] == [each.user_attrs["alpha"] for each in trials[:12]]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "predictor"])
def test_samplers_that_look_keep_to_a_budget(sampler: Any) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searched = settings(sampler=sampler, budget="small", operation="sep_conv_3x3")
    known = large_space("cell-based")
    for each in played(searched, known, 14, lambda net: float(net.cost.macs)):
        assert convolutions(known.net(each.user_attrs["alpha"])) <= 7


def test_a_space_that_is_known_whole_is_said_to_be() -> None:
    shared = space("shared_space")
    searched = settings("shared_space", sampler="predictor")
    with pytest.raises(SearchError, match="finds no other"):
        played(searched, shared, 64, skips)


def test_the_predictor_tells_good_from_bad() -> None:
    nets = [space().sample(seed) for seed in range(120)]
    predictor = Predictor(0)
    predictor.fit([net.alpha for net in nets[:80]], [skips(net) for net in nets[:80]])
    guessed = predictor.predict([net.alpha for net in nets[80:]])
    assert stats.kendalltau(guessed, [skips(net) for net in nets[80:]]).statistic > 0.5
    assert (predictor.hopes([net.alpha for net in nets[80:]]) >= guessed - 1e-9).all()
