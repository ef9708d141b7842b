"""Every net that ships, and supernets of different kinds, become modules of the size that their text has."""

from __future__ import annotations

import pytest
import torch

import robdsl
from robdsl.graph.index import shipped


def sized_as_counted(net: robdsl.Net) -> None:
    with torch.device("meta"):
        model = robdsl.compile(net).eval()
        assert model(torch.rand(2, *net.image)).shape == (2, net.classes)
    assert sum(each.numel() for each in model.parameters()) == net.cost.params


@pytest.mark.parametrize("name", [name for name, _ in shipped("net")])
def test_net(name: str) -> None:
    sized_as_counted(robdsl.load(name))


SLOW = pytest.param("darts", marks=pytest.mark.slow)


@pytest.mark.parametrize("name", ["cell_based_denoise", SLOW, "nas_bench_201"])
def test_supernet(name: str) -> None:
    sized_as_counted(robdsl.load_space(name).supernet())
