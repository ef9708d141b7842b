"""Passes over frozen models about the pointwise convolutions with which stages begin: their heads."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, fx, nn

from robdsl.compiler.frozen_module import COMPUTED, drop, put
from robdsl.compiler.fused_modules import PointwiseFan
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes.base import Mode, Pass, shapes_in
from robdsl.compiler.passes.facts import (
    is_concat,
    is_pointwise,
    is_relu,
    like,
    operand,
    operands,
    primitive,
    replace,
    results,
    set_results,
    unpacked,
)
from robdsl.graph.shapes import Shape
from robdsl.kernels import DEFAULT_PRECISION


@dataclass(frozen=True)
class MoveHeads(Pass):
    """What stages begin with is computed by the stage before, which has at hand what it concatenated.

    ``stage: return cat([a, b], 1)``, ``next: conv(relu(x))``, ``after next: conv'(relu(x))`` ->
    ``stage: r = relu(cat([a, b], 1)); return conv(r), conv'(r)``, ``next: x``, ``after next: x``.

    Maps of fewer channels then go from stage to stage, and `fuse-heads` need not write the concatenation. What other
    readers need of a result is returned as well. A stage then no longer gives what the text says, so this is for frozen
    models only.
    """

    name: ClassVar[str] = "move-heads"
    mode: ClassVar[Mode] = "eval"

    def rewrite(self, model: LoweredModule) -> list[LoweredModule]:
        calls = Counter(node.target for node in model.graph.nodes if node.op == "call_module")
        changed: list[LoweredModule] = []
        for node in list(model.graph.nodes):
            stage = primitive(model, node)
            if not isinstance(stage, LoweredModule) or calls[node.target] > 1:
                continue
            (value, *more) = results(stage)
            if more or value.op == "placeholder":
                continue
            heads = [
                head for user in node.users if calls[user.target] == 1 for head in _heads(model, user, node)
            ]
            if heads:
                _move(model, node, stage, heads)
                changed += [model, stage, *(head.stage for head in heads)]
        return changed

    def change(self, module: LoweredModule) -> bool:
        return bool(self.rewrite(module))


@dataclass(frozen=True, eq=False)
class _Head:
    """An argument of a stage, of which the stage needs one convolution of its ReLU and nothing else."""

    call: fx.Node
    place: int
    stage: LoweredModule
    relu: fx.Node
    conv: fx.Node


def _heads(model: LoweredModule, call: fx.Node, value: fx.Node) -> list[_Head]:
    """Where a stage that reads a value begins with a head."""
    stage = primitive(model, call)
    if not isinstance(stage, LoweredModule):
        return []
    inputs = [each for each in stage.graph.nodes if each.op == "placeholder"]
    found = []
    for place, given in enumerate(call.args):
        relu = _only_reader(inputs[place]) if given is value else None
        conv = _only_reader(relu) if relu is not None and is_relu(stage, relu) else None
        if relu is not None and conv is not None and is_pointwise(stage, conv):
            found.append(_Head(call, place, stage, relu, conv))
    return found


def _only_reader(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _move(model: LoweredModule, node: fx.Node, stage: LoweredModule, heads: Sequence[_Head]) -> None:
    """Takes heads out of the stages that read the result of one, and puts them at its end."""
    graph, (value,) = stage.graph, results(stage)
    made = []
    with graph.inserting_before(next(iter(reversed(graph.nodes)))):
        relu = like(graph.call_function(torch.relu, (value,)), heads[0].relu)
        for head in heads:
            conv = primitive(head.stage, head.conv)
            assert conv is not None
            moved = graph.create_node("call_module", COMPUTED, (relu,), {}, "head")
            moved.target = f"{COMPUTED}.{moved.name}"
            put(stage, like(moved, head.conv), conv)
            made.append(moved)
    for head in heads:
        replace(head.conv, operand(head.relu))
        head.stage.graph.erase_node(head.relu)
        drop(head.stage, head.conv)
        head.call.update_arg(head.place, None)
    stays = bool(node.users)
    items = _items(model, node, stage, [value, *made] if stays else made)
    if stays:
        node.replace_all_uses_with(items[0], delete_user_cb=lambda user: user not in items)
    for head, item in zip(heads, items[stays:], strict=True):
        head.call.update_arg(head.place, item)


def _items(model: LoweredModule, node: fx.Node, stage: LoweredModule, values: list[fx.Node]) -> list[fx.Node]:
    """Makes a stage return some values; what stands for each where it is called."""
    set_results(stage, values)
    return [node] if len(values) == 1 else unpacked(model, node, [node] * len(values))


@dataclass(frozen=True)
class FuseHeads(Pass):
    """Pointwise convolutions of one ReLU are one operation, which reads the parts of a concatenation as they are.

    ``r = relu(cat([a, b], 1)); y = conv(r); z = conv'(r)`` -> ``y, z = pointwise_fan(a, b)``.

    On a GPU a kernel of robdsl.kernels computes it; elsewhere its reference does, so this is for GPUs. Where the net and
    so its maps are not known, a concatenation stays.

    Args:
        tf32: products in tf32, not in the default precision, which is nearly float32.
    """

    tf32: bool = False

    name: ClassVar[str] = "fuse-heads"
    mode: ClassVar[Mode] = "eval"

    def rewrite(self, model: LoweredModule) -> list[LoweredModule]:
        return [graph for graph, shapes in shapes_in(model) if self._fuse(graph, shapes)]

    def change(self, module: LoweredModule) -> bool:
        return self._fuse(module, {})

    def _fuse(self, module: LoweredModule, shapes: Mapping[fx.Node, Shape]) -> bool:
        changed = False
        for relu in list(module.graph.nodes):
            readers = list(relu.users) if is_relu(module, relu) else []
            if readers and all(is_pointwise(module, each) for each in readers):
                parts = _parts(operand(relu), shapes)
                families: dict[int, list[fx.Node]] = defaultdict(list)
                for each in readers:
                    families[_weights(module, each)[0].shape[0]].append(each)
                for family in families.values():
                    self._join(module, parts, family)
                module.graph.erase_node(relu)
                changed = True
        return changed

    def _join(self, module: LoweredModule, parts: Sequence[fx.Node], readers: Sequence[fx.Node]) -> None:
        """Makes one operation of convolutions of one shape."""
        precision = "tf32" if self.tf32 else DEFAULT_PRECISION
        made = PointwiseFan([_weights(module, each) for each in readers], precision)
        graph, first = module.graph, min(readers)
        with graph.inserting_before(first):
            name = f"{first.name}_fused"
            node = graph.create_node("call_module", f"{COMPUTED}.{name}", tuple(parts), {}, name)
            put(module, like(node, first), made)
        for reader, item in zip(readers, unpacked(module, node, readers), strict=True):
            replace(reader, item)


def _weights(module: LoweredModule, node: fx.Node) -> tuple[Tensor, Tensor | None]:
    conv = primitive(module, node)
    assert isinstance(conv, nn.Conv2d)
    return conv.weight.flatten(1), conv.bias


def _parts(value: fx.Node, shapes: Mapping[fx.Node, Shape]) -> list[fx.Node]:
    """What a value is the concatenation of, if all of it has one shape; else the value."""
    if not is_concat(value):
        return [value]
    parts = operands(value)
    known = {shapes.get(each) for each in parts}
    return parts if len(known) == 1 and None not in known else [value]
