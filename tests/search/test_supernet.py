"""A supernet with a sub-network chosen is that sub-network compiled alone."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import robdsl
from robdsl.graph.net import Net, Space
from robdsl.search import Supernet

#: Every shipped space, small.
SPACES: dict[str, dict[str, int]] = {
    "cell_based": {"width": 4, "layers": 3},
    "cell_based_small": {"width": 4, "layers": 3},
    "cell_based_medium": {"width": 4, "layers": 3},
    "cell_based_large": {"width": 4, "layers": 3},
    "cell_based_denoise": {"width": 4, "layers": 6},
    "cell_based_imagenet": {"width": 4, "layers": 3, "size": 64, "classes": 5},
    "cell_free": {"width": 4, "layers": 3},
    "nas_bench_201": {"width": 4, "cells": 1},
    "darts": {"width": 4, "layers": 3},
}
EXACT = {"rtol": 1e-12, "atol": 1e-12}


@cache
def space_of(name: str) -> Space:
    return robdsl.load_space(name, **SPACES[name])


def images(net: Net, count: int = 2, seed: int = 0) -> Tensor:
    """Images a quarter of the net's size, where it takes those."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((count, *net.image), generator=generator, dtype=torch.float64)


def alone(supernet: Supernet, net: Net) -> nn.Module:
    """The sub-network compiled, with the supernet's weights."""
    model = robdsl.compile(net).to(torch.float64)
    state = supernet.state_dict()
    model.load_state_dict({name: state[name].clone() for name in model.state_dict()})
    return model


def check_equal(supernet: Supernet, net: Net) -> None:
    """Forward, gradients and running statistics of a training step, then a forward in evaluation mode."""
    model = alone(supernet, net)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    supernet.choose(net)
    results = []
    for each in (supernet, model):
        each.train().zero_grad(set_to_none=True)
        entering = images(net).requires_grad_(net.stages[-1].shape[0] > 0)
        logits = each(entering)
        if logits.requires_grad:
            logits.square().sum().backward()
        results.append((logits.detach(), entering.grad))
    (ours, our_gradient), (theirs, their_gradient) = results
    torch.testing.assert_close(ours, theirs, **EXACT)
    assert (our_gradient is None) == (their_gradient is None)
    if our_gradient is not None and their_gradient is not None:
        torch.testing.assert_close(our_gradient, their_gradient, **EXACT)
    chosen = dict(model.named_parameters())
    for name, parameter in supernet.named_parameters():
        if name not in chosen or chosen[name].grad is None:
            assert parameter.grad is None, name
        else:
            torch.testing.assert_close(parameter.grad, chosen[name].grad, **EXACT)
    state = model.state_dict()
    for name, tensor in supernet.state_dict().items():
        torch.testing.assert_close(tensor, state.get(name, before[name]), **EXACT)
    with torch.no_grad():
        torch.testing.assert_close(supernet.eval()(images(net)), model.eval()(images(net)), **EXACT)


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_choice_is_the_sub_network_alone(name: str, float64: None, data: st.DataObject) -> None:
    space = space_of(name)
    supernet = Supernet(space, seed=1)
    for _ in range(2):  # from one sub-network to another
        check_equal(supernet, space.sample(data.draw(st.integers(0, 2**32))))


@pytest.mark.parametrize("name", SPACES)
def test_at_first_it_is_the_whole_supernet(name: str, float64: None) -> None:
    space = space_of(name)
    supernet = Supernet(space, seed=1)
    compiled = robdsl.compile(space.supernet(), seed=1)
    assert list(supernet.state_dict()) == list(compiled.state_dict())
    net = space.supernet()
    with torch.no_grad():
        torch.testing.assert_close(supernet.eval()(images(net)), compiled.eval()(images(net)), **EXACT)
    check_equal(supernet, net)
