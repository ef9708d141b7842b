"""RobNets written out by hand from section 3.2 of the paper, as plainly as possible: the compiler's oracle.

The modules bear the names that the published checkpoints use, so that weights travel by `published_keys`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

#: The edges of a cell in the order of alpha: into n0 from x0, x1; into n1 from x0, x1, n0; and so on.
SOURCES = ((0, 1), (0, 1, 2), (0, 1, 2, 3), (0, 1, 2, 3, 4))


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, affine=False)


class ReluConvNorm(nn.Module):
    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.op = nn.Sequential(nn.ReLU(), nn.Conv2d(channels_in, channels, 1, bias=False), norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.op(x)
        return y


class FactorizedReduce(nn.Module):
    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv_1 = nn.Conv2d(channels_in, channels // 2, 1, stride=2, bias=False)
        self.conv_2 = nn.Conv2d(channels_in, channels // 2, 1, stride=2, bias=False)
        self.bn = norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        y: Tensor = self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))
        return y


class SeparableConv(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.op(x)
        return y


class Both(nn.Module):
    def __init__(self, conv: nn.Module, res: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.res = res

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.res(x) + self.conv(x)
        return y


class Edge(nn.Module):
    """The operations that two bits choose: a skip, a separable convolution, both or none."""

    def __init__(self, bits: str, channels: int, stride: int) -> None:
        super().__init__()
        self.empty = bits == "00"
        skip = nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
        if bits == "11":
            self.op: nn.Module = Both(SeparableConv(channels, stride), skip)
        elif bits == "01":
            self.op = SeparableConv(channels, stride)
        elif bits == "10":
            self.op = skip

    def forward(self, total: Tensor, x: Tensor) -> Tensor:
        return total if self.empty else total + self.op(x)


class PlainCell(nn.Module):
    """Two inputs, each brought to the cell's width, then four nodes, each the sum of what flows into it."""

    def __init__(
        self, code: str, older: int, newer: int, width: int, stride: int, *, reduce_older: bool
    ) -> None:
        super().__init__()
        bits = code.replace("|", "").split()
        self.width, self.stride = width, stride
        self.preprocess0 = FactorizedReduce(older, width) if reduce_older else ReluConvNorm(older, width)
        self.preprocess1 = ReluConvNorm(newer, width)
        sources = [source for into in SOURCES for source in into]
        self._ops = nn.ModuleList(
            Edge(each, width, stride if source < 2 else 1) for each, source in zip(bits, sources, strict=True)
        )

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        nodes = [self.preprocess0(older), self.preprocess1(newer)]
        edges = iter(self._ops)
        for into in SOURCES:
            height, width = (size // self.stride for size in nodes[0].shape[2:])
            total = nodes[0].new_zeros(len(older), self.width, height, width)
            for source in into:
                total = next(edges)(total, nodes[source])
            nodes.append(total)
        return torch.cat(nodes[2:], dim=1)


class PlainRobNet(nn.Module):
    """A RobNet; one code for every cell, or one for all."""

    def __init__(
        self,
        codes: Sequence[str],
        width: int = 36,
        layers: int = 20,
        classes: int = 10,
        *,
        imagenet: bool = False,
    ) -> None:
        super().__init__()
        codes = codes if len(codes) == layers else [*codes] * layers
        self.imagenet = imagenet
        if imagenet:
            self.stem0 = nn.Sequential(
                nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width // 2),
                nn.ReLU(),
                nn.Conv2d(width // 2, width, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
            )
            self.stem1 = nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
            )
            older, newer, smaller = width, width, True
        else:
            self.stem = nn.Sequential(
                nn.Conv2d(3, 3 * width, 3, padding=1, bias=False), nn.BatchNorm2d(3 * width)
            )
            older, newer, smaller = 3 * width, 3 * width, False
        self.cells = nn.ModuleList()
        for layer, code in enumerate(codes):
            stride = 2 if layer in (layers // 3, 2 * layers // 3) else 1
            width *= stride
            self.cells.append(PlainCell(code, older, newer, width, stride, reduce_older=smaller))
            older, newer, smaller = newer, 4 * width, stride == 2
        self.classifier = nn.Linear(newer, classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.imagenet:
            older = self.stem0(x)
            newer = self.stem1(older)
        else:
            older = newer = self.stem(x)
        for cell in self.cells:
            older, newer = newer, cell(older, newer)
        logits: Tensor = self.classifier(newer.mean(dim=(2, 3)))
        return logits
