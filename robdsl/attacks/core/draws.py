"""Every random number of an attack, drawn from one generator."""

from __future__ import annotations

import torch
from torch import Tensor


class Draws:
    """Random tensors for a device, all from one `torch.Generator`.

    The generator may live on another device than the images: a CPU generator gives the same numbers on every
    device, at the price of a copy. Without a generator, the numbers come from torch's global one of `device`.

    Args:
        generator: the source of all draws, or None for torch's global generator.
        device: where the drawn tensors are wanted.
    """

    def __init__(self, generator: torch.Generator | None, device: torch.device) -> None:
        self._generator = generator
        self._device = device
        self._source = device if generator is None else generator.device

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform draws from [0, 1)."""
        drawn = torch.rand(shape, generator=self._generator, device=self._source, dtype=_wide(dtype))
        return drawn.to(self._device, dtype, non_blocking=True)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal draws."""
        drawn = torch.randn(shape, generator=self._generator, device=self._source, dtype=_wide(dtype))
        return drawn.to(self._device, dtype, non_blocking=True)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Integers (int64) from [0, high)."""
        drawn = torch.randint(high, shape, generator=self._generator, device=self._source)
        return drawn.to(self._device, non_blocking=True)

    def signs(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """-1 or +1, each with probability one half."""
        return self.integers(2, *shape).to(dtype).mul_(2).sub_(1)

    def seed(self) -> int:
        """A seed for a foreign random number generator, in [0, 2^31)."""
        return int(self.integers(2**31, 1).item())


def _wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype to draw in: half types are drawn wide and rounded, so that they get the same numbers."""
    return torch.float64 if dtype == torch.float64 else torch.float32
