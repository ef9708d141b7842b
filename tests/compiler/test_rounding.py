"""Frozen nets in float32 stay within bounds that are derived, not measured (`rounding.py` derives them)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import fx

import robdsl
from tests.compiler.passes.drawn import plain_model
from tests.compiler.rounding import rounding
from tests.compiler.test_published_figures import FIGURES, model_with_reference_weights
from tests.reference import images

SMALL: dict[str, Callable[[], robdsl.Net]] = {
    "cell_free": lambda: robdsl.load_space("cell_free", width=4, layers=3, classes=3).sample(3),
    "robnet_large": partial(robdsl.load, "robnet_large", width=4, layers=6),
    "resnet18": partial(robdsl.load, "resnet18", width=4, classes=3),
    "densenet121": partial(robdsl.load, "densenet121", growth=2, classes=3),
}


def hold(model: fx.GraphModule, plain: fx.GraphModule, size: int) -> None:
    """Each operation keeps its own bound, given the same inputs; the logits keep the bound of the whole net."""
    x = images(1, size).float()
    found, shares = rounding(model, x)
    assert len(shares) > 20 and max(shares) <= 1
    with torch.no_grad():
        exact = plain(x.double())
    slack = 1e-10 * max(1.0, float(exact.abs().max()))  # by which passes may move float64
    apart = (found.single.double() - exact).abs()
    assert (apart <= found.error + slack).all()
    assert found.error.isfinite().all() and (found.error > 0).all()


@pytest.mark.parametrize("name", SMALL)
def test_small_nets(name: str) -> None:
    net = SMALL[name]()
    model = plain_model(net).float().eval()
    hold(model, copy.deepcopy(model).double(), net.image[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["robnet_large", "robnet_free"])
def test_published_nets(name: str) -> None:
    """With the weights of the published figures, against the plain graph, which has those figures."""
    model = model_with_reference_weights(name).eval().float()
    plain = robdsl.compile(robdsl.load(name), passes=()).double().eval()
    plain.load_state_dict({key: each.double() for key, each in model.state_dict().items()})
    hold(model, plain, FIGURES[name]["size"])
