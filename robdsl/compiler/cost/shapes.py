"""The shape of every value of a compiled model, from the modules alone: nothing is run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from robdsl.compiler.fused_modules import PointwiseFan, SeparableFan, SeparablePair, SeparableSum
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.modules import Crop, stepped, zeros
from robdsl.compiler.passes.facts import is_concat, is_item, primitive, results
from robdsl.compiler.training_stages import separable_norms
from robdsl.graph.shapes import Shape
from robdsl.kernels.fork import fork

#: The shape of each value, without the batch, by the graph that it is in.
Shapes = dict[LoweredModule, dict[fx.Node, Shape]]


def shapes_of(model: LoweredModule, *inputs: Shape) -> Shapes:
    """The shape of each node's value in a model and its stages; of several values those that are taken of them.

    Args:
        model: from `robdsl.compile` or `robdsl.freeze`.
        inputs: the shapes of what enters it, such as ``(3, 32, 32)``.
    """
    found: Shapes = {model: {}}
    entering = iter(inputs)
    for node in model.graph.nodes:
        if node.op == "placeholder":
            found[model][node] = next(entering)
        elif node.op == "get_attr":
            owner, _, name = str(node.target).rpartition(".")
            held = getattr(model.get_submodule(owner), name)
            if isinstance(held, Tensor):  # not a module, which is handed to `separable_norms`
                found[model][node] = tuple(held.shape[1:])
        elif node.target is separable_norms:
            found[model][node] = _after_stage(model, node, found[model])
        elif is_item(node):
            found[model][node] = _item(model, node, found)
        elif node.op != "output":
            known = found[model]
            given = [known[each] for each in node.all_input_nodes]
            module = primitive(model, node)
            if isinstance(module, LoweredModule):
                # A value that enters a stage twice is one input node.
                found |= shapes_of(module, *(known[each] for each in node.args if isinstance(each, fx.Node)))
                if len(values := results(module)) == 1:
                    known[node] = found[module][values[0]]
            elif isinstance(module, SeparableFan | PointwiseFan) or node.target in (fork, stepped):
                continue
            elif module is not None:
                known[node] = _after(module, given[0])
            else:
                known[node] = _function(node, known)
    return found


def _item(model: LoweredModule, node: fx.Node, found: Shapes) -> Shape:
    """The shape of one of the values that a stage or an operation gives."""
    args: Any = node.args
    source, index = args
    given: Any = source.args
    if source.target is fork:
        return found[model][given[0]]
    if source.target is stepped:
        first, starts, step = found[model][given[0]], given[1], given[2]
        return (first[0], *(-(-(size - starts[index]) // step) for size in first[1:]))
    module = primitive(model, source)
    if isinstance(module, LoweredModule):
        return found[module][results(module)[index]]
    assert isinstance(module, SeparableFan | PointwiseFan)
    sizes = found[model][given[0]][1:]
    stride = module.stride if isinstance(module, SeparableFan) else 1
    return (module.pointwise.shape[-2], *((size - 1) // stride + 1 for size in sizes))


def _after_stage(model: LoweredModule, node: fx.Node, known: dict[fx.Node, Shape]) -> Shape:
    """The shape of the result of the first of the stages in training that a node adds up."""
    args: Any = node.args
    x, *held = args[0][0]
    shape = known[x]
    for each in held:
        shape = _after(model.get_submodule(str(each.target)), shape)
    return shape


def _function(node: fx.Node, known: dict[fx.Node, Shape]) -> Shape:
    args: Any = node.args
    if is_concat(node):
        parts = [known[each] for each in args[0]]
        return (sum(each[0] for each in parts), *parts[0][1:])
    if node.target is zeros:
        shape: Shape = tuple(args[1])
        return shape
    first = known[args[0]]
    return (args[3], *first[1:]) if node.target is torch.narrow else first


def _after(module: nn.Module, shape: Shape) -> Shape:
    match module:
        case nn.Conv2d():
            return (module.out_channels, *_moved(module, shape[1:]))
        case nn.MaxPool2d() | nn.AvgPool2d():
            return (shape[0], *_moved(module, shape[1:]))
        case nn.Linear():
            return (module.out_features,)
        case nn.AdaptiveAvgPool2d():
            return (shape[0], 1, 1)
        case nn.Flatten():
            size = 1
            for each in shape:
                size *= each
            return (size,)
        case SeparableSum() | SeparablePair():
            pointwise = module.pointwise[0] if isinstance(module, SeparableSum) else module.pointwise_2
            return (len(pointwise), *((size - 1) // module.stride + 1 for size in shape[1:]))
        case Crop():
            return (shape[0], shape[1] - module.n, shape[2] - module.n)
    return shape


def _moved(window: Any, sizes: Shape) -> Shape:
    """Height and width after a window has moved over a map."""

    def pair(value: Any) -> tuple[int, int]:
        return (value, value) if isinstance(value, int) else tuple(value)

    kernel, stride, padding = (
        pair(getattr(window, f"{key}")) for key in ("kernel_size", "stride", "padding")
    )
    dilation = pair(getattr(window, "dilation", 1))
    return tuple(
        (size + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1
        for axis, size in enumerate(sizes)
    )
