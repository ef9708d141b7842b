"""Passes that leave out what need not be computed. All hold in training too."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import fx, nn
from torch.fx.node import map_arg

from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.modules import Crop, zeros
from robdsl.compiler.passes.base import Mode, Pass
from robdsl.compiler.passes.facts import (
    is_concat,
    is_relu,
    is_sum,
    is_zeros,
    like,
    operand,
    operands,
    primitive,
    replace,
    results,
    sameness,
)


@dataclass(frozen=True)
class Zeros(Pass):
    """Zeros of empty nodes go no further than they must.

    ``n0 = zeros(x); r = relu(n0); s = a + n0`` -> ``s = a``, and who reads ``r`` reads ``n0``.
    """

    name: ClassVar[str] = "zeros"
    mode: ClassVar[Mode] = "train"

    def change(self, module: LoweredModule) -> bool:
        changed = False
        for node in list(module.graph.nodes):
            if is_sum(node):
                left, right = operands(node)
                if is_zeros(left) or is_zeros(right):
                    replace(node, right if is_zeros(left) else left)
                    changed = True
            elif is_relu(module, node) and is_zeros(operand(node)):
                replace(node, operand(node))
                changed = True
            elif is_concat(node) and all(map(is_zeros, operands(node))):
                changed |= self._joined(module, node)
        return changed

    def _joined(self, module: LoweredModule, node: fx.Node) -> bool:
        """Zeros beside zeros are zeros: ``cat([zeros(x), zeros(x)], 1)`` -> ``zeros(x)``."""
        parts = operands(node)
        shapes: Any = [part.args[1] for part in parts]
        shape = (sum(each[0] for each in shapes), *shapes[0][1:])
        with module.graph.inserting_before(node):
            whole = module.graph.call_function(zeros, (parts[0].args[0], shape))
        replace(node, like(whole, node))
        return True


@dataclass(frozen=True)
class Identities(Pass):
    """What changes nothing is left out.

    ``relu(relu(x))`` -> ``relu(x)``; pools of one position, dropout that drops nothing, crops of no rows and
    a stage that returns what enters -> their input.
    """

    name: ClassVar[str] = "identities"
    mode: ClassVar[Mode] = "train"

    def change(self, module: LoweredModule) -> bool:
        changed = False
        for node in list(module.graph.nodes):
            value = self._same(module, node)
            if value is not None:
                replace(node, value)
                changed = True
        return changed

    def _same(self, module: LoweredModule, node: fx.Node) -> fx.Node | None:
        """The earlier value that a node is equal to."""
        if is_concat(node) and len(operands(node)) == 1:
            return operands(node)[0]
        if is_relu(module, node):
            return operand(node) if _is_positive(module, operand(node)) else None
        match primitive(module, node):
            case LoweredModule() as stage:
                return _entering(stage, node)
            case (
                nn.MaxPool2d(kernel_size=1, stride=1, padding=0)
                | nn.AvgPool2d(kernel_size=1, stride=1, padding=0)
            ):
                return operand(node)
            case nn.Dropout(p=0.0) | Crop(n=0):
                return operand(node)
            case nn.Flatten() if type(primitive(module, operand(node))) in (nn.Flatten, nn.Linear):
                return operand(node)
            case nn.AdaptiveAvgPool2d() if type(primitive(module, operand(node))) is nn.AdaptiveAvgPool2d:
                return operand(node)
        return None


def _entering(stage: LoweredModule, node: fx.Node) -> fx.Node | None:
    """The argument that a stage returns as it is."""
    (value, *more) = results(stage)
    if more or value.op != "placeholder":
        return None
    place = [each for each in stage.graph.nodes if each.op == "placeholder"].index(value)
    given = node.args[place]
    return given if isinstance(given, fx.Node) else None


def _is_positive(module: LoweredModule, node: fx.Node) -> bool:
    """Whether a value cannot be below zero, by what made it."""
    found = primitive(module, node)
    if isinstance(found, nn.MaxPool2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d | nn.Flatten | Crop):
        return _is_positive(module, operand(node))
    return is_relu(module, node) or isinstance(found, nn.Sigmoid)


@dataclass(frozen=True)
class Common(Pass):
    """Equal subexpressions are computed once; above all, one ReLU a value, however many edges read it.

    ``a = relu(x); b = relu(x)`` -> ``a = relu(x)``. Modules with tensors of their own or with randomness stay apart.
    """

    name: ClassVar[str] = "common"
    mode: ClassVar[Mode] = "train"

    def change(self, module: LoweredModule) -> bool:
        first: dict[Hashable, fx.Node] = {}
        changed = False
        for node in list(module.graph.nodes):
            what = sameness(module, node)
            if what is None:
                continue
            given = map_arg(node.args, lambda each: each.name)
            key = (what, repr(given))
            if key in first:
                replace(node, first[key])
                changed = True
            else:
                first[key] = node
        return changed
