"""What an attack may not change: the guard that puts a model back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

Mode = Literal["eval", "train", "keep"]
"""The mode a model is attacked in.

``"eval"``: every module in evaluation mode; buffers come back as they were. ``"train"``: every module in
training mode, as the training attack of Madry et al. (2018) has it; the running statistics of its norms move,
by design, and stay moved. ``"keep"``: the modules as they are; buffers come back as they were unless one of
them is training.
"""


@contextmanager
def undisturbed(model: nn.Module, mode: Mode = "eval") -> Iterator[None]:
    """Attack `model` inside this context: its parameters need no gradient there, its modules are in `mode`.

    On the way out, also by an exception or Ctrl-C, everything is as before: the mode of each module, the
    ``requires_grad`` flag of each parameter and, unless the model trains, the content and identity of each
    buffer. Gradients in ``.grad`` are never written, since no parameter asks for one.

    Switching the flags off, rather than only asking autograd for the input's gradient, matters for compiled
    models and custom kernels, which compute the gradients of whatever asked for one; it also spares the
    memory that only weight gradients need. The flags belong to the model, so two threads must not attack one
    model at once.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    modes = [(module, module.training) for module in model.modules()]
    trains = mode == "train" or (mode == "keep" and any(training for _, training in modes))
    buffers = [] if trains else list(_buffers(model))
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        if mode != "keep":
            for module, training in modes:
                # Not module.train(): exported programs refuse it, and overrides may do more than set a flag.
                if training != (mode == "train"):
                    module.training = mode == "train"
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
        for module, training in modes:
            if module.training != training:
                module.training = training
        for buffer in buffers:
            buffer.restore()


def _buffers(model: nn.Module) -> Iterator[_Buffer]:
    for module in model.modules():
        for name, tensor in module.named_buffers(recurse=False):
            yield _Buffer(module, name, tensor)


class _Buffer:
    """One buffer of one module, and what it held."""

    def __init__(self, module: nn.Module, name: str, tensor: Tensor) -> None:
        self._module = module
        self._name = name
        self._tensor = tensor
        self._copy = tensor.detach().clone()
        self._version = _version(tensor)

    @torch.no_grad()
    def restore(self) -> None:
        if getattr(self._module, self._name) is not self._tensor:
            setattr(self._module, self._name, self._tensor)
        # An untouched buffer is left alone: writing to it would break a pending backward pass that saved it.
        if self._version is None or _version(self._tensor) != self._version:
            self._tensor.copy_(self._copy)


def _version(tensor: Tensor) -> int | None:
    """The count of in-place changes of `tensor`; None for inference tensors, which keep none."""
    return None if tensor.is_inference() else tensor._version
