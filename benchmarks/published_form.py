"""RobNets in the form in which they were published: what `bench_passes` measures against.

Written from section 3.2 of the paper in the manner of the published implementation: a module for every edge, a skip that
is `Identity`, an empty edge that computes `x * 0`, nodes that Python's `sum` adds up, and a ReLU at the start of every edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tests.compiler.plain_robnet import SOURCES, FactorizedReduce, PlainRobNet, ReluConvNorm, SeparableConv


class Zero(nn.Module):
    """An empty edge."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0) if self.stride == 1 else x[:, :, :: self.stride, :: self.stride].mul(0.0)


class Both(nn.Module):
    """A skip and a separable convolution."""

    def __init__(self, skip: nn.Module, conv: nn.Module) -> None:
        super().__init__()
        self.skip, self.conv = skip, conv

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.skip(x) + self.conv(x)
        return y


class PublishedCell(nn.Module):
    """Two inputs, four nodes, fourteen edges."""

    def __init__(
        self, code: str, older: int, newer: int, width: int, stride: int, *, reduce_older: bool
    ) -> None:
        super().__init__()
        self.preprocess0 = FactorizedReduce(older, width) if reduce_older else ReluConvNorm(older, width)
        self.preprocess1 = ReluConvNorm(newer, width)
        sources = [source for into in SOURCES for source in into]
        bits = code.replace("|", "").split()
        self.edges = nn.ModuleList(
            _edge(each, width, stride if source < 2 else 1)
            for each, source in zip(bits, sources, strict=True)
        )

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        nodes: list[Tensor] = [self.preprocess0(older), self.preprocess1(newer)]
        edges = iter(self.edges)
        for into in SOURCES:
            nodes.append(sum(next(edges)(nodes[source]) for source in into))  # from 0 on, as published
        return torch.cat(nodes[2:], dim=1)


def _edge(bits: str, width: int, stride: int) -> nn.Module:
    def skip() -> nn.Module:
        return nn.Identity() if stride == 1 else FactorizedReduce(width, width)

    match bits:
        case "00":
            return Zero(stride)
        case "01":
            return SeparableConv(width, stride)
        case "10":
            return skip()
    return Both(skip(), SeparableConv(width, stride))


class PublishedRobNet(PlainRobNet):
    """A RobNet of cells in the published form, with the stem and the head of the plain one."""

    def __init__(self, codes: Sequence[str], width: int = 36, layers: int = 20, classes: int = 10) -> None:
        super().__init__(codes, width, layers, classes)
        codes = codes if len(codes) == layers else [*codes] * layers
        older = newer = 3 * width
        smaller = False
        for layer, code in enumerate(codes):
            stride = 2 if layer in (layers // 3, 2 * layers // 3) else 1
            width *= stride
            self.cells[layer] = PublishedCell(code, older, newer, width, stride, reduce_older=smaller)
            older, newer, smaller = newer, 4 * width, stride == 2
