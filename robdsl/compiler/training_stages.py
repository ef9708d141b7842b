"""What the pass `fuse-training` puts in the place of stages in training: one function of maps and of modules that learn.

A graph hands it the modules themselves (``get_attr`` nodes), which stay under their names and keep their tensors. So the
`state_dict`, optimizers and whoever exchanges a module see no difference.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from robdsl.compiler.lowered_module import ROB_SPAN, STACK_TRACE
from robdsl.compiler.modules import as_convolutions_read
from robdsl.kernels import norm_sum, separable_statistics, separable_sum

#: A map, and the modules that it goes through behind a ReLU: depthwise 3x3, pointwise, batch norm.
Stage = tuple[Tensor, nn.Module, nn.Module, nn.Module]
#: A map before its norm, the mean and the variance that are to be its own, and the norm.
_Raw = tuple[Tensor, Tensor, Tensor, nn.BatchNorm2d]


def separable_norms(stages: Sequence[Stage], addends: Sequence[Tensor], precision: str) -> Tensor:
    """The sum of ``norm(pointwise(depthwise(relu(x))))`` over stages, and of other maps.

    In train mode a stage gives the statistics of its maps with the maps, running statistics move as torch moves them,
    and all norms are applied in one pass (`robdsl.kernels.norm_sum`). In eval mode running statistics are applied
    likewise. Each norm is asked for its own mode. A stage with another module than torch's own, such as a norm over
    several processes, is computed by its modules.

    Args:
        stages: at least one. Maps are N x C x H x W; all results have one shape.
        addends: maps like the result.
        precision: of products of float32 on a GPU; see `robdsl.kernels.precision`.

    Raises:
        ValueError: a norm in train mode has one value a channel only.
    """
    parts = list(addends)
    raw: defaultdict[tuple[bool, float], list[_Raw]] = defaultdict(list)
    for x, depthwise, pointwise, norm in stages:
        if type(depthwise) is type(pointwise) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
            batch = norm.training or norm.running_mean is None or norm.running_var is None
            weights = depthwise.weight.squeeze(1), pointwise.weight.flatten(1)
            read, stride = as_convolutions_read(x), int(depthwise.stride[0])
            found = _convolved(read, weights, stride, norm, precision, batch=batch)
            raw[batch, norm.eps].append((*found, norm))
        else:
            parts.append(norm(pointwise(depthwise(torch.relu(x)))))
    for (batch, eps), group in raw.items():
        ys, means, variances = ([each[place] for each in group] for place in range(3))
        parts = [
            norm_sum(ys, means, variances, *_affine([each[3] for each in group], means), parts, eps, batch=batch)  # type: ignore[arg-type]  # mypy takes all of `group` for one type
        ]
    return sum(parts[1:], parts[0])


def _convolved(
    x: Tensor, weights: tuple[Tensor, Tensor], stride: int, norm: nn.BatchNorm2d, precision: str, *, batch: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The map before the norm, with the mean and the variance that the norm is to apply."""
    depthwise, pointwise = weights
    if not batch:
        assert norm.running_mean is not None and norm.running_var is not None
        y = separable_sum([x], depthwise[None], pointwise[None], stride=stride, precision=precision)
        return y, norm.running_mean, norm.running_var
    y, mean, variance = separable_statistics(x, depthwise, pointwise, stride, precision)
    mean, variance = mean.detach(), variance.detach()
    count = y.numel() // max(1, y.shape[1])
    if count == 1:  # as torch says it
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {y.shape}")
    if norm.training and norm.track_running_stats:
        _track(norm, mean, variance, count)
    return y, mean, variance


@torch.no_grad()
def _track(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Moves running statistics towards those of a batch of `count` values a channel, as `nn.BatchNorm2d` does."""
    share = norm.momentum or 0.0
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        if norm.momentum is None:
            share = 1.0 / float(norm.num_batches_tracked)
    if norm.running_mean is None or norm.running_var is None or not count:
        return
    norm.running_mean.mul_(1 - share).add_(mean, alpha=share)
    norm.running_var.mul_(1 - share).add_(variance, alpha=share * count / (count - 1))


def _affine(norms: Sequence[nn.BatchNorm2d], like: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The weights and the biases of norms: none where none has any, ones and zeros where some have."""
    if not any(norm.affine for norm in norms):
        return [], []
    pairs = list(zip(norms, like, strict=True))
    weights = [norm.weight if norm.affine else torch.ones_like(each) for norm, each in pairs]
    return weights, [norm.bias if norm.affine else torch.zeros_like(each) for norm, each in pairs]


def spread(graph: fx.Graph) -> None:
    """Writes `separable_norms` as the ReLUs, modules and sums that it stands for."""
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target is not separable_norms:
            continue
        args: Any = node.args
        stages, addends, _ = args
        held = [each for stage in stages for each in stage[1:]]

        def add(op: str, target: Callable[..., Any] | str, *given: fx.Node, at: fx.Node = node) -> fx.Node:
            made = graph.create_node(op, target, given)
            made.meta.update({key: at.meta[key] for key in (ROB_SPAN, STACK_TRACE) if key in at.meta})
            return made

        with graph.inserting_before(node):
            parts = []
            for x, *modules in stages:
                value = add("call_function", torch.relu, x)
                for module in modules:
                    value = add("call_module", str(module.target), value)
                parts.append(value)
            parts += addends
            total = parts[0]
            for part in parts[1:]:
                total = add("call_function", operator.add, total, part)
        node.replace_all_uses_with(total)
        graph.erase_node(node)
        for each in held:
            if not each.users:
                graph.erase_node(each)
