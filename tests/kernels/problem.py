"""One call of one operation: what it is given, and how its answer is measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from robdsl.kernels.precision import product_kind

FORMATS = ("channels_last", "contiguous", "sliced")


@dataclass(frozen=True)
class Problem:
    """One call of one operation."""

    operation: str
    n: int = 2
    channels: int = 16
    outputs: int = 16
    height: int = 5
    width: int = 7
    stride: int = 1
    terms: int = 1
    fan: int = 1
    dtype: torch.dtype = torch.float32
    precision: str = "tf32x3"
    memory: str = "channels_last"

    @property
    def label(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        return (
            f"{self.operation}-{self.n}x{self.channels}x{self.height}x{self.width}-{self.outputs}-s{self.stride}"
            f"-k{self.terms}-f{self.fan}-{dtype}-{self.precision}-{self.memory}"
        )

    @property
    def out(self) -> tuple[int, int]:
        return (self.height - 1) // self.stride + 1, (self.width - 1) // self.stride + 1


class Maker:
    """Draws inputs of a problem, on the CPU from a seed, and moves them to the device."""

    def __init__(self, problem: Problem, device: str) -> None:
        self.problem, self.device = problem, device
        self.generator = torch.Generator().manual_seed(0)

    def maps(self, channels: int, size: tuple[int, int], n: int | None = None) -> Tensor:
        n = self.problem.n if n is None else n
        maps = torch.randn(n, channels, *size, generator=self.generator).to(self.problem.dtype)
        maps[maps.abs() < 0.1] = 0  # zeros are where masks are wrong first
        maps = maps.to(self.device)
        if self.problem.memory == "contiguous":
            return maps
        if self.problem.memory == "sliced":
            wide = torch.full((n, channels + 3, size[0], size[1] + 2), torch.nan, dtype=maps.dtype).to(
                self.device
            )
            wide[:, 1 : channels + 1, :, 1:-1] = maps
            return wide[:, 1 : channels + 1, :, 1:-1]
        return maps.contiguous(memory_format=torch.channels_last)

    def weights(self, *size: int) -> Tensor:
        return torch.randn(size, generator=self.generator).to(self.device)


def kind(p: Problem) -> str:
    return product_kind(p.precision, p.dtype)
