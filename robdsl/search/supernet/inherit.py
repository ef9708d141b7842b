"""Sub-networks with the weights of a supernet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, fx

from robdsl.compiler import compile
from robdsl.graph.net import Net
from robdsl.weights import MisfitError, Misfits, load_weights


def inherit(weights: str | Path | Mapping[str, Tensor], net: Net) -> fx.GraphModule:
    """A net compiled alone, with weights from a supernet that has it.

    The running statistics of its batch norms come along, but they are those of many sub-networks mixed: call
    `recompute_batch_norm` before anything is measured.

    Args:
        weights: a supernet's ``state_dict``, whose dtype and device the model gets; or a file of
            `robdsl.training` or `robdsl.save_weights`, which gives a model as `robdsl.compile` does.
        net: a sub-network.

    Returns:
        A trainable module in train mode that shares no memory with ``weights``.

    Raises:
        MisfitError: something that the net needs is not there, or of another shape.
        BrokenWeightsError: the file is not there, damaged or no weights at all.
    """
    model = compile(net)
    if not isinstance(weights, Mapping):
        load_weights(model, weights, partial=True)
        return model
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in weights]
    misshapen = [
        f"{name} is {tuple(weights[name].shape)} in the supernet and {tuple(tensor.shape)} in the net"
        for name, tensor in wanted.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if misfits := Misfits(missing=missing, misshapen=misshapen):
        lines = [f"`{net.name}` is no sub-network of this supernet", *misfits.lines()]
        raise MisfitError("\n  ".join(lines), misfits)
    for name, tensor in wanted.items():
        if tensor.is_floating_point():
            model.to(device=weights[name].device, dtype=weights[name].dtype)
            break
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(weights[name])
    return model
