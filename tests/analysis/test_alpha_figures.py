"""Figures 4 and 6 and the importance of edges find what was put into the bank, and nothing where nothing was."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.linear_model import LinearRegression, SGDClassifier
from sklearn.model_selection import StratifiedKFold

import robdsl
from robdsl.analysis import (
    AlphaMatrix,
    Budgets,
    EdgeImportance,
    Embedding,
    OperationEffects,
    Separation,
    TooFew,
    alpha_matrix,
    budgets,
    edge_importance,
    embedding,
    operation_effects,
    separation,
)  # fmt: skip
from robdsl.analysis.budgets import NAMES
from robdsl.analysis.embedding import neighbour_agreement
from robdsl.analysis.groups import extremes
from robdsl.analysis.importance import edges_of, fanova
from robdsl.analysis.results import Floats
from tests.analysis.synthetic import RULE, made, numbers


def alpha_and_accuracy(*arguments: Any, **options: Any) -> tuple[AlphaMatrix, Floats]:
    bank = made(*arguments, **options)
    return alpha_matrix(bank.frame["alpha"].tolist(), bank.space.picks), numbers(
        bank.frame, "robust_finetuned"
    )


# --- Figure 4a


def test_the_best_and_the_worst_lie_apart() -> None:
    alpha, accuracy = alpha_and_accuracy()
    found = embedding(alpha, accuracy)
    assert isinstance(found, Embedding)
    assert found.points.shape == (180, 2) and found.best.sum() == 90
    assert found.accuracy[found.best].min() >= found.accuracy[~found.best].max()
    assert accuracy[found.places].tolist() == found.accuracy.tolist()
    assert found.agreement > 0.6 and found.chance <= 0.01
    assert found.sentence.startswith("Alpha keeps the 90 best and the 90 worst apart")


def test_noise_does_not_lie_apart() -> None:
    alpha, accuracy = alpha_and_accuracy(rule=False)
    bits = alpha.values[extremes(accuracy).both].astype(np.float64)
    agreement, chance = neighbour_agreement(bits, extremes(accuracy).is_best)
    assert abs(agreement - 0.5) < 0.1 and chance > 0.01


def test_neighbours_by_plain_distances() -> None:
    rng = np.random.default_rng(0)
    bits, best = rng.uniform(size=(40, 9)), rng.permutation(np.repeat([True, False], 20))
    distances = cdist(bits, bits, "cityblock")
    shares = []
    for row in range(40):
        near = [i for i in np.argsort(distances[row]) if i != row][:5]
        shares.append(sum(best[i] == best[row] for i in near) / 5)
    assert neighbour_agreement(bits, best)[0] == pytest.approx(np.mean(shares))


def test_a_seed_gives_the_same_layout() -> None:
    alpha, accuracy = alpha_and_accuracy(count=70)
    first, second = embedding(alpha, accuracy), embedding(alpha, accuracy)
    assert isinstance(first, Embedding) and isinstance(second, Embedding)
    assert np.array_equal(first.points, second.points)


# --- Figure 4b


def test_the_classifier_finds_the_rule() -> None:
    alpha, accuracy = alpha_and_accuracy()
    found = separation(alpha, accuracy)
    assert isinstance(found, Separation)
    order = sorted(range(len(found.weights)), key=lambda i: -abs(found.weights[i]))
    top = {
        (found.columns[i].source, found.columns[i].target, found.columns[i].operation): found.weights[i]
        for i in order[:4]
    }
    assert set(top) == set(RULE)
    for what, weight in top.items():
        assert math.copysign(1, weight) == math.copysign(1, RULE[what])
    assert found.held_out.low > 0.8 and found.training >= found.held_out.value
    assert "x1 → n0" in found.sentence and "held-out" in found.sentence


def test_held_out_accuracy_by_a_plain_loop() -> None:
    alpha, accuracy = alpha_and_accuracy(noise=0.08)
    found = separation(alpha, accuracy)
    assert isinstance(found, Separation)
    order = np.argsort(-accuracy, kind="stable")
    rows = np.concatenate([order[:90], order[-90:]])
    labels = np.arange(180) < 90
    right = 0
    for train, test in StratifiedKFold(10, shuffle=True, random_state=0).split(rows, labels):
        model = SGDClassifier(average=True, random_state=0).fit(alpha.values[rows[train]], labels[train])
        right += int((model.predict(alpha.values[rows[test]]) == labels[test]).sum())
    assert found.held_out.value == pytest.approx(right / 180)
    whole = SGDClassifier(average=True, random_state=0).fit(alpha.values[rows], labels)
    assert found.weights == pytest.approx(whole.coef_[0] / math.sqrt((whole.coef_[0] ** 2).sum()))
    assert found.training == pytest.approx(whole.score(alpha.values[rows], labels))


def test_noise_is_learned_by_heart_and_not_foretold() -> None:
    """Why the paper's training accuracy is not enough."""
    alpha, accuracy = alpha_and_accuracy(count=80, rule=False)
    found = separation(alpha, accuracy)
    assert isinstance(found, Separation)
    assert found.training > 0.8 and found.held_out.low < 0.5
    assert "does not tell the best from the worst" in found.sentence


def test_weights_of_many_picks_are_averaged_by_edge() -> None:
    alpha, accuracy = alpha_and_accuracy("cell_free", 120)
    found = separation(alpha, accuracy)
    assert isinstance(found, Separation)
    by_edge = found.by_edge()
    assert len(by_edge) == 28 and len(found.frame()) == 28 * len(alpha.picks)
    row = by_edge[(by_edge.source == "x1") & (by_edge.target == "n0") & (by_edge.operation == "sep_conv_3x3")]
    expected = [
        w
        for w, c in zip(found.weights, found.columns, strict=True)
        if (c.edge, c.operation) == ("x1 → n0", "sep_conv_3x3")
    ]
    assert row.weight.item() == pytest.approx(np.mean(expected))


# --- Figure 6


def test_effects_are_those_of_least_squares() -> None:
    alpha, accuracy = alpha_and_accuracy()
    found = operation_effects(alpha, accuracy)
    assert isinstance(found, OperationEffects)
    nets = made().nets
    table = np.array(
        [
            [
                getattr(net.stats().choices[0], "direct" if each.direct else "skips")[each.operation]
                for each in found.effects
            ]
            for net in nets
        ]
    )
    oracle = LinearRegression().fit(table, accuracy)
    assert [each.effect.value for each in found.effects] == pytest.approx(oracle.coef_.tolist())
    assert found.explained == pytest.approx(oracle.score(table, accuracy))
    order = np.argsort(-accuracy, kind="stable")
    assert found.effects[0].best == pytest.approx(table[order[:90], 0].mean())
    assert found.effects[0].worst == pytest.approx(table[order[-90:], 0].mean())


def test_effects_find_what_was_put_in() -> None:
    """Each convolution on a direct edge is worth two points; nothing else is worth anything."""
    alpha, _ = alpha_and_accuracy()
    rng = np.random.default_rng(0)
    accuracy = 0.3 + 0.02 * alpha.count(["sep_conv_3x3"], direct=True) + rng.normal(0, 0.02, len(alpha))
    found = operation_effects(alpha, accuracy)
    assert isinstance(found, OperationEffects)
    for each in found.effects:
        true = 0.02 if (each.operation, each.direct) == ("sep_conv_3x3", True) else 0.0
        assert each.effect.low - 0.002 <= true <= each.effect.high + 0.002
    assert (
        "One more sep_conv_3x3 on a direct edge" in found.sentence
        and "more robust accuracy" in found.sentence
    )


def test_tangled_operations_are_said() -> None:
    """Every edge of NAS-Bench-201 takes one operation: with `none` kept out, counts on direct edges add up."""
    space = robdsl.load_space("nas_bench_201")
    alpha = alpha_matrix([space.sample(seed).alpha for seed in range(150)], space.picks)
    full = alpha.rows(np.flatnonzero(alpha.values.sum(axis=1) == 6))
    found = operation_effects(full, np.random.default_rng(0).uniform(size=len(full)))
    assert isinstance(found, OperationEffects | TooFew)
    if isinstance(found, OperationEffects):
        assert found.tangled and "cannot be told" in found.sentence


def test_budgets_are_the_papers() -> None:
    alpha, accuracy = alpha_and_accuracy()
    found = budgets(alpha, accuracy)
    assert isinstance(found, Budgets)
    groups: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    for net, value in zip(made().nets, accuracy, strict=True):
        choices = net.stats().choices[0]
        count = choices.counts["sep_conv_3x3"]
        if count:
            name = "small" if count <= 7 else "medium" if count <= 10 else "large"
            groups[name].append((choices.direct["sep_conv_3x3"] / count, value))
    for each in found.budgets:
        assert each.direct == pytest.approx([direct for direct, _ in groups[each.name]])
        assert each.accuracy == pytest.approx([value for _, value in groups[each.name]])
    assert len(found.frame()) == sum(map(len, groups.values()))
    large = found.budgets[2]
    assert large.n < 20 and isinstance(large.spearman, TooFew)
    assert f"large: {large.n} of 20" in found.sentence


def test_spaces_without_convolutions_have_no_budgets() -> None:
    alpha, accuracy = alpha_and_accuracy()
    assert isinstance(budgets(alpha, accuracy, convolutions=()), TooFew)
    skips = budgets(alpha, accuracy, convolutions=("skip",))
    assert isinstance(skips, Budgets)


# --- which edges matter


def test_importance_is_the_variance_that_was_put_in() -> None:
    """The rule is a sum over edges, alternatives are drawn alike: each edge explains the square of its share."""
    alpha, accuracy = alpha_and_accuracy(noise=0.002)
    found = edge_importance(alpha, accuracy, repeats=2)
    assert isinstance(found, EdgeImportance)
    total = sum(value**2 for value in RULE.values())
    true = {(source, target): value**2 / total for (source, target, _), value in RULE.items()}
    shares = {(e.source, e.target): share for e, share in zip(found.edges, found.importance, strict=True)}
    for edge, share in shares.items():
        assert share == pytest.approx(true.get(edge, 0.0), abs=0.1)
    assert set(sorted(shares, key=lambda each: -shares[each])[:4]) == set(true)
    assert found.predictive > 0.7 and found.reliable
    assert found.sentence.startswith("The edges that matter most are x1 → n0")
    assert (found.low <= found.importance).all() and (found.importance <= found.high).all()


def test_importance_agrees_with_optunas() -> None:
    import optuna
    from optuna.distributions import CategoricalDistribution
    from optuna.importance import FanovaImportanceEvaluator

    alpha, accuracy = alpha_and_accuracy(count=120, noise=0.002)
    edges, columns = edges_of(alpha)
    ours = fanova(alpha.values.astype(np.float64), columns, accuracy)
    names = [f"{edge.source}-{edge.target}" for edge in edges]
    choices = CategoricalDistribution(["00", "01", "10", "11"])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    for row, value in zip(alpha.values, accuracy, strict=True):
        params = {name: "".join(map(str, row[list(each)])) for name, each in zip(names, columns, strict=True)}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=dict.fromkeys(names, choices), value=value)
        )
    theirs = FanovaImportanceEvaluator(n_trees=8, max_depth=6, seed=0).evaluate(study)
    assert np.corrcoef(ours, [theirs[name] for name in names])[0, 1] > 0.95


def test_importance_of_noise_says_so() -> None:
    alpha, accuracy = alpha_and_accuracy(count=120, rule=False)
    found = edge_importance(alpha, accuracy, repeats=2)
    assert isinstance(found, EdgeImportance)
    assert not found.reliable and found.predictive < 0.1
    assert "cannot be told from chance" in found.sentence


def test_importance_takes_as_many_architectures_as_edges() -> None:
    alpha, accuracy = alpha_and_accuracy("cell_free", 120, layers=9)
    found = edge_importance(alpha, accuracy)
    assert isinstance(found, TooFew)
    assert (found.have, found.need) == (120, 14 * 9)


# --- too few


@pytest.mark.parametrize("function", [embedding, separation, operation_effects, budgets, edge_importance])
def test_too_few_is_said_not_drawn(function: object) -> None:
    assert callable(function)
    alpha, accuracy = alpha_and_accuracy(count=70)
    unknown = np.where(np.arange(70) < 12, accuracy, np.nan)
    for values in (unknown, np.full(70, np.nan)):
        found = function(alpha, values)
        assert isinstance(found, TooFew) and found.have < found.need


@pytest.mark.parametrize("function", [embedding, separation])
def test_one_architecture_many_times_is_one(function: object) -> None:
    assert callable(function)
    alpha, accuracy = alpha_and_accuracy(count=70)
    same = AlphaMatrix(np.repeat(alpha.values[:1], 70, axis=0), alpha.columns)
    found = function(same, accuracy)
    assert isinstance(found, TooFew) and found.what == "different architectures"
