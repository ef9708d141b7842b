"""Freezing: from a model that learns to one that is evaluated and attacked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import fx

from robdsl.compiler.frozen_module import FrozenModule, snapshot
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes import (
    CPU_PIPELINE,
    CUDA_PIPELINE,
    KERNEL_PIPELINE,
    Pass,
    Watcher,
    parse_pipeline,
    run_pipeline,
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
        PipelineError: `passes` is a text that names no pipeline.
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
        passes = _pipeline_for(model)
    run_pipeline(made, parse_pipeline(passes) if isinstance(passes, str) else passes, watch)
    return made.eval()


def _pipeline_for(model: torch.nn.Module) -> Sequence[Pass]:
    """The pipeline for the device and dtype of a model's weights."""
    weights = [each for each in (*model.parameters(), *model.buffers()) if each.is_floating_point()]
    if not any(each.is_cuda for each in weights):
        return CPU_PIPELINE
    return KERNEL_PIPELINE if all(can_run(each.device, each.dtype) for each in weights) else CUDA_PIPELINE
