"""Batch norms that see the whole batch, however many processes share it.

torch's ``SyncBatchNorm`` exists for GPUs only. The one here works on every device, and its backward pass
goes through the exchange of the statistics, so that gradients, to the weights and to the images, are those
of one process with the whole batch. On GPUs torch's own, which is fused, takes its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from robdsl.data import Ranks


class _GatherStatistics(torch.autograd.Function):
    """Every process's vector (n), as (world, n), on each; its gradient sums what all processes made of it."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        everyone = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(everyone, own.contiguous())
        return torch.stack(everyone)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total[dist.get_rank()]


class CrossRankBatchNorm(_BatchNorm):
    """A batch norm over the examples of all processes; in evaluation mode an ordinary one."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"a batch norm needs (N, C, ...), not {tuple(input.shape)}")

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, ...) to the same; N may differ between processes."""
        if not self.training and self.running_mean is not None:
            evaluated: Tensor = super().forward(images)
            return evaluated
        self._check_input_dim(images)
        dimensions = [0, *range(2, images.ndim)]
        shape = [1, -1, *[1] * (images.ndim - 2)]
        # Half types are summed wide, as torch's own norms do.
        wide = images if images.dtype == torch.float64 else images.float()
        variance, mean = torch.var_mean(wide, dim=dimensions, correction=0)
        count = mean.new_full((1,), images.numel() / images.shape[1])
        own = torch.cat([mean, variance, count])
        everyone = _GatherStatistics.apply(own)
        means, variances, counts = everyone.split([self.num_features, self.num_features, 1], dim=1)
        counts = counts.detach()
        total = counts.sum()
        shares = counts / total
        mean = (shares * means).sum(0)
        variance = (shares * (variances + (means - mean).square())).sum(0)
        if self.training and self.track_running_stats:
            self._track(mean.detach(), variance.detach(), total)
        scale = torch.rsqrt(variance + self.eps)
        normed = (wide - mean.view(shape)) * scale.view(shape)
        if self.affine:
            normed = normed * self.weight.view(shape) + self.bias.view(shape)
        result: Tensor = normed.to(images.dtype)
        return result

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, total: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        weight = self.momentum if self.momentum is not None else 0.0
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                weight = 1 / int(self.num_batches_tracked)
        unbiased = variance * (total / (total - 1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), weight)


@contextmanager
def shared_norms(model: nn.Module, ranks: Ranks) -> Iterator[None]:
    """Let the batch norms of a model see the batches of all processes, for the length of a ``with`` block.

    The norms' parameters and buffers are the same tensors inside the block and after it. Nothing happens
    where there is one process only.
    """
    if ranks.world == 1:
        yield
        return
    made: dict[_BatchNorm, nn.Module] = {}
    # A norm may have several parents or, in one of them, several names: named_children would tell one only.
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent._modules.items()
        if isinstance(child, _BatchNorm)
    ]
    try:
        for parent, name, norm in places:
            if norm not in made:
                made[norm] = _shared(norm)
            setattr(parent, name, made[norm])
        yield
    finally:
        for parent, name, norm in places:
            if norm in made:
                norm.train(made[norm].training)
            setattr(parent, name, norm)


def _shared(norm: _BatchNorm) -> nn.Module:
    on_gpu = any(tensor.is_cuda for tensor in [*norm.parameters(), *norm.buffers()])
    kind = nn.SyncBatchNorm if on_gpu else CrossRankBatchNorm
    shared = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    # The very tensors, not copies: optimizer, average and checkpoints go on to mean the same ones.
    shared._parameters = norm._parameters
    shared._buffers = norm._buffers
    shared.train(norm.training)
    return shared
