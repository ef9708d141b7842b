"""Passes over a net as a whole: what one stage does for those that read it, and the layout of maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import fx, nn

from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.modules import channels_last
from robdsl.compiler.passes.base import Mode, Pass
from robdsl.compiler.passes.facts import (
    is_concat,
    is_relu,
    like,
    operand,
    operands,
    primitive,
    replace,
    results,
    set_results,
)


@dataclass(frozen=True)
class ShareRelus(Pass):
    """A stage whose result is read through ReLUs alone applies the ReLU itself, once for all readers.

    ``stage: return cat([a, b], 1)``, ``next: relu(x)``, ``after next: relu(x)`` ->
    ``stage: return cat([relu(a), relu(b)], 1)``, ``next: x``, ``after next: x``.

    The ReLU of each part is usually there already, for the edges within the cell. The result of a stage is then no
    longer what the text calls so, which is why this is for frozen models only.
    """

    name: ClassVar[str] = "share-relus"
    mode: ClassVar[Mode] = "eval"

    def rewrite(self, model: LoweredModule) -> list[LoweredModule]:
        changed: list[LoweredModule] = []
        for node in list(model.graph.nodes):
            stage = primitive(model, node)
            if not isinstance(stage, LoweredModule):
                continue
            (value, *more) = results(stage)
            if more or value.op == "placeholder":
                continue
            readers = list(_readers(model, node))
            if readers and all(each is not None for each in readers):
                for graph, relu in filter(None, readers):
                    replace(relu, operand(relu))
                    changed.append(graph)
                _return_relu(stage, value)
                changed.append(stage)
        return changed

    def change(self, module: LoweredModule) -> bool:
        return bool(self.rewrite(module))


def _readers(model: LoweredModule, node: fx.Node) -> Iterator[tuple[LoweredModule, fx.Node] | None]:
    """Every ReLU that reads the result of a stage, with its graph; None for anything else that reads it."""
    for user in list(node.users):
        if is_relu(model, user):
            yield model, user
            continue
        stage = primitive(model, user)
        if not isinstance(stage, LoweredModule):
            yield None
            continue
        inputs = [each for each in stage.graph.nodes if each.op == "placeholder"]
        for place, given in enumerate(user.args):
            if given is node:
                for each in list(inputs[place].users):
                    yield (stage, each) if is_relu(stage, each) else None


def _return_relu(stage: LoweredModule, value: fx.Node) -> None:
    with stage.graph.inserting_before(next(iter(reversed(stage.graph.nodes)))):
        if is_concat(value) and len(value.users) == 1:
            parts = [like(stage.graph.call_function(torch.relu, (part,)), part) for part in operands(value)]
            made = like(stage.graph.call_function(torch.cat, (parts, 1)), value)
        else:
            made = like(stage.graph.call_function(torch.relu, (value,)), value)
    set_results(stage, [made])
    if not value.users:
        stage.graph.erase_node(value)


@dataclass(frozen=True)
class ChannelsLast(Pass):
    """On a CPU maps lie in memory with the channels of a position side by side, whatever the layout of the images.

    ``conv(image)`` -> ``conv(channels_last(image))``; the convolutions that follow keep the layout. Constant weights are
    laid out likewise; those that learn stay as they are.
    """

    name: ClassVar[str] = "channels-last"
    mode: ClassVar[Mode] = "train"

    def rewrite(self, model: LoweredModule) -> list[LoweredModule]:
        convs = [each for each in model.modules() if isinstance(each, nn.Conv2d)]
        for each in convs:
            if not isinstance(each.weight, nn.Parameter):
                each.weight = each.weight.contiguous(memory_format=torch.channels_last)
        image = next(iter(model.graph.nodes))
        readers = list(image.users)
        if not convs or not readers or readers[0].target is channels_last:
            return []
        with model.graph.inserting_after(image):
            laid_out = model.graph.call_function(channels_last, (image,))
        like(laid_out, readers[0])
        image.replace_all_uses_with(laid_out, delete_user_cb=lambda user: user is not laid_out)
        return [model]

    def change(self, module: LoweredModule) -> bool:
        return bool(self.rewrite(module))
