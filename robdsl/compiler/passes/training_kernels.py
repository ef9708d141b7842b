"""The pass over models that learn that calls the operations of `robdsl.kernels`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import fx, nn

from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes.base import Mode, Pass
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
)
from robdsl.compiler.training_stages import separable_norms
from robdsl.kernels import DEFAULT_PRECISION


@dataclass(frozen=True)
class FuseTraining(Pass):
    """ReLU, depthwise and pointwise convolution and batch norm are one function, with the sum that they end in.

    ``s = norm_a(point_a(depth_a(relu(x)))) + norm_b(point_b(depth_b(relu(y)))) + z`` ->
    ``s = separable_norms([(x, depth_a, point_a, norm_a), (y, depth_b, point_b, norm_b)], [z])``.

    On a GPU kernels of robdsl.kernels compute it; elsewhere their references do, so this is for GPUs. The modules stay
    under their names; hooks on them are not called.

    Args:
        tf32: products in tf32, not in the default precision, which is nearly float32.
    """

    tf32: bool = False

    name: ClassVar[str] = "fuse-training"
    mode: ClassVar[Mode] = "train"

    def change(self, module: LoweredModule) -> bool:
        changed = False
        for node in list(module.graph.nodes):
            if not node._erased and is_sum(node) and not _is_inner(node):
                changed = self._fuse_sum(module, node) or changed
        for node in list(module.graph.nodes):
            if not node._erased and (stage := _stage(module, node)) is not None:
                self._fuse(module, node, [stage], [])
                changed = True
        return changed

    def _fuse_sum(self, module: LoweredModule, node: fx.Node) -> bool:
        """Makes one function of the stages that a sum adds up, and of what else it adds."""
        stages: list[_Stage] = []
        addends: list[fx.Node] = []
        for term, times in Counter(summands(node)).items():
            # What is added twice is computed once: it stays a value of its own.
            stage = _stage(module, term) if times == 1 and len(term.users) == 1 else None
            if stage is None:
                addends += [term] * times
            else:
                stages.append(stage)
        if stages:
            self._fuse(module, node, stages, addends)
        return bool(stages)

    def _fuse(
        self, module: LoweredModule, node: fx.Node, stages: Sequence[_Stage], addends: Sequence[fx.Node]
    ) -> None:
        graph, precision = module.graph, "tf32" if self.tf32 else DEFAULT_PRECISION
        with graph.inserting_before(node):
            given = []
            for stage in stages:
                held = [
                    like(graph.create_node("get_attr", str(each.target), (), {}, f"{each.name}_module"), each)
                    for each in (stage.depthwise, stage.pointwise, stage.norm)
                ]
                given.append((operand(stage.relu), *held))
            args = given, list(addends), precision
            value = graph.create_node("call_function", separable_norms, args, {}, f"{node.name}_fused")
        left = list(node.all_input_nodes)
        replace(node, like(value, node))
        sweep(left)


@dataclass(frozen=True)
class _Stage:
    """The nodes of a stage, whose result is that of the norm."""

    relu: fx.Node
    depthwise: fx.Node
    pointwise: fx.Node
    norm: fx.Node


def _stage(module: LoweredModule, node: fx.Node) -> _Stage | None:
    """The stage that ends in a batch norm, if nothing else reads what is between."""
    if type(primitive(module, node)) is not nn.BatchNorm2d:
        return None
    pointwise = operand(node)
    outer = _conv(module, pointwise)
    if outer is None or not is_pointwise(module, pointwise):
        return None
    depthwise = operand(pointwise)
    inner = _conv(module, depthwise)
    if inner is None or not is_depthwise_3x3(inner):
        return None
    relu = operand(depthwise)
    return _Stage(relu, depthwise, pointwise, node) if is_relu(module, relu) else None


def _conv(module: LoweredModule, node: fx.Node) -> nn.Conv2d | None:
    """A convolution without a bias, which a norm would take away again, that one node reads."""
    found = primitive(module, node)
    if type(found) is not nn.Conv2d or found.padding_mode != "zeros" or found.bias is not None:
        return None
    return found if len(node.users) == 1 else None


def _is_inner(node: fx.Node) -> bool:
    """Whether a sum is but a part of another."""
    return len(node.users) == 1 and all(map(is_sum, node.users))
