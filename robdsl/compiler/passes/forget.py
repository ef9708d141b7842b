"""Passes after which less is kept for the gradient. They are for `torch.compile`: alone, `keep-signs` costs time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robdsl.compiler.forgetful import ForgetfulConv2d, can_forget, relu_keeping_signs
from robdsl.compiler.frozen_module import convolution, put
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes.base import Mode, Pass
from robdsl.compiler.passes.facts import is_relu, operand, primitive


@dataclass(frozen=True)
class ForgetInputs(Pass):
    """Convolutions with a stride of 1 keep nothing of their inputs, as the gradient needs the weights alone.

    ``conv(x)`` -> ``forgetful_conv(x)``. Whole or depthwise ones: those of other groups stay as they are.
    """

    name: ClassVar[str] = "forget-inputs"
    mode: ClassVar[Mode] = "eval"

    def change(self, module: LoweredModule) -> bool:
        changed = False
        for node in module.graph.nodes:
            conv = primitive(module, node)
            if type(conv) is nn.Conv2d and can_forget(conv):
                made = convolution(conv.weight, conv.bias, conv)
                made.__class__ = ForgetfulConv2d
                put(module, node, made)
                changed = True
        return changed


@dataclass(frozen=True)
class KeepSigns(Pass):
    """A ReLU keeps a byte a value for the gradient: whether it is above zero.

    ``relu(x)`` -> ``relu_keeping_signs(x)``. Of torch's own, `torch.compile` keeps a mask of bools, which it writes some
    forty times slower than bytes on a CPU.

    It claims nothing for training, where gradients may be infinite for a step, as under a scaled loss: see
    `relu_keeping_signs`.
    """

    name: ClassVar[str] = "keep-signs"
    mode: ClassVar[Mode] = "eval"

    def change(self, module: LoweredModule) -> bool:
        changed = False
        for node in module.graph.nodes:
            if is_relu(module, node) and node.target is not relu_keeping_signs:
                value = operand(node)
                node.op, node.target, node.args = "call_function", relu_keeping_signs, (value,)
                changed = True
        return changed
