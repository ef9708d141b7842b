"""Freezing: from a model that learns to one that is evaluated and attacked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import fx, nn

from robdsl.compiler.cost import MACHINES, Machine, choose
from robdsl.compiler.frozen_module import FrozenModule, snapshot
from robdsl.compiler.lowered_module import ROB_NET, LoweredModule
from robdsl.compiler.passes import (
    FOLDING,
    FUSING,
    KERNEL_FOLDING,
    MERGING,
    Pass,
    Watcher,
    as_pipeline,
    kernel_writing,
    run_pipeline,
    writing,
)
from robdsl.compiler.passes.kernels import can_run


def freeze(
    model: fx.GraphModule,
    passes: Sequence[Pass] | str | None = None,
    *,
    watch: Watcher | None = None,
) -> FrozenModule:
    """A model for evaluation and attack: what another computes in eval mode, in less time and memory.

    Batch norms are folded into convolutions, what no image changes is computed beforehand, and more
    (docs/passes.md). Logits and gradients to the images are the same up to rounding. The weights are those of this
    moment: to train the model that was given does not change the frozen one, and the model that was given is left
    as it was, its mode too. The frozen model has no parameters and is in eval mode; asked for train mode or for
    other weights, it raises `FrozenError`. Its `state_dict` has the keys and values of the model that was frozen.
    What hooks were registered is not taken along.

    Args:
        model: from `robdsl.compile`, on any device, not wrapped.
        passes: a pipeline, or its text, in place of the one for the device that the model is on. On a CPU maps are
            laid out with channels last, whatever the layout of the images.
        watch: is told after each pass.

    Raises:
        TypeError: the model is not one from `robdsl.compile`.
        PipelineError: `passes` names no pipeline, or holds what is no pass.
    """
    if not isinstance(model, LoweredModule):
        raise TypeError(
            f"freeze takes a model from robdsl.compile, not a {type(model).__name__}; "
            "freeze it before it is wrapped or compiled by torch"
        )
    if isinstance(model, FrozenModule):
        raise TypeError("this model is frozen already")
    made = snapshot(model)
    if passes is None:
        kernels = _runs_kernels(model)
        run_pipeline(made, KERNEL_FOLDING if kernels else FOLDING, watch)
        passes = _remaining(made, kernels=kernels)
    run_pipeline(made, as_pipeline(passes), watch)
    return made


def _runs_kernels(model: nn.Module) -> bool:
    """Whether kernels take the device and the dtype of a model's weights."""
    weights = [each for each in (*model.parameters(), *model.buffers()) if each.is_floating_point()]
    return any(each.is_cuda for each in weights) and all(can_run(each.device, each.dtype) for each in weights)


def machine_of(model: nn.Module) -> Machine:
    """The machine of the cost model that is like the one that a model is on."""
    device = next((each.device for each in (*model.parameters(), *model.buffers()) if each.is_cuda), None)
    if device is None:
        return MACHINES["cpu"]
    return MACHINES["sm_90" if torch.cuda.get_device_capability(device) >= (9, 0) else "sm_80"]


def _remaining(folded: FrozenModule, *, kernels: bool) -> Sequence[Pass]:
    """What follows the folding of constants: what the cost model chooses to merge or to fuse, and the writing."""
    machine, net = machine_of(folded), folded.meta.get(ROB_NET)
    if net is not None:
        return choose(folded, net.image, machine, kernels=kernels).remaining()
    # Of a model whose net is not known no shape is, and so no cost.
    if kernels:
        return kernel_writing(*FUSING[0])
    on_cpu = machine.name == "cpu"
    return (*(() if on_cpu else MERGING[-1]), *writing(channels_last=on_cpu))
