"""RobNet-large and RobNet-free compute what the published implementation computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx
from torch.nn import functional as F

import robdsl
from robdsl.weights.published import published_keys
from tests.compiler.plain_robnet import PlainRobNet
from tests.reference import filled_state, images, labels

DATA = Path(__file__).parents[1] / "data"
FIGURES: dict[str, dict[str, Any]] = json.loads((DATA / "robnets.json").read_text())
LAYOUT = json.loads((DATA / "robnets_state_dict.json").read_text())

both = pytest.mark.parametrize("name", ["robnet_large", "robnet_free"])


def model_with_reference_weights(name: str) -> torch.fx.GraphModule:
    net = robdsl.load(name)
    model = robdsl.compile(net).double()
    model.load_state_dict(filled_state(model.state_dict(), published_keys(net)))
    return model


@cache
def evaluated(name: str) -> tuple[torch.fx.GraphModule, Tensor, Tensor, Tensor]:
    """The model in eval mode, the images, and what it makes of them: logits, and the loss's gradient."""
    model = model_with_reference_weights(name).eval().requires_grad_(False)
    x = images(FIGURES[name]["batch"], FIGURES[name]["size"]).requires_grad_()
    logits = model(x)
    (gradient,) = torch.autograd.grad(loss_of(logits), x)
    return model, x.detach(), logits.detach(), gradient


def loss_of(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels(*logits.shape), reduction="sum")


def figures(name: str, key: str) -> Tensor:
    return torch.tensor(FIGURES[name][key], dtype=torch.float64)


def agree(ours: Tensor, published: Tensor) -> None:
    torch.testing.assert_close(ours, published, rtol=1e-9, atol=1e-12)


@both
def test_keys_shapes_and_sizes(name: str) -> None:
    net = robdsl.load(name)
    with torch.device("meta"):
        model = robdsl.compile(net)
    assert net.alpha == [*FIGURES[name]["alpha"]] * (len(net.alpha) // len(FIGURES[name]["alpha"]))
    assert sum(each.numel() for each in model.parameters()) == FIGURES[name]["parameters"]
    keys = published_keys(net)
    shapes = {keys[key]: list(tensor.shape) for key, tensor in model.state_dict().items()}
    expected = {
        f"{part}.{key}": shape
        for part, block in LAYOUT["nets"][name].items()
        for key, shape in LAYOUT["blocks"][block].items()
    }
    assert shapes == expected


@both
def test_eval_mode(name: str) -> None:
    _, x, logits, gradient = evaluated(name)
    agree(logits, figures(name, "logits_eval"))
    agree(loss_of(logits), figures(name, "loss_sum"))
    agree(gradient.abs().sum(), figures(name, "input_grad_l1"))
    agree(gradient.norm(), figures(name, "input_grad_l2"))
    agree(gradient.flatten()[:8], figures(name, "input_grad_first8"))
    assert labels(*logits.shape).tolist() == FIGURES[name]["labels"]
    assert len(x) == FIGURES[name]["batch"]


@both
def test_frozen(name: str) -> None:
    model, x, _, _ = evaluated(name)
    frozen, x = robdsl.freeze(model), x.clone().requires_grad_()
    logits = frozen(x)
    (gradient,) = torch.autograd.grad(loss_of(logits), x)
    agree(logits, figures(name, "logits_eval"))
    agree(gradient.abs().sum(), figures(name, "input_grad_l1"))
    agree(gradient.norm(), figures(name, "input_grad_l2"))
    agree(gradient.flatten()[:8], figures(name, "input_grad_first8"))


@both
def test_train_mode(name: str) -> None:
    model, x, _, _ = evaluated(name)
    with torch.no_grad():
        agree(model_with_reference_weights(name)(x), figures(name, "logits_train"))
    assert not model.training


@pytest.mark.slow
@pytest.mark.parametrize("prepare", [lambda model: model, robdsl.freeze], ids=["compile", "freeze"])
@both
def test_pgd(name: str, prepare: Callable[[fx.GraphModule], fx.GraphModule]) -> None:
    model, x, _, gradient = evaluated(name)
    model = prepare(model)
    low, high = (x - 8 / 255).clamp(min=0), (x + 8 / 255).clamp(max=1)
    adversarial = x
    for step in range(FIGURES[name]["pgd_steps"]):
        if step:
            adversarial.requires_grad_()
            (gradient,) = torch.autograd.grad(loss_of(model(adversarial)), adversarial)
        adversarial = (adversarial.detach() + 2 / 255 * gradient.sign()).clamp(low, high)
    agree((adversarial - x).abs().mean(), figures(name, "pgd_mean_abs_delta"))
    with torch.no_grad():
        agree(model(adversarial), figures(name, "pgd_logits_eval"))


@pytest.mark.parametrize(
    ("name", "parameters", "shape"),
    [
        ("robnet_large_v2", 33_326_666, {"width": 64, "layers": 33}),
        ("robnet_large_imagenet", 12_756_448, {"width": 48, "classes": 1000, "imagenet": True}),
    ],
)
def test_other_forms_have_the_published_layout(name: str, parameters: int, shape: dict[str, Any]) -> None:
    net = robdsl.load(name)
    with torch.device("meta"):
        model, plain = robdsl.compile(net), PlainRobNet(net.alpha, **shape)
    assert sum(each.numel() for each in model.parameters()) == parameters
    keys = published_keys(net)
    ours = {keys[key]: tensor.shape for key, tensor in model.state_dict().items()}
    assert ours == {key: tensor.shape for key, tensor in plain.state_dict().items()}
