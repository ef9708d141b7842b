"""Elaborated cells: a DAG with every alternative of every open edge worked out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

from robdsl.diagnostics.source import Span
from robdsl.graph.operations import Choice, Cost, Operation
from robdsl.graph.shapes import Shape
from robdsl.graph.values import Value
from robdsl.syntax.nodes import CellDefinition


@dataclass(frozen=True)
class OpenEdge:
    """What there is to choose on an edge; compared by value, so that equal cells offer equal choices.

    Attributes:
        source, target: node names.
        kind: ``any`` subset of the alternatives, or exactly ``one``.
        names: the alternatives as a long-form choice calls them.
        empty: the index of ``none`` among the alternatives of a ``one`` edge, or None.
        direct: whether the target is the next node after the source.
    """

    source: str
    target: str
    kind: Literal["any", "one"]
    names: tuple[str, ...]
    empty: int | None
    direct: bool

    @property
    def most(self) -> int:
        """How many alternatives can be taken at most (``none`` counts for nothing)."""
        return len(self.names) if self.kind == "any" else 1

    def taken(self, chosen: tuple[int, ...]) -> tuple[int, ...]:
        """The alternatives in ``chosen`` that put something on the edge."""
        return tuple(index for index in chosen if index != self.empty)

    @cached_property
    def options(self) -> tuple[tuple[int, ...], ...]:
        """Every choice that can be made here, in the order of their codes read as numbers."""
        if self.kind == "one":
            return tuple((index,) for index in range(len(self.names)))
        count = len(self.names)
        return tuple(
            tuple(i for i in range(count) if code >> (count - 1 - i) & 1) for code in range(2**count)
        )

    def admits(self, chosen: tuple[int, ...]) -> bool:
        """Whether these alternatives, in ascending order, can be chosen together."""
        known = all(0 <= index < len(self.names) for index in chosen)
        ascending = all(first < second for first, second in pairwise(chosen))
        return known and ascending and (self.kind == "any" or len(chosen) == 1)

    def __str__(self) -> str:
        return f"`{self.source} -> {self.target}`"


@dataclass(frozen=True, eq=False)
class CellNode:
    """A node of a cell: an input, the sum of its edges, or a join of other nodes.

    Attributes:
        index: its place in node order.
        join: ``concat``, ``sum`` or ``mul`` with `operands` in the order written; None for the others.
    """

    name: str
    index: int
    shape: Shape
    span: Span
    is_input: bool = False
    join: Literal["concat", "sum", "mul"] | None = None
    operands: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class CellEdge:
    """An edge with its operation, or with the alternatives of an open edge.

    Attributes:
        alternatives: one operation for a closed edge; None stands for ``none``.
        opens: the place of this edge in alpha; None for a closed edge.
        key: the name of the edge in weights' keys, unique in its cell.
        labels: the names of the alternatives in weights' keys, unique on the edge.
        span: the statement that this edge comes from.
    """

    source: str
    target: str
    alternatives: tuple[Operation | None, ...]
    shape: Shape
    span: Span
    key: str
    opens: int | None = None
    labels: tuple[str, ...] = ("",)


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell definition for given arguments and input shapes.

    Attributes:
        definition: the tree that it was elaborated from.
        inputs: the names of the inputs, oldest first.
        nodes: by name, in node order.
        edges: in the order written.
        order: node names, sources before targets.
        opens: the open edges, in the order of alpha.
    """

    name: str
    arguments: tuple[tuple[str, Value], ...]
    definition: CellDefinition
    inputs: tuple[str, ...]
    nodes: dict[str, CellNode]
    edges: tuple[CellEdge, ...]
    order: tuple[str, ...]
    opens: tuple[OpenEdge, ...]

    @property
    def span(self) -> Span:
        return self.definition.span

    @property
    def in_shapes(self) -> tuple[Shape, ...]:
        return tuple(self.nodes[name].shape for name in self.inputs)

    @property
    def out_shape(self) -> Shape:
        return self.nodes["out"].shape

    @cached_property
    def entering(self) -> dict[str, tuple[CellEdge, ...]]:
        """The edges into each node, in the order written."""
        into: dict[str, list[CellEdge]] = {name: [] for name in self.nodes}
        for edge in self.edges:
            into[edge.target].append(edge)
        return {name: tuple(edges) for name, edges in into.items()}

    def chosen(self, edge: CellEdge, choice: Choice) -> Iterator[tuple[str, Operation]]:
        """The operations that flow along an edge, each with its label ("" on a closed edge)."""
        indices = (0,) if edge.opens is None else choice[edge.opens]
        for index in indices:
            operation = edge.alternatives[index]
            if operation is not None:
                yield edge.labels[index], operation

    @property
    def everything(self) -> Choice:
        """The choice of every alternative of every open edge: the cell of the supernet."""
        return tuple(tuple(range(len(edge.names))) for edge in self.opens)

    def live(self, choice: Choice) -> frozenset[str]:
        """The nodes from which ``out`` is reached along chosen edges (closed ones only, for no choice)."""
        live = {"out"}
        for name in reversed(self.order):
            if name not in live:
                continue
            live.update(self.nodes[name].operands)
            for edge in self.entering[name]:
                closed = edge.opens is None
                if (closed or choice) and any(True for _ in self.chosen(edge, choice)):
                    live.add(edge.source)
        return frozenset(live)

    @cached_property
    def most(self) -> Cost:
        """The cost with everything chosen."""
        return self.cost(self.everything)

    def cost(self, choice: Choice) -> Cost:
        """The cost of the cell with its open edges closed by ``choice``.

        Whatever was chosen counts, also what ``out`` does not need, so that sizes are sums over edges and
        equal those of the published code.
        """
        total = Cost()
        for edge in self.edges:
            for _, operation in self.chosen(edge, choice):
                total = total.beside(operation.cost)
        return replace(total, depth=max((path for path in self.paths(choice) if path is not None), default=0))

    def paths(self, choice: Choice) -> tuple[int | None, ...]:
        """How many convolutions and linear layers the longest path from each input to ``out`` meets.

        None where there is no path. Zeros (of a node whose open edges are all empty) follow the first input.
        """
        longest: dict[str, int] = {"out": 0}
        for name in reversed(self.order):
            if name not in longest:
                continue
            node, here, empty = self.nodes[name], longest[name], True
            for operand in node.operands:
                longest[operand] = max(longest.get(operand, 0), here)
            for edge in self.entering[name]:
                for _, operation in self.chosen(edge, choice):
                    empty = False
                    longest[edge.source] = max(longest.get(edge.source, 0), here + operation.cost.depth)
            if empty and not node.is_input and node.join is None:
                longest[self.inputs[0]] = max(longest.get(self.inputs[0], 0), here)
        return tuple(longest.get(name) for name in self.inputs)
