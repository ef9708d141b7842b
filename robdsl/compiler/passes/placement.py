"""Passes that decide when a value is computed and where it is written. All hold in training too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import fx

from robdsl.compiler.forgetful import relu_keeping_signs
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.modules import add_into
from robdsl.compiler.passes.base import Mode, Pass
from robdsl.compiler.passes.facts import (
    is_concat,
    is_fresh,
    is_last_reader,
    is_relu,
    is_sum,
    operand,
    operands,
)


@dataclass(frozen=True)
class Early(Pass):
    """A sum is computed as soon as its operands are there, while they are in the cache, and lets go of them.

    ``a = f(x); b = g(x); c = h(x); s = a + b; t = s + c`` -> ``a = f(x); b = g(x); s = a + b; c = h(x); t = s + c``.
    """

    name: ClassVar[str] = "early"
    mode: ClassVar[Mode] = "train"

    def change(self, module: LoweredModule) -> bool:
        nodes = list(module.graph.nodes)
        order: dict[fx.Node, tuple[int, ...]] = {node: (place,) for place, node in enumerate(nodes)}
        changed = False
        for place, node in enumerate(nodes):
            if is_sum(node):
                last = max(operands(node), key=order.__getitem__)
                if node.prev is not last and last.op != "placeholder":
                    last.append(node)
                    order[node] = (*order[last], -place)  # right behind it, before what was put there earlier
                    changed = True
        return changed


@dataclass(frozen=True)
class Concatenate(Pass):
    """A concatenation of concatenations is written once, where its parts would be copied twice.

    ``a = cat([x, y], 1); b = cat([a, z], 1)`` -> ``b = cat([x, y, z], 1)``, where nothing else reads ``a``.
    """

    name: ClassVar[str] = "concatenate"
    mode: ClassVar[Mode] = "train"

    def change(self, module: LoweredModule) -> bool:
        changed = False
        for node in list(module.graph.nodes):
            if not is_concat(node):
                continue
            parts: list[fx.Node] = []
            for part in operands(node):
                parts += operands(part) if is_concat(part) and len(part.users) == 1 else [part]
            if len(parts) > len(operands(node)):
                inner = [part for part in operands(node) if part not in parts]
                node.args = (parts, 1)
                for part in dict.fromkeys(inner):
                    module.graph.erase_node(part)
                changed = True
        return changed


@dataclass(frozen=True)
class InPlace(Pass):
    """A ReLU or a sum is written over a value that nothing needs any more.

    ``a = conv(x); r = relu(a)`` -> ``a = conv(x); r = relu_(a)``;
    ``a = conv(x); b = norm(y); s = a + b`` -> ``s = add_into(a, b)``.

    Never over what came from outside (the images, another stage's result), what autograd keeps (a ReLU's result, what
    enters a convolution, a norm or a product) or what others are views of.
    """

    name: ClassVar[str] = "in-place"
    mode: ClassVar[Mode] = "train"
    writes_over: ClassVar[bool] = True

    def change(self, module: LoweredModule) -> bool:
        changed = False
        for node in list(module.graph.nodes):
            keeps_signs = node.target is relu_keeping_signs  # which were asked for
            if is_relu(module, node) and not keeps_signs and self._may(module, node, operand(node)):
                self._become(node, torch.relu_, (operand(node),))
                changed = True
            elif is_sum(node):
                left, right = operands(node)
                if left is right:
                    continue
                for over, other in ((left, right), (right, left)):
                    if self._may(module, node, over):
                        self._become(node, add_into, (over, other))
                        changed = True
                        break
        return changed

    def _may(self, module: LoweredModule, node: fx.Node, value: fx.Node) -> bool:
        fresh = is_fresh(module, value) or value.target is add_into
        return fresh and is_last_reader(module, node, value)

    def _become(self, node: fx.Node, target: Callable[..., torch.Tensor], args: tuple[fx.Node, ...]) -> None:
        node.op, node.target, node.args = "call_function", target, args
