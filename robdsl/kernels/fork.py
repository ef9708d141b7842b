"""One map for several readers, whose gradients are added in one pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from robdsl.kernels.nodes import node_sum


def fork(x: Tensor, readers: int) -> list[Tensor]:
    """The same map for each of its readers.

    Autograd adds gradients as they come: of each reader after the first it reads two maps and writes one. Here all are
    read once and their sum is written once (`node_sum`).

    Args:
        x: N x C x H x W, or of another number of dimensions, whose gradients torch adds.
        readers: how many there are, at least 1.

    Returns:
        The map, `readers` times. None may be written to.
    """
    if not (torch.is_grad_enabled() and x.requires_grad):
        return [x] * readers
    return list(_Fork.apply(x, readers))


class _Fork(torch.autograd.Function):
    """A custom operator may not return what it was given, so this is a function of autograd."""

    @staticmethod
    def forward(x: Tensor, readers: int) -> tuple[Tensor, ...]:
        return tuple(x.view_as(x) for _ in range(readers))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: tuple[Tensor, ...]) -> None:
        ctx.set_materialize_grads(False)  # a reader that no result depends on gives none

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None]:
        given = [each for each in gradients if each is not None]
        if len(given) < 2:
            return (given[0] if given else None), None
        if given[0].dim() != 4:
            return torch.stack(given).sum(0), None
        return node_sum(given), None
