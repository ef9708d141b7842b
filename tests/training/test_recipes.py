"""Recipes, the learning rate and the optimizer."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import nn

from robdsl.data import FACTS
from robdsl.training import METHODS, Recipe, WeightAverage, make_optimizer, rate_at, recipe_for
from robdsl.training.optimizer import momentum_of, set_momentum
from tests.training.workers import make_net


def test_the_defaults_are_the_published_recipe() -> None:
    recipe = recipe_for("cifar10")
    assert (recipe.method, recipe.epochs, recipe.batch, recipe.steps) == ("pgd", 170, 1536, 7)
    assert (recipe.momentum, recipe.weight_decay) == (0.9, 1e-4)
    assert (recipe.eps, recipe.step_size) == (Fraction(8, 255), Fraction(2, 255))
    augmentation = recipe.augmentation(FACTS["cifar10"])
    assert (augmentation.crop_padding, augmentation.flip, augmentation.cutout) == (4, True, 0)
    assert not recipe.augmentation(FACTS["svhn"]).flip


def test_the_rate_is_the_published_one_at_every_epoch() -> None:
    """Linear from 0.02 to 1.2 over 20 epochs, then a cosine to 0.001 over 150."""
    recipe = Recipe()
    for epoch in range(171):
        if epoch < 20:
            expected = 0.02 + epoch / 20 * (1.2 - 0.02)
        else:
            expected = 0.001 + (1.2 - 0.001) * (1 + math.cos(math.pi * (epoch - 20) / 150)) / 2
        assert rate_at(recipe, epoch, 1536) == pytest.approx(expected, rel=1e-12)
    assert rate_at(recipe, 170, 1536) == pytest.approx(0.001)
    rates = [rate_at(recipe, 20 + step / 10, 1536) for step in range(1501)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("time", [0, 3.5, 20, 100, 170])
def test_the_rate_scales_with_the_batch(time: float) -> None:
    recipe = Recipe()
    assert rate_at(recipe, time, 384) == pytest.approx(rate_at(recipe, time, 1536) / 4)


@pytest.mark.parametrize(("warmup", "time", "expected"), [(0, 0, 1.2), (4, 4, 0.001), (4, 0, 0.02)])
def test_the_rate_without_warm_up_or_cosine(warmup: int, time: float, expected: float) -> None:
    assert rate_at(Recipe(epochs=4, warmup_epochs=warmup), time, 1536) == pytest.approx(expected)


def test_the_recipes_of_methods_and_data() -> None:
    trades = recipe_for("cifar10", "trades")
    assert (trades.beta, trades.steps, trades.step_size) == (6.0, 10, Fraction(7, 1000))
    free = recipe_for("cifar10", "free")
    assert (free.replays, free.epochs, free.warmup_epochs) == (4, 43, 5)
    assert recipe_for("cifar10", "free", replays=2).epochs == 85
    assert recipe_for("cifar10", "free", epochs=9).epochs == 9
    fast = recipe_for("cifar10", "fast")
    assert (fast.steps, fast.step_size) == (1, Fraction(10, 255))
    assert recipe_for("cifar10", "fast", eps="4/255").step_size == Fraction(5, 255)
    imagenet = recipe_for("imagenet", "free")
    assert (imagenet.eps, imagenet.batch, imagenet.epochs) == (Fraction(4, 255), 256, 23)
    assert recipe_for("digits").batch < 200 and recipe_for("digits").epochs < 50
    assert recipe_for("cifar10", cutout=16, epochs=30).cutout == 16
    with pytest.raises(TypeError, match="speed"):
        recipe_for("cifar10", speed=1)


def test_amounts_stay_exact() -> None:
    recipe = Recipe(eps=8 / 255, step_size="2/255")
    assert recipe == Recipe(eps="8/255", step_size=Fraction(2, 255))
    described = recipe.describe()
    assert (described["eps"], described["step_size"]) == ("8/255", "2/255")
    assert Recipe(**described) == recipe  # type: ignore[arg-type] # what it describes is what it takes


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "magic"},
        {"epochs": 0},
        {"batch": 0},
        {"lr": -1},
        {"lr": math.nan},
        {"warmup_epochs": 171},
        {"momentum": 1},
        {"average": 1.0},
        {"clip": 0},
        {"eps": -1},
        {"steps": -1},
        {"replays": 0},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)) if "eps" not in wrong else "negative"):
        Recipe(**wrong)


def test_all_methods_have_a_recipe_for_all_data() -> None:
    for method in METHODS:
        for data in FACTS:
            assert recipe_for(data, method).method == method


def test_norms_and_biases_are_not_decayed() -> None:
    net = make_net()
    net.second.weight.requires_grad_(False)
    decays = {
        id(parameter): group["weight_decay"]
        for group in make_optimizer(net, Recipe()).param_groups
        for parameter in group["params"]
    }
    found = {name: decays.get(id(parameter)) for name, parameter in net.named_parameters()}
    assert found == {
        "first.weight": 1e-4,
        "norm.weight": 0.0,
        "norm.bias": 0.0,
        "second.weight": None,
        "head.weight": 1e-4,
        "head.bias": 0.0,
    }


def test_momentum_can_be_put_back() -> None:
    net = make_net()
    optimizer = make_optimizer(net, Recipe())
    assert momentum_of(net, optimizer) == {}
    net(torch.rand(4, 3, 8, 8)).sum().backward()
    optimizer.step()
    kept = {name: tensor.clone() for name, tensor in momentum_of(net, optimizer).items()}
    assert set(kept) == {name for name, _ in net.named_parameters()}
    other = make_optimizer(net, Recipe())
    set_momentum(net, other, kept)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in momentum_of(net, other).items())
    set_momentum(net, other, {"head.bias": kept["head.bias"]})
    assert list(momentum_of(net, other)) == ["head.bias"]


def test_the_average_follows_its_definition() -> None:
    linear, norm = nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1)
    net = nn.Sequential(linear, norm)
    with torch.no_grad():
        linear.weight.fill_(0.0)
    average, counted = WeightAverage(net, 0.9), norm.num_batches_tracked
    assert counted is not None
    expected = 0.0
    for update in range(1, 200):
        with torch.no_grad():
            linear.weight.fill_(float(update))
        counted.fill_(update)
        average.update(update)
        decay = min(0.9, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * update
    assert average.state()["0.weight"].item() == pytest.approx(expected, rel=1e-5)
    assert average.state()["1.num_batches_tracked"].item() == 199
    with average.in_place():
        assert linear.weight.item() == pytest.approx(expected, rel=1e-5)
    assert linear.weight.item() == 199
    average.leave_in_model()
    assert linear.weight.item() == pytest.approx(expected, rel=1e-5)
