"""What a person reads of operations, cells and nets, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from robdsl.graph.choices import Pick
from robdsl.graph.net import Net, Space
from robdsl.graph.operations import CellOperation, ChainOperation, Operation, PrimitiveOperation, SumOperation
from robdsl.graph.primitives import signatures
from robdsl.graph.shapes import Shape, show
from robdsl.graph.values import Value, show_value
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_parameters

#: How long an expansion may be before it is cut.
LONGEST = 400
#: How many lines of a definition are shown.
MOST_LINES = 30

ABOUT = {
    "conv": "A convolution with a square kernel; without a bias unless asked for.",
    "depthwise": "A convolution with a group for each channel.",
    "linear": "A linear layer on a flattened value.",
    "batch_norm": "Batch normalization, with eps 1e-5 and momentum 0.1. `weight` is what its weights start at.",
    "relu": "The larger of the value and zero.",
    "sigmoid": "The logistic function.",
    "identity": "Hands on what it is given.",
    "zero": "Zeros, of every `stride`-th row and column.",
    "dropout": "In training, sets each number to zero with probability `p`.",
    "max_pool": "The largest number in each window; sizes round down.",
    "avg_pool": "The mean of each window; sizes round down, padding is not counted.",
    "global_avg_pool": "The mean of each channel, as a C x 1 x 1 map.",
    "flatten": "A map as one vector.",
    "crop": "Drops the first `n` rows and columns.",
    "nonlocal_mean": "The weighted mean over all positions of feature denoising (Xie et al. 2019): `gaussian` or `dot`.",
}


def count(number: int) -> str:
    """A number with its thousands apart."""
    return f"{number:,}"


def call_text(name: str, arguments: Iterable[tuple[str, Value]]) -> str:
    """``conv(kernel=3, width=8)``"""
    shown = ", ".join(f"{parameter}={show_value(value)}" for parameter, value in arguments)
    return f"{name}({shown})" if shown else name


def expansion(operation: Operation) -> str:
    """What an operation is made of, down to primitives; cells by their call."""
    match operation:
        case PrimitiveOperation(primitive=primitive):
            return str(primitive)
        case ChainOperation(parts=parts):
            return " | ".join(
                _grouped(each) if isinstance(each, SumOperation) else expansion(each) for each in parts
            )
        case SumOperation(parts=parts):
            return " + ".join(
                _grouped(each) if isinstance(each, ChainOperation) else expansion(each) for each in parts
            )
        case CellOperation(cell=cell):
            return call_text(cell.name, cell.arguments)
    return operation.name


def _grouped(operation: Operation) -> str:
    return f"({expansion(operation)})"


def operation_facts(operation: Operation) -> list[str]:
    """Shapes, sizes and what it expands to."""
    cost = operation.cost
    lines = [f"{show(operation.in_shape)} → {show(operation.out_shape)}"]
    lines.append(f"{count(cost.params)} parameters, {count(cost.macs)} MACs")
    text = expansion(operation)
    if operation.name:
        lines.append(f"is `{text if len(text) <= LONGEST else text[:LONGEST] + ' ...'}`")
    else:
        lines.append(f"`{text}`")
    return lines


def primitive(name: str) -> str:
    """The signature of a primitive, and what it does."""
    return f"{fenced(name + show_parameters(signatures()[name]))}\n{ABOUT[name]}"


def definition(made: nodes.Definition) -> str:
    """The text of a definition."""
    lines = made.span.text.strip().splitlines()
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], "    ..."]
    return fenced("\n".join(lines))


def net_facts(made: Net | Space) -> str:
    """Sizes of a net, or what a space has to choose."""
    if isinstance(made, Net):
        shapes = f"{show(made.image)} → {show(made.stages[-1].shape)}"
        cost = made.cost
        return f"{shapes}\n\n{count(cost.params)} parameters, {count(cost.macs)} MACs, depth {cost.depth}"
    edges = sum(len(pick.opens) for pick in made.picks)
    return f"{len(made.picks)} picks, {edges} open edges"


def pick_facts(pick: Pick) -> str:
    """The cell and the open edges of a pick, in the order of alpha."""
    lines = [f"`pick {pick.name}` closes the open edges of `{pick.cell}`:", ""]
    for target, edges in pick.groups:
        offered = ", ".join(f"`{edge.source}` ({edge.kind} of {', '.join(edge.names)})" for edge in edges)
        lines.append(f"- into `{target}` from {offered}")
    return "\n".join(lines)


def shapes_text(shapes: Sequence[Shape]) -> str:
    """One shape, or the first and the last of several."""
    different = list(dict.fromkeys(shapes))
    if len(different) == 1:
        return show(different[0])
    dots = " … " if len(different) > 2 else ", "
    return f"{show(different[0])}{dots}{show(different[-1])}"


def fenced(text: str) -> str:
    """A block of code."""
    return f"```rob\n{text}\n```"
