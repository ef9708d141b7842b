"""Passes over frozen models that make one convolution of several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from operator import add
from typing import ClassVar

import torch
from torch import Tensor, fx, nn

from robdsl.compiler.frozen_module import COMPUTED, convolution, put
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes.base import Mode, Pass
from robdsl.compiler.passes.facts import (
    erase_unused,
    is_pointwise,
    is_sum,
    like,
    operand,
    primitive,
    replace,
    summands,
)


@dataclass(frozen=True)
class MergePointwise(Pass):
    """The pointwise convolutions whose results are added become one, over the concatenation of what enters them.

    ``s = conv_a(x) + conv_b(y) + z`` -> ``s = conv_ab(cat([x, y], 1)) + z``.

    Args:
        least: how many there must be for it; fewer stay as they are.
    """

    least: int = 2

    name: ClassVar[str] = "merge-pointwise"
    mode: ClassVar[Mode] = "eval"

    def change(self, module: LoweredModule) -> bool:
        changed = False
        for node in list(module.graph.nodes):
            if not is_sum(node) or any(is_sum(user) and len(node.users) == 1 for user in node.users):
                continue  # a part of a longer sum, which comes later
            terms = summands(node)
            merged = [each for each in terms if is_pointwise(module, each) and len(each.users) == 1]
            if len(merged) >= max(2, self.least):
                self._merge(module, node, merged, [each for each in terms if each not in merged])
                changed = True
        return changed

    def _merge(
        self, module: LoweredModule, node: fx.Node, merged: Sequence[fx.Node], others: Sequence[fx.Node]
    ) -> None:
        convs = [_conv(module, each) for each in merged]
        biases = [each.bias for each in convs if each.bias is not None]
        bias = torch.stack(list(biases)).sum(0) if biases else None
        made = convolution(torch.cat([each.weight for each in convs], 1), bias, convs[0])
        graph = module.graph
        with graph.inserting_before(node):
            joined = like(graph.call_function(torch.cat, ([operand(each) for each in merged], 1)), node)
            name = f"{node.name}_merged"
            value = graph.create_node("call_module", f"{COMPUTED}.{name}", (joined,), {}, name)
            put(module, like(value, node), made)
            for each in others:
                value = like(graph.call_function(add, (value, each)), node)
        sums = [each for each in graph.nodes if is_sum(each) and each is not node and each not in others]
        replace(node, value)
        erase_unused(graph, [*merged, *sums])


def _conv(module: LoweredModule, node: fx.Node) -> nn.Conv2d:
    found = primitive(module, node)
    assert isinstance(found, nn.Conv2d)
    return found


@dataclass(frozen=True)
class MergeSiblings(Pass):
    """Convolutions of one geometry that read the same value become one, whose result is divided.

    ``a = conv_a(x); b = conv_b(x)`` -> ``ab = conv_ab(x); a = narrow(ab, 1, 0, A); b = narrow(ab, 1, A, B)``.

    Args:
        least: how many there must be for it; fewer stay as they are.
    """

    least: int = 2

    name: ClassVar[str] = "merge-siblings"
    mode: ClassVar[Mode] = "eval"

    def change(self, module: LoweredModule) -> bool:
        families: dict[Hashable, list[fx.Node]] = defaultdict(list)
        for node in module.graph.nodes:
            conv = primitive(module, node)
            if isinstance(conv, nn.Conv2d) and conv.groups == 1:
                geometry = conv.kernel_size, conv.stride, conv.padding, conv.dilation
                families[operand(node), geometry].append(node)
        changed = False
        for family in families.values():
            if len(family) >= max(2, self.least):
                self._merge(module, family)
                changed = True
        return changed

    def _merge(self, module: LoweredModule, family: Sequence[fx.Node]) -> None:
        convs = [_conv(module, each) for each in family]
        bias = None
        if any(each.bias is not None for each in convs):
            bias = torch.cat([_bias(each) for each in convs])
        made = convolution(torch.cat([each.weight for each in convs]), bias, convs[0])
        first, graph = family[0], module.graph
        with graph.inserting_before(first):
            name = f"{first.name}_merged"
            whole = graph.create_node("call_module", f"{COMPUTED}.{name}", (operand(first),), {}, name)
            put(module, like(whole, first), made)
        start = 0
        for node, conv in zip(family, convs, strict=True):
            with graph.inserting_before(node):
                part = graph.call_function(torch.narrow, (whole, 1, start, conv.out_channels))
            replace(node, like(part, node))
            start += conv.out_channels


def _bias(conv: nn.Conv2d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias
