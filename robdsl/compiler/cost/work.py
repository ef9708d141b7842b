"""What one step of an attack costs: multiplications, bytes moved and library calls, forward and back to the images.

Counted as follows. A call reads each of its operands once and writes its result once; weights, which a batch reads
once, do not count. Backwards a convolution, a norm or a pool reads the gradient and writes one; a ReLU and a sigmoid
also read the result that was kept; a sum hands its gradient on, which costs nothing; where several read one value,
their gradients are added, one call for each after the first. The gradient of a part of a concatenation is a view,
which is copied for a convolution, as is a part of a merged convolution's result. Backwards, what was cropped or stepped
over is filled with zeros first. A kernel of two stages that finds no room on a chip is counted as its two. Gradients flow to
the images, not to weights. What is a view costs nothing forward.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from operator import mul
from typing import Any

import torch
from torch import fx, nn

from robdsl.compiler.cost.shapes import Shapes, shapes_of
from robdsl.compiler.fused_modules import PointwiseFan, SeparableFan, SeparablePair, SeparableSum
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.modules import Crop, NonlocalMean, channels_last, repeated, stepped, zeros
from robdsl.compiler.passes.base import graphs_of
from robdsl.compiler.passes.facts import is_concat, is_item, is_relu, operand, operands, primitive, uses_of
from robdsl.compiler.training_stages import separable_norms
from robdsl.graph.shapes import Shape
from robdsl.kernels import configurations
from robdsl.kernels.fork import fork
from robdsl.kernels.pair import fits


@dataclass(frozen=True)
class Work:
    """Work for one image.

    Attributes:
        macs: multiplications with an addition.
        numbers: read from memory or written to it.
        calls: of library functions, however many images there are.
    """

    macs: int = 0
    numbers: int = 0
    calls: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.macs + other.macs, self.numbers + other.numbers, self.calls + other.calls)


def total(work: Iterable[Work]) -> Work:
    """All of it together."""
    return sum(work, Work())


def work_of(model: LoweredModule, image: Shape, capability: int = 9) -> list[Work]:
    """The work of each call of one step, forward and back, for an image of a shape.

    Args:
        model: what is run.
        image: the shape of an image.
        capability: the compute capability of the chip that kernels would run on.
    """
    shapes = shapes_of(model, image)
    found: list[Work] = []
    for graph in graphs_of(model):
        if graph not in shapes:
            continue  # a stage that nothing calls
        for node in graph.graph.nodes:
            found += _node(graph, node, shapes, capability)
    return [each for each in found if each.calls]


def _node(module: LoweredModule, node: fx.Node, shapes: Shapes, capability: int) -> list[Work]:
    known = shapes[module]
    if node.op == "placeholder":
        return _gathered(node, known)
    if not node.op.startswith("call"):
        return []
    called = primitive(module, node)
    if isinstance(called, LoweredModule) or is_item(node) or node.target is fork:
        return _gathered(node, known)
    if node.target is stepped:
        return _stepped(node, known)
    if isinstance(called, SeparableFan | PointwiseFan):
        return _fan(called, node, known)
    if node.target is separable_norms:
        return [*_norms(module, node, known), *_gathered(node, known)]
    if isinstance(called, SeparableSum | SeparablePair):
        return [*_fused(called, node, known, capability), *_gathered(node, known)]
    return [*_forward_and_back(module, node, known), *_gathered(node, known)]


def _gathered(node: fx.Node, known: dict[fx.Node, Shape]) -> list[Work]:
    """The sums of the gradients of those that read a value; several values at once are gathered one by one."""
    if node not in known:
        return []
    uses = sum(uses_of(user, node) for user in node.users if user.target not in (zeros, repeated))
    size = prod(known[node])
    if any(user.target is fork for user in node.users):
        return [Work(0, (1 + sum(len(user.users) for user in node.users)) * size, 1)]
    return [Work(0, 3 * size, 1)] * (uses - 1)


def _forward_and_back(module: LoweredModule, node: fx.Node, known: dict[fx.Node, Shape]) -> list[Work]:
    out = prod(known[node])
    if is_relu(module, node):
        return [Work(0, 2 * out, 1), Work(0, 3 * out, 1)]
    called = primitive(module, node)
    if called is None:
        return _function(module, node, known)
    into = prod(known[operand(node)])
    moved = into + out
    match called:
        case nn.Conv2d() | nn.Linear():
            macs = out * prod(called.weight.shape[1:])
            leaves_out = isinstance(called, nn.Conv2d) and called.stride > called.kernel_size
            return [Work(macs, moved, 1), Work(macs, moved + into * leaves_out, 1)]
        case nn.Flatten() | nn.Dropout():
            return []
        case Crop():
            return [Work(0, into, 1), Work(0, 2 * out, 1)]  # back: zeros, then a copy into them
        case nn.Sigmoid():
            return [Work(0, moved, 1), Work(0, 3 * out, 1)]
        case NonlocalMean():
            return _nonlocal(called, known[operand(node)])
    return [Work(0, moved, 1)] * 2


def _fused(
    module: SeparableSum | SeparablePair, node: fx.Node, known: dict[fx.Node, Shape], capability: int
) -> list[Work]:
    """One call each way, which reads every map and writes its gradient; what is between stays on the chip.

    The gradient of what is only added is that of the sum, and costs nothing.
    """
    out, positions = prod(known[node]), prod(known[node][1:])
    maps = [prod(known[each]) for each in node.args if isinstance(each, fx.Node)]
    read = sum(maps[: len(module.depthwise) if isinstance(module, SeparableSum) else 1])
    if isinstance(module, SeparableSum):
        macs = positions * (module.depthwise.numel() + module.pointwise.numel())
        return [Work(macs, sum(maps) + out, 1), Work(macs, read + out, 1)]
    first = positions * (module.depthwise_1.numel() + module.pointwise_1.numel())
    second = positions * (module.depthwise_2.numel() + module.pointwise_2.numel())
    if _finds_room(module, known[node.all_input_nodes[0]], capability):
        return [Work(first + second, sum(maps) + out, 1), Work(first + second, read + out, 1)]
    between = positions * len(module.pointwise_1)
    back = [Work(second, out + between, 1), Work(first, between + read, 1)]
    return [Work(first, read + between, 1), Work(second, sum(maps[1:]) + between + out, 1), *back]


def _stepped(node: fx.Node, known: dict[fx.Node, Shape]) -> list[Work]:
    """Views, each copied by what reads it; back, zeros, then a copy of each gradient into them."""
    copies = [Work(0, 2 * prod(known[each]), 1) for each in node.users]
    assert isinstance(node.args[0], fx.Node)
    return [*copies, Work(0, prod(known[node.args[0]]), 1), *copies, *_gathered(node, known)]


def _fan(module: SeparableFan | PointwiseFan, node: fx.Node, known: dict[fx.Node, Shape]) -> list[Work]:
    """One call each way, which reads every map once, however many read it, and writes its gradient once."""
    outs = [prod(known[each]) for each in node.users]
    maps = [prod(known[each]) for each in node.args if isinstance(each, fx.Node)]
    positions = prod(known[next(iter(node.users))][1:])
    weights = module.pointwise.numel()
    if isinstance(module, SeparableFan):
        weights += module.depthwise.numel()
    return [Work(positions * weights, sum(maps) + sum(outs), 1)] * 2


def _finds_room(module: SeparablePair, shape: Shape, capability: int) -> bool:
    """Whether the kernel of a pair runs whole on a chip, for float32 maps of a shape."""
    of = configurations.Shape(shape[1], shape[2], shape[0], len(module.pointwise_1), module.stride)
    return fits(of, torch.float32, module.precision, capability >= 9)


def _norms(module: LoweredModule, node: fx.Node, known: dict[fx.Node, Shape]) -> list[Work]:
    """One call each way for each stage, and one for all their norms and what else they add."""
    args: Any = node.args
    stages, addends, _ = args
    out, found = prod(known[node]), []
    for x, *convs, _ in stages:
        weights: Any = [module.get_submodule(str(each.target)).weight for each in convs]
        macs = prod(known[node][1:]) * sum(each.numel() for each in weights)
        found += [Work(macs, prod(known[x]) + out, 1)] * 2
    forward = (len(stages) + len(addends) + 1) * out
    return [*found, Work(0, forward, 1), Work(0, (len(stages) + 1) * out, 1)]


def _nonlocal(module: NonlocalMean, shape: Shape) -> list[Work]:
    """Two products of all positions with all channels; back, each has two gradients."""
    channels, positions = shape[0], prod(shape[1:])
    inner = min(channels, positions) if module.kind == "dot" else positions
    macs, moved = channels * positions * inner, 2 * channels * positions + inner * positions
    return [Work(macs, moved, 1)] * 2 + [Work(macs, moved, 1)] * 4


def _function(module: LoweredModule, node: fx.Node, known: dict[fx.Node, Shape]) -> list[Work]:
    out = prod(known[node])
    args: Any = node.args
    if node.target is zeros:
        return [Work(0, out, 1)]
    if node.target is repeated:
        return []
    if node.target is torch.narrow:
        return [Work(0, prod(known[args[0]]), 1), Work(0, 2 * out, 1)]
    if node.target is channels_last:
        return [Work(0, 2 * out, 1)] * 2
    if is_concat(node):
        copied = [each for each in operands(node) if isinstance(primitive(module, each), nn.Conv2d)]
        return [Work(0, 2 * out, 1), *(Work(0, 2 * prod(known[each]), 1) for each in copied)]
    back = [Work(0, 3 * out, 1)] * 2 if node.target is mul else []
    return [Work(0, 3 * out, 1), *back]
