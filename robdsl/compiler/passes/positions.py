"""The pass over frozen models that leaves out positions which a convolution steps over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import fx, nn

from robdsl.compiler.frozen_module import convolution, put
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.modules import Crop, every
from robdsl.compiler.passes.base import Mode, Pass
from robdsl.compiler.passes.facts import like, operand, primitive


@dataclass(frozen=True)
class SkipPositions(Pass):
    """A pointwise convolution with a stride is given only the positions that it reads, and has no stride.

    ``conv(x)`` with a stride of 2 -> ``conv'(every(x, 0, 2))``; ``conv(crop(x, 1))`` -> ``conv'(every(x, 1, 2))``. The
    two of a factorized reduction so need neither a copy of the cropped map nor a gradient of its size, and those that
    read the same positions are siblings.
    """

    name: ClassVar[str] = "skip-positions"
    mode: ClassVar[Mode] = "eval"

    def change(self, module: LoweredModule) -> bool:
        read: dict[tuple[fx.Node, int, int], fx.Node] = {}
        changed = False
        for node in list(module.graph.nodes):
            conv = primitive(module, node)
            if not isinstance(conv, nn.Conv2d) or conv.kernel_size != (1, 1) or conv.padding != (0, 0):
                continue
            step, across = conv.stride
            if step != across or step == 1:
                continue
            value, start = operand(node), 0
            while isinstance(crop := primitive(module, value), Crop):
                value, start = operand(value), start + crop.n
            if (value, start, step) not in read:
                with module.graph.inserting_after(value):
                    part = module.graph.call_function(every, (value, start, step))
                read[value, start, step] = like(part, node)
            node.args = (read[value, start, step],)
            made = convolution(conv.weight, conv.bias, conv)
            made.stride = (1, 1)
            put(module, node, made)
            changed = True
        return changed
