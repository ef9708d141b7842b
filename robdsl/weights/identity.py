"""The net that a model was compiled from, behind whatever wraps it."""

from __future__ import annotations

from torch import nn

from robdsl.compiler.lowered_module import ROB_NET
from robdsl.graph.net import Net


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, out of `DistributedDataParallel`, `DataParallel` and `torch.compile`."""
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            model = model.module
            continue
        inner = model._modules.get("_orig_mod")
        if inner is None:
            return model
        model = inner


def net_of(model: nn.Module) -> Net | None:
    """What an unwrapped model was compiled from; None for a model that was not."""
    meta = getattr(model, "meta", None)
    net = meta.get(ROB_NET) if isinstance(meta, dict) else None
    return net if isinstance(net, Net) else None
