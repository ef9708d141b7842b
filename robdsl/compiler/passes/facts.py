"""What the passes need to know of a node: what it computes, and what autograd keeps of it."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Sequence

import torch
from torch import fx, nn
from torch.fx.node import map_arg

from robdsl.compiler.forgetful import ForgetfulConv2d, relu_keeping_signs
from robdsl.compiler.lowered_module import ROB_SPAN, STACK_TRACE, LoweredModule
from robdsl.compiler.modules import Affine, Crop, NonlocalMean, zeros

Norm = nn.BatchNorm1d | nn.BatchNorm2d

#: Primitives without state whose value follows from their input, in both modes.
_PURE = (
    nn.ReLU, nn.Sigmoid, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, Crop, NonlocalMean,
)  # fmt: skip
#: Primitives that give a tensor of their own memory, which autograd does not keep.
FRESH = (
    nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, Affine,
)  # fmt: skip
#: Primitives for whose backward pass autograd does not keep the input; nor is what they give a view of it.
_FORGETFUL = (nn.ReLU, nn.Sigmoid, Affine, ForgetfulConv2d)


def primitive(module: LoweredModule, node: fx.Node) -> nn.Module | None:
    """The module that a node calls; None for another kind of node."""
    if node.op != "call_module":
        return None
    assert isinstance(node.target, str)
    found: nn.Module | None = module
    for name in node.target.split("."):  # what get_submodule does, in a fifth of its time: passes ask often
        assert found is not None
        found = found._modules[name]
    return found


def is_relu(module: LoweredModule, node: fx.Node) -> bool:
    """Whether a node is a ReLU, in place or not, whatever it keeps."""
    return (
        node.target in (torch.relu, torch.relu_, relu_keeping_signs)
        or type(primitive(module, node)) is nn.ReLU
    )


def is_sum(node: fx.Node) -> bool:
    """Whether a node adds two values."""
    return node.op == "call_function" and node.target is operator.add


def is_zeros(node: fx.Node) -> bool:
    """Whether a node is zeros for each image."""
    return node.op == "call_function" and node.target is zeros


def is_concat(node: fx.Node) -> bool:
    """Whether a node joins values along their channels."""
    return node.op == "call_function" and node.target is torch.cat


def operand(node: fx.Node) -> fx.Node:
    """The one value that a primitive is applied to."""
    (value,) = node.args
    assert isinstance(value, fx.Node)
    return value


def operands(node: fx.Node) -> list[fx.Node]:
    """The values of a sum or a concatenation, in order."""
    given = node.args[0] if is_concat(node) else node.args
    return [each for each in given if isinstance(each, fx.Node)]  # type: ignore[union-attr]  # torch.fx types arguments loosely


def is_pointwise(module: LoweredModule, node: fx.Node) -> bool:
    """Whether a node is a convolution of single positions, of all positions and all channels."""
    conv = primitive(module, node)
    sizes = (1, 1), (1, 1), (0, 0), 1
    return isinstance(conv, nn.Conv2d) and sizes == (conv.kernel_size, conv.stride, conv.padding, conv.groups)


def is_depthwise_3x3(conv: nn.Conv2d) -> bool:
    """Whether a convolution is the one that the kernels of stages make: 3x3 of each channel, of stride 1 or 2."""
    window = conv.kernel_size, conv.padding, conv.dilation
    apart = conv.groups == conv.in_channels == conv.out_channels
    return window == ((3, 3), (1, 1), (1, 1)) and apart and conv.stride in ((1, 1), (2, 2))


def is_item(node: fx.Node) -> bool:
    """Whether a node stands for one of the values that another gives."""
    return node.op == "call_function" and node.target is operator.getitem


def uses_of(reader: fx.Node, value: fx.Node) -> int:
    """How often a value is among what a node is given."""
    found: list[fx.Node] = []
    map_arg(reader.args, found.append)
    return sum(each is value for each in found)


def results(module: LoweredModule) -> list[fx.Node]:
    """The nodes whose values a graph returns: one, but where passes made it more."""
    (given,) = _output(module).args
    assert isinstance(given, fx.Node | tuple)
    return [given] if isinstance(given, fx.Node) else [each for each in given if isinstance(each, fx.Node)]


def set_results(module: LoweredModule, values: Sequence[fx.Node]) -> None:
    """Makes a graph return some values."""
    _output(module).args = (values[0] if len(values) == 1 else tuple(values),)


def _output(module: LoweredModule) -> fx.Node:
    found: fx.Node = next(node for node in reversed(module.graph.nodes) if node.op == "output")
    return found


def is_fresh(module: LoweredModule, node: fx.Node) -> bool:
    """Whether a value has memory of its own that its maker does not need again, so that it may be overwritten."""
    if node.op == "call_function":
        return node.target in (operator.add, operator.mul, torch.cat)
    return isinstance(primitive(module, node), FRESH)


def forgets_input(module: LoweredModule, node: fx.Node) -> bool:
    """Whether a node, once computed, needs its operands no more: not for its gradient, nor as a view of them."""
    if node.op == "call_function":
        return node.target in (operator.add, torch.cat, torch.relu, relu_keeping_signs, zeros)
    return type(primitive(module, node)) in _FORGETFUL


def is_last_reader(module: LoweredModule, reader: fx.Node, value: fx.Node) -> bool:
    """Whether a value may be lost to a node that reads it: the others come before, and need it no more."""
    return all(user is reader or (user < reader and forgets_input(module, user)) for user in value.users)


def sameness(module: LoweredModule, node: fx.Node) -> Hashable:
    """Equal for nodes that compute the same of the same operands; None where that cannot be said.

    Nothing with tensors of its own, nothing random and no stage is ever the same as another.
    """
    if node.op == "call_function" and node.target in (operator.add, operator.mul, torch.cat, zeros):
        return node.target
    if is_relu(module, node) and node.target is not torch.relu_:
        return torch.relu
    found = primitive(module, node)
    if isinstance(found, _PURE) and not any(True for _ in found.parameters()) and not list(found.buffers()):
        return type(found), found.extra_repr()
    return None


def like(node: fx.Node, source: fx.Node) -> fx.Node:
    """The node, with the place in the text that another comes from."""
    for key in (ROB_SPAN, STACK_TRACE):
        if key in source.meta:
            node.meta[key] = source.meta[key]
    return node


def replace(node: fx.Node, value: fx.Node) -> None:
    """Puts a value in the place of a node, which is erased."""
    node.replace_all_uses_with(value)
    node.graph.erase_node(node)


def erase_unused(graph: fx.Graph, nodes: list[fx.Node]) -> None:
    """Erases those of some nodes, given in order, that nothing reads."""
    for node in reversed(dict.fromkeys(nodes)):  # a sum may add a value to itself
        if not node.users:
            graph.erase_node(node)


def unpacked(module: LoweredModule, node: fx.Node, sources: Sequence[fx.Node]) -> list[fx.Node]:
    """The values of a node that gives several, right behind it, each with the place in the text of its source."""
    items: list[fx.Node] = []
    for index, source in enumerate(sources):
        with module.graph.inserting_after(items[-1] if items else node):
            taken = node, index
            item = module.graph.create_node(
                "call_function", operator.getitem, taken, {}, f"{node.name}_{index}"
            )
        items.append(like(item, source))
    return items


def sweep(nodes: list[fx.Node]) -> None:
    """Erases those of the nodes that nothing reads any more, and what only they read."""
    while nodes:
        node = nodes.pop()
        if not node.users and node.op != "placeholder" and not node._erased:
            nodes += node.all_input_nodes
            node.graph.erase_node(node)


def summands(node: fx.Node) -> list[fx.Node]:
    """What a sum adds up, through the sums that only it reads."""
    found: list[fx.Node] = []
    for each in operands(node):
        found += summands(each) if is_sum(each) and len(each.users) == 1 else [each]
    return found
