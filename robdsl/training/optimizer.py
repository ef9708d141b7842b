"""Stochastic gradient descent as the published recipe has it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from robdsl.training.recipe import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD with momentum over the parameters that want a gradient.

    Vectors and scalars (biases, and the weights of norms) are not decayed.
    """
    decayed: list[Tensor] = []
    kept: list[Tensor] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 else kept).append(parameter)
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.SGD(
        [group for group in groups if group["params"]], lr=recipe.lr, momentum=recipe.momentum
    )


def momentum_of(model: nn.Module, optimizer: torch.optim.SGD) -> dict[str, Tensor]:
    """The momentum of each parameter that has one, by the parameter's name."""
    found: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        buffer = optimizer.state[parameter].get("momentum_buffer") if parameter in optimizer.state else None
        if buffer is not None:
            found[name] = buffer
    return found


def set_momentum(model: nn.Module, optimizer: torch.optim.SGD, momentum: Mapping[str, Tensor]) -> None:
    """Put back what :func:`momentum_of` gave; parameters that are not named lose theirs."""
    for name, parameter in model.named_parameters():
        if name in momentum:
            buffer = torch.empty_like(parameter, requires_grad=False)
            optimizer.state[parameter]["momentum_buffer"] = buffer.copy_(momentum[name])
        else:
            optimizer.state.pop(parameter, None)
