"""The pass over frozen models that calls the operations of `robdsl.kernels`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, fx, nn

from robdsl.compiler.frozen_module import COMPUTED, put
from robdsl.compiler.fused_modules import SeparableFan, SeparablePair, SeparableSum
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes.base import Mode, Pass, shapes_in
from robdsl.compiler.passes.facts import (
    is_depthwise_3x3,
    is_pointwise,
    is_relu,
    is_sum,
    like,
    operand,
    primitive,
    replace,
    summands,
    sweep,
    unpacked,
)
from robdsl.graph.shapes import Shape
from robdsl.kernels import DEFAULT_PRECISION


@dataclass(frozen=True)
class FuseStages(Pass):
    """ReLU, depthwise and pointwise convolution are one operation, with the sum that they end in, or with others.

    ``s = point_a(depth_a(relu(x))) + point_b(depth_b(relu(y))) + z`` -> ``s = separable_sum(x, y, z)``;
    ``a = point_a(depth_a(relu(x))); b = point_b(depth_b(relu(x)))`` -> ``a, b = separable_fan(x)``.

    On a GPU a kernel of robdsl.kernels computes it; elsewhere its reference does, so this is for GPUs.

    Args:
        pairs: where the map between two stages, of which the second alone reads the first, has at most so many
            positions, both are one operation. 0 for nowhere, as where the net and so its maps are not known.
        tf32: products in tf32, not in the default precision, which is nearly float32.
    """

    pairs: int = 0
    tf32: bool = False

    name: ClassVar[str] = "fuse-stages"
    mode: ClassVar[Mode] = "eval"

    def rewrite(self, model: LoweredModule) -> list[LoweredModule]:
        return [graph for graph, shapes in shapes_in(model) if self._fuse(graph, shapes)]

    def change(self, module: LoweredModule) -> bool:
        return self._fuse(module, {})

    def _fuse(self, module: LoweredModule, shapes: Mapping[fx.Node, Shape]) -> bool:
        """Rewrites one graph; what `shapes` says nothing of is in no pair."""
        changed = False
        for node in list(module.graph.nodes):
            if node._erased:
                continue
            if is_sum(node) and not any(is_sum(user) and len(node.users) == 1 for user in node.users):
                changed = self._fuse_sum(module, node, shapes) or changed
        return self._fuse_others(module, shapes) or changed

    def _fuse_sum(self, module: LoweredModule, node: fx.Node, shapes: Mapping[fx.Node, Shape]) -> bool:
        """Makes one operation of all stages of one geometry that a sum adds up, whose other parts they add."""
        families: dict[Hashable, list[_Stage]] = defaultdict(list)
        firsts: dict[_Stage, _Stage | None] = {}
        others: list[fx.Node] = []
        for term in summands(node):
            stage = _stage(module, term) if len(term.users) == 1 else None
            if stage is None:
                others.append(term)
            else:
                firsts[stage] = self._before(module, stage, shapes)
                alone = None if firsts[stage] is None else term
                families[stage.pointwise.shape, stage.stride, alone].append(stage)
        for family in families.values():
            others = [self._fused(module, node, family, others, firsts[family[0]])]
        if not families:
            return False
        left = list(node.all_input_nodes)
        replace(node, others[0])
        sweep(left)
        return True

    def _fuse_others(self, module: LoweredModule, shapes: Mapping[fx.Node, Shape]) -> bool:
        """Makes one operation of each stage that is in no sum: in a pair, with others that read the same map, or alone."""
        readers: dict[Hashable, list[_Stage]] = defaultdict(list)
        changed = False
        for node in reversed(list(module.graph.nodes)):
            stage = _stage(module, node) if not node._erased and node.users else None
            if stage is None:
                continue
            changed = True
            first = self._before(module, stage, shapes)
            if first is None:
                readers[stage.x, stage.pointwise.shape, stage.stride].insert(0, stage)
            else:
                left = list(node.all_input_nodes)
                replace(node, self._fused(module, node, [stage], [], first))
                sweep(left)
        for family in readers.values():
            left = [each for stage in family for each in stage.node.all_input_nodes]
            if len(family) > 1:
                self._fan(module, family)
            else:
                replace(family[0].node, self._fused(module, family[0].node, family, [], None))
            sweep(left)
        return changed

    def _fan(self, module: LoweredModule, family: Sequence[_Stage]) -> None:
        """Makes one operation of stages that read one map."""
        made = SeparableFan([stage.weights for stage in family], family[0].stride, self._precision)
        graph, nodes = module.graph, [stage.node for stage in family]
        with graph.inserting_before(nodes[0]):
            name = f"{nodes[0].name}_fused"
            node = graph.create_node("call_module", f"{COMPUTED}.{name}", (family[0].x,), {}, name)
            put(module, like(node, nodes[0]), made)
        for each, item in zip(nodes, unpacked(module, node, nodes), strict=True):
            replace(each, item)

    @property
    def _precision(self) -> str:
        return "tf32" if self.tf32 else DEFAULT_PRECISION

    def _before(self, module: LoweredModule, stage: _Stage, shapes: Mapping[fx.Node, Shape]) -> _Stage | None:
        """The stage with which another is to be a pair."""
        between = shapes.get(stage.x)
        is_small = between is not None and prod(between[1:]) <= self.pairs
        return _first(module, stage) if is_small else None

    def _fused(
        self,
        module: LoweredModule,
        node: fx.Node,
        family: Sequence[_Stage],
        addends: Sequence[fx.Node],
        first: _Stage | None,
    ) -> fx.Node:
        """A node before `node` that computes a sum of other values and of stages, or of the one after `first`."""
        made: nn.Module
        if first is not None:
            made = SeparablePair(first.weights, family[0].weights, first.stride, self._precision)
            inputs = [first.x]
        else:
            made = SeparableSum([stage.weights for stage in family], family[0].stride, self._precision)
            inputs = [stage.x for stage in family]
        graph = module.graph
        with graph.inserting_before(node):
            name = f"{family[0].node.name}_fused"
            value = graph.create_node("call_module", f"{COMPUTED}.{name}", (*inputs, *addends), {}, name)
            put(module, like(value, node), made)
        return value


@dataclass(frozen=True, eq=False)
class _Stage:
    """relu(x), a depthwise 3x3 and a pointwise convolution, whose result is `node`."""

    node: fx.Node
    relu: fx.Node
    depthwise: Tensor
    pointwise: Tensor
    bias: Tensor | None
    stride: int

    @property
    def x(self) -> fx.Node:
        """What it reads: after another stage became part of an operation, that operation's result."""
        return operand(self.relu)

    @property
    def weights(self) -> tuple[Tensor, Tensor, Tensor | None]:
        return self.depthwise, self.pointwise, self.bias


def _stage(module: LoweredModule, node: fx.Node) -> _Stage | None:
    """The stage whose last convolution a node is, if it is one and nothing else reads what is between."""
    outer = _conv(module, node)
    if outer is None or not is_pointwise(module, node):
        return None
    between = operand(node)
    inner = _conv(module, between)
    if inner is None or len(between.users) > 1 or not is_depthwise_3x3(inner):
        return None
    relu = operand(between)
    if not is_relu(module, relu):
        return None
    pointwise = outer.weight.flatten(1)
    bias = outer.bias
    if inner.bias is not None:
        through = pointwise @ inner.bias
        bias = through if bias is None else bias + through
    return _Stage(node, relu, inner.weight.squeeze(1), pointwise, bias, inner.stride[0])


def _first(module: LoweredModule, second: _Stage) -> _Stage | None:
    """The stage that another reads, and nobody else does."""
    if second.stride != 1 or len(second.relu.users) > 1 or len(second.x.users) > 1:
        return None
    return _stage(module, second.x)


def _conv(module: LoweredModule, node: fx.Node) -> nn.Conv2d | None:
    found = primitive(module, node)
    return found if type(found) is nn.Conv2d and found.padding_mode == "zeros" else None


def can_run(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether kernels, not their references, would compute a model there."""
    from robdsl.kernels import available

    return (
        device.type == "cuda"
        and dtype in (torch.float32, torch.float16, torch.bfloat16)
        and bool(available())
    )
