"""Spaces and supernets that the tests of the supernet share."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

import robdsl
from robdsl.graph.net import Net, Space
from robdsl.search import Supernet

#: Every shipped space, small.
SPACES: dict[str, dict[str, Any]] = {
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

#: RobNet-like spaces on images of 8 x 8, with one choice for all cells, one for each, and a narrow one.
_TINY = """
use robnet

space tiny_shared(width=2, classes=4) {
    input 3 x 8 x 8
    pick c : robnet_cell
    conv(3, 2*width) | batch_norm
    c(width)
    c(2*width, stride=2)
    c(2*width)
    global_avg_pool | flatten | linear(classes)
    require density(c) > 0
}

space tiny_free(width=2, classes=4) {
    input 3 x 8 x 8
    conv(3, 2*width) | batch_norm
    pick robnet_cell(width)
    pick robnet_cell(2*width, stride=2)
    pick robnet_cell(2*width)
    global_avg_pool | flatten | linear(classes)
    require density(robnet_cell) > 0
}

space tiny_narrow in tiny_shared {
    require count(c, sep_conv_3x3) <= 2
}
"""

#: What the shipped spaces do not have: picks in chains and sums, stages named like methods, cells that may be nothing,
#: joins of all kinds, zeros as an operation, nodes that nothing needs.
_STRANGE = """
op maybe_nothing = zero | conv(1)

cell inner {
    in x
    x -> a : relu
    x -> b : sigmoid | batch_norm
    y = mul(a, b)
    y, x -> out
}

cell one_way {
    in x
    x -> a : any { identity, inner, maybe_nothing }
    x, a -> b : one { none, conv(3), inner, zero }
    a -> dead : any { conv(1), relu }
    x -> out : any { identity }
    j = sum(a, b)
    j -> out : any { batch_norm, identity }
}

cell only_skips {
    in p, q
    p -> out : any { identity }
}

space strange(width=2) {
    input 3 x 8 x 8
    pick c : one_way
    choose: conv(3, width) | batch_norm
    computed: c | conv(1) + relu | c
    layers: repeat 2 { c + (relu | c) }
    pick only_skips
    pick only_skips
    forward: dropout(0) | c
    global_avg_pool | flatten | linear(3)
}
"""


@cache
def shipped(name: str) -> Space:
    return robdsl.load_space(name, **SPACES[name])


@cache
def tiny(name: str) -> Space:
    """``tiny_shared``, ``tiny_free`` or ``tiny_narrow``."""
    return robdsl.load_space(_TINY, space=name)


@cache
def strange() -> Space:
    return robdsl.load_space(_STRANGE)


def images(net: Net, count: int = 2, seed: int = 0) -> Tensor:
    """Random images of a net's size, in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((count, *net.image), generator=generator, dtype=torch.float64)


def alone(supernet: Supernet, net: Net) -> nn.Module:
    """A sub-network compiled by itself, with the supernet's weights."""
    model = robdsl.compile(net).to(torch.float64)
    state = supernet.state_dict()
    model.load_state_dict({name: state[name].clone() for name in model.state_dict()})
    return model
