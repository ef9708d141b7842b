"""Small models to lift, written as people write them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Gate(nn.Module):
    """Squeeze and excitation: a map, weighed by a number for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.one, self.two = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.two(self.one(self.pool(x)).relu()))


class Odds(nn.Module):
    """Functions and methods in place of modules, three operands in a sum, a value added to itself."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8, eps=1e-3)
        self.left, self.right = nn.Conv2d(8, 8, 3, padding=2, dilation=2), nn.Conv2d(8, 8, 1, bias=False)
        self.deep = nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False)
        self.plain = nn.BatchNorm2d(16, affine=False)
        self.gate = Gate(16)
        self.head = nn.Linear(16, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        y = self.left(x) + self.right(x)
        y = y + self.deep(x)
        y = y + y
        z = self.gate(self.plain(torch.cat([y, x], dim=1)))
        z = F.max_pool2d(z, 2) + F.avg_pool2d(z, 2)
        pooled = F.dropout(z.mean([2, 3]), 0.1, self.training)
        logits: Tensor = self.head(pooled.view(pooled.size(0), -1))
        return logits


class Vanishing(nn.Module):
    """What it computes in vain is not in the text."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(12, 3), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        self.unused(x)
        used: Tensor = self.used(x)
        return used


class Lacking(nn.Module):
    """Four things that the language does not have, one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 1, 1))
        self.body = nn.Sequential(nn.ReLU6(), nn.Conv2d(3, 4, (1, 3)), nn.ReLU6())

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x * self.scale).softmax(1)
        return found


class Branching(nn.Module):
    """Which way it goes depends on the numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return x.relu() if x.sum() > 0 else x


def randomized(model: nn.Module) -> nn.Module:
    """The model with every weight and statistic drawn at random, variances positive, in eval mode and float64."""
    generator = torch.Generator().manual_seed(0)
    model = model.double().eval()
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                drawn = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
                tensor.copy_(drawn + 0.5 if key.endswith("running_var") else drawn - 0.4)
    return model
