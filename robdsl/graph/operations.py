"""Elaborated operations: everything named, computed and checked; nothing left to decide but open edges.

An operation is a value that may stand in many places; what it learns belongs to the place, not to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from robdsl.diagnostics.source import Span
from robdsl.graph.primitives import Primitive
from robdsl.graph.shapes import Shape
from robdsl.graph.values import Value
from robdsl.syntax import nodes

if TYPE_CHECKING:
    from robdsl.graph.cell import Cell

#: What was chosen: for each open edge in the order of alpha, the indices of the alternatives, ascending.
Choice = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Cost:
    """Learned numbers, multiply-adds of one image, convolutions and linear layers on the longest path, and primitives."""

    params: int = 0
    macs: int = 0
    depth: int = 0
    primitives: int = 0

    def then(self, other: Cost) -> Cost:
        """One after the other."""
        return self._with(other, self.depth + other.depth)

    def beside(self, other: Cost) -> Cost:
        """In parallel."""
        return self._with(other, max(self.depth, other.depth))

    def _with(self, other: Cost, depth: int) -> Cost:
        return Cost(
            self.params + other.params, self.macs + other.macs, depth, self.primitives + other.primitives
        )


@dataclass(frozen=True, eq=False)
class Operation:
    """One value in, one out.

    Attributes:
        in_shape, out_shape: without the batch.
        span: where it is written.
        name: the `op` of the text that it is the body of, or "" when it is written in place.
        arguments: the values of that op's parameters.
        definition, call: that op, and the call that stands for it.
    """

    in_shape: Shape
    out_shape: Shape
    span: Span
    name: str = ""
    arguments: tuple[tuple[str, Value], ...] = ()
    definition: nodes.OpDefinition | None = field(default=None, kw_only=True)
    call: nodes.Call | None = field(default=None, kw_only=True)

    @cached_property
    def cost(self) -> Cost:
        raise AssertionError("every kind of operation knows its cost")


@dataclass(frozen=True, eq=False)
class PrimitiveOperation(Operation):
    """A primitive with its arguments."""

    primitive: Primitive = field(kw_only=True)

    @cached_property
    def cost(self) -> Cost:
        made = self.primitive
        return Cost(made.learned(self.in_shape), made.macs(self.in_shape), made.depth(), 1)


@dataclass(frozen=True, eq=False)
class ChainOperation(Operation):
    """``X | Y``"""

    parts: tuple[Operation, ...] = field(kw_only=True)

    @cached_property
    def cost(self) -> Cost:
        total = Cost()
        for part in self.parts:
            total = total.then(part.cost)
        return total


@dataclass(frozen=True, eq=False)
class SumOperation(Operation):
    """``X + Y``"""

    parts: tuple[Operation, ...] = field(kw_only=True)

    @cached_property
    def cost(self) -> Cost:
        total = Cost()
        for part in self.parts:
            total = total.beside(part.cost)
        return total


@dataclass(frozen=True, eq=False)
class CellOperation(Operation):
    """A cell, used as an operation or as a stage.

    Attributes:
        pick: the number of the pick that closes its open edges; None for a closed cell.
        choice: what was chosen on each open edge; empty as long as the cell is open.
    """

    cell: Cell = field(kw_only=True)
    pick: int | None = None
    choice: Choice = ()

    @cached_property
    def cost(self) -> Cost:
        return self.cell.cost(self.choice)


def close(operation: Operation, choices: Sequence[Choice]) -> Operation:
    """The operation with every pick in it closed by its choice."""
    match operation:
        case CellOperation(pick=int(pick)):
            return replace(operation, choice=choices[pick])
        case ChainOperation() | SumOperation():
            parts = tuple(close(part, choices) for part in operation.parts)
            return operation if parts == operation.parts else replace(operation, parts=parts)
    return operation


def picked(operation: Operation) -> Iterator[CellOperation]:
    """The cells inside an operation that a pick closes."""
    match operation:
        case CellOperation(pick=int()):
            yield operation
        case ChainOperation() | SumOperation():
            for part in operation.parts:
                yield from picked(part)
