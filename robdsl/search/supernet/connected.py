"""Whether the image reaches the logits: in most spaces some choices cut every way from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from robdsl.graph.cell import Cell
from robdsl.graph.flatten import flatten
from robdsl.graph.layout import Layout
from robdsl.graph.net import Net
from robdsl.graph.operations import CellOperation, ChainOperation, Choice, Operation, SumOperation
from robdsl.search.supernet.cell_plan import plan_cell


def is_connected(net: Net) -> bool:
    """Whether the logits of a net depend on the image.

    Where they do not, nothing can be learned and no gradient can attack: such a net, which gives every image the
    same answer, is neither trained nor worth an evaluation.
    """
    return connects(net.layout, net.choices)


def connects(layout: Layout, choices: Sequence[Choice]) -> bool:
    """As `is_connected`, for a choice for each pick."""
    reached: list[bool] = []
    known: dict[tuple[int, int, tuple[bool, ...]], bool] = {}
    for stage in layout.stages:
        entering = tuple(each < 0 or reached[each] for each in stage.inputs)
        operation = stage.operation
        if isinstance(operation, CellOperation) and operation.pick is not None:
            key = (
                id(operation.cell),
                operation.pick,
                entering,
            )  # twenty cells that share a choice are few cases
            if key not in known:
                known[key] = _flows(operation, choices, entering)
            reached.append(known[key])
        else:
            reached.append(_flows(operation, choices, entering))
    return reached[-1]


def _flows(operation: Operation, choices: Sequence[Choice], entering: tuple[bool, ...]) -> bool:
    match operation:
        case CellOperation(cell=cell, pick=int(pick)):
            return _through_cell(cell, choices[pick], entering)
        case ChainOperation(parts=parts):
            return entering[0] and all(_flows(part, choices, (True,)) for part in parts)
        case SumOperation(parts=parts):
            return entering[0] and any(_flows(part, choices, (True,)) for part in parts)
    return _through_closed(operation, entering)


def _through_cell(cell: Cell, choice: Choice, entering: tuple[bool, ...]) -> bool:
    plan = plan_cell(cell, choice)
    open_ways = _open_ways(cell)
    reached = list(entering)
    for node in plan.nodes:
        if node.kind == "edges":
            ways = zip(node.sources, node.edges, strict=True)
            reached.append(any(reached[source] and open_ways[edge][index] for source, (edge, index) in ways))
        else:
            reached.append(node.kind != "zeros" and any(reached[each] for each in node.sources))
    return reached[plan.output]


@lru_cache(maxsize=1024)
def _open_ways(cell: Cell) -> tuple[tuple[bool, ...], ...]:
    """For each edge and alternative, whether what enters there comes out."""
    return tuple(
        tuple(each is not None and _through_closed(each, (True,)) for each in edge.alternatives)
        for edge in cell.edges
    )


@lru_cache(maxsize=4096)
def _through_closed(operation: Operation, entering: tuple[bool, ...]) -> bool:
    shapes = operation.cell.in_shapes if isinstance(operation, CellOperation) else [operation.in_shape]
    flat = flatten(operation, shapes)
    reached = list(entering)
    for step in flat.steps[flat.arity :]:
        cut = step.kind == "zeros" or (step.primitive is not None and step.primitive.name == "zero")
        reached.append(not cut and any(reached[each] for each in step.inputs))
    return reached[flat.output]
