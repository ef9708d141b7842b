"""The pass over frozen models that leaves out positions which a convolution steps over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import fx, nn

from robdsl.compiler.frozen_module import convolution, put
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.modules import Crop, stepped
from robdsl.compiler.passes.base import Mode, Pass
from robdsl.compiler.passes.facts import is_relu, like, operand, primitive, unpacked


@dataclass(frozen=True)
class SkipPositions(Pass):
    """A pointwise convolution with a stride is given only the positions that it reads, and has no stride.

    ``conv(x)`` with a stride of 2, ``conv(crop(x, 1))`` likewise -> ``x0, x1 = stepped(x, (0, 1), 2)``, ``conv'(x0)``,
    ``conv'(x1)``. The two of a factorized reduction so need neither a copy of the cropped map nor a gradient of its
    size each, and those that read the same positions are siblings. A ReLU that only they read is of these positions alone.
    """

    name: ClassVar[str] = "skip-positions"
    mode: ClassVar[Mode] = "eval"

    def change(self, module: LoweredModule) -> bool:
        reading: dict[tuple[fx.Node, int], dict[int, list[fx.Node]]] = defaultdict(lambda: defaultdict(list))
        for node in module.graph.nodes:
            conv = primitive(module, node)
            if not isinstance(conv, nn.Conv2d) or conv.kernel_size != (1, 1) or conv.padding != (0, 0):
                continue
            step, across = conv.stride
            if step != across or step == 1:
                continue
            value, start = operand(node), 0
            while isinstance(crop := primitive(module, value), Crop):
                value, start = operand(value), start + crop.n
            reading[value, step][start].append(node)
        for (value, step), readers in reading.items():
            for starts in _apart(sorted(readers), step):
                self._step(module, value, starts, step, [readers[start] for start in starts])
        for value in dict.fromkeys(value for value, _ in reading):
            _rectify_after(module, value)
        return bool(reading)

    def _step(
        self,
        module: LoweredModule,
        value: fx.Node,
        starts: tuple[int, ...],
        step: int,
        readers: Sequence[Sequence[fx.Node]],
    ) -> None:
        with module.graph.inserting_after(value):
            node = module.graph.call_function(stepped, (value, starts, step))
        firsts = [convs[0] for convs in readers]
        for convs, part in zip(readers, unpacked(module, like(node, firsts[0]), firsts), strict=True):
            for each in convs:
                conv = primitive(module, each)
                assert isinstance(conv, nn.Conv2d)
                each.args = (part,)
                made = convolution(conv.weight, conv.bias, conv)
                made.stride = (1, 1)
                put(module, each, made)


def _apart(starts: Sequence[int], step: int) -> list[tuple[int, ...]]:
    """Starts in groups, in each of which no two are a multiple of the step apart."""
    groups: list[dict[int, int]] = []
    for start in starts:
        group = next((each for each in groups if start % step not in each), None)
        if group is None:
            groups.append(group := {})
        group[start % step] = start
    return [tuple(group.values()) for group in groups]


def _rectify_after(module: LoweredModule, relu: fx.Node) -> None:
    """Steps first and rectifies what is left, where nothing else reads a ReLU."""
    graph = module.graph
    if not is_relu(module, relu):
        return
    for user in list(relu.users):  # crops that nothing reads any more
        if isinstance(primitive(module, user), Crop) and not user.users:
            graph.erase_node(user)
    steps = list(relu.users)
    if any(each.target is not stepped for each in steps):
        return
    for node in steps:
        node.args = (operand(relu), *node.args[1:])
        for item in list(node.users):
            with graph.inserting_after(item):
                rectified = like(graph.call_function(torch.relu, (item,)), relu)
            item.replace_all_uses_with(rectified, delete_user_cb=lambda user: user is not rectified)  # noqa: B023  called at once
    graph.erase_node(relu)
