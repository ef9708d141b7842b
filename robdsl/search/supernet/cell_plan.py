"""What is left of an open cell when its edges are closed by a choice, as plain data.

Only what `out` needs is in a plan. Cells of one template share the plan of a choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from robdsl.graph.cell import Cell, CellNode
from robdsl.graph.operations import Choice, Operation, PrimitiveOperation
from robdsl.graph.shapes import Shape


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """How one node of a cell gets its value.

    Attributes:
        kind: ``edges`` is a sum over operations on edges; ``zeros`` takes the first input's batch size only.
        sources: places of earlier values.
        edges: for ``edges``, where each source's operation is: the edge, and the alternative there.
        shape: of the value, without the batch.
        spent: the places of values that nothing needs after this one.
    """

    kind: Literal["edges", "concat", "sum", "mul", "zeros"]
    sources: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    shape: Shape
    spent: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CellPlan:
    """The nodes of a cell that its result needs, sources before users.

    Attributes:
        arity: how many inputs there are; they have the first places, oldest first, and the nodes have the next.
        output: the place of the result.
    """

    arity: int
    nodes: tuple[PlannedNode, ...]
    output: int


@lru_cache(maxsize=1024)
def plan_cell(cell: Cell, choice: Choice) -> CellPlan:
    """The plan of a cell for what was chosen on its open edges."""
    place = {name: number for number, name in enumerate(cell.inputs)}
    live = cell.live(choice)
    number = {id(edge): index for index, edge in enumerate(cell.edges)}
    made = []
    empty: set[str] = set()
    for name in cell.order:
        if name in place or name not in live:
            continue
        node = cell.nodes[name]
        sources, edges = [], []
        if node.join is not None:
            sources = [place[each] for each in node.operands]
        else:
            for edge in cell.entering[name]:
                for index in (0,) if edge.opens is None else choice[edge.opens]:
                    operation = edge.alternatives[index]
                    if operation is not None and not (edge.source in empty and _is_identity(operation)):
                        sources.append(place[edge.source])
                        edges.append((number[id(edge)], index))
            if not edges:  # zeros, or sums of nothing but zeros
                empty.add(name)
        made.append((node, _kind(node, edges), tuple(sources) or (0,), tuple(edges)))
        place[name] = len(place)
    output = place["out"]
    last = {source: index for index, (_, _, sources, _) in enumerate(made) for source in sources}
    nodes = tuple(
        PlannedNode(
            kind, sources, edges, node.shape,
            tuple(each for each in dict.fromkeys(sources) if last[each] == index and each != output),
        )
        for index, (node, kind, sources, edges) in enumerate(made)
    )  # fmt: skip
    return CellPlan(len(cell.inputs), nodes, output)


def _is_identity(operation: Operation) -> bool:
    return isinstance(operation, PrimitiveOperation) and operation.primitive.name == "identity"


def _kind(node: CellNode, edges: list[tuple[int, int]]) -> Literal["edges", "concat", "sum", "mul", "zeros"]:
    if node.join is not None:
        return node.join
    return "edges" if edges else "zeros"
