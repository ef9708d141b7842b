"""Operations as programs over the modules of a supernet: what flows along an edge, and what an open cell makes of it.

They compute what the plain compiled operations compute, in the same order; as the compiler's passes do, with one
ReLU for all edges that read a value.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor, nn

from robdsl.compiler.modules import add_into, zeros
from robdsl.compiler.names import module_path
from robdsl.graph.cell import Cell
from robdsl.graph.flatten import Step, flatten, part_name
from robdsl.graph.operations import CellOperation, ChainOperation, Operation, SumOperation, picked
from robdsl.graph.shapes import Shape
from robdsl.search.supernet.cell_plan import CellPlan, plan_cell
from robdsl.search.supernet.places import Place, place_of


class Program(Protocol):
    """What a stage, or a part of one, computes."""

    def __call__(self, *inputs: Tensor) -> Tensor: ...

    def modules(self) -> Iterator[nn.Module]:
        """The modules that a call runs."""


@dataclass(eq=False, slots=True)
class Straight:
    """Modules one after the other, on the last value given; none for an identity."""

    places: tuple[Place, ...]

    def __call__(self, *inputs: Tensor) -> Tensor:
        value = inputs[-1]
        for place in self.places:
            value = place.module(value)
        return value

    def modules(self) -> Iterator[nn.Module]:
        return (place.module for place in self.places)


@dataclass(eq=False, slots=True)
class Branching:
    """A closed operation whose values part and meet, such as a factorized reduction.

    Attributes:
        steps: after the values given, how each value comes from earlier ones; with the module, where there is one.
        output: the place of the result.
    """

    steps: tuple[tuple[str, tuple[int, ...], Shape, Place | None], ...]
    output: int

    def __call__(self, *inputs: Tensor) -> Tensor:
        values = list(inputs)
        for kind, sources, shape, place in self.steps:
            if place is not None:
                values.append(place.module(values[sources[0]]))
            else:
                values.append(_joined(kind, [values[each] for each in sources], shape))
        return values[self.output]

    def modules(self) -> Iterator[nn.Module]:
        return (place.module for *_, place in self.steps if place is not None)


@dataclass(eq=False, slots=True)
class Alternative:
    """What may flow along an edge.

    Attributes:
        relu: where the ReLU is that it begins with, which others share; None where it begins otherwise.
        rest: what follows the ReLU, or all.
    """

    relu: Place | None
    rest: Straight | Branching


@dataclass(eq=False, slots=True)
class OpenCell:
    """A cell whose open edges are closed again and again.

    Attributes:
        alternatives: for each edge what may flow along it.
        plan: what is chosen now.
    """

    alternatives: tuple[tuple[Alternative, ...], ...]
    plan: CellPlan

    def __call__(self, *inputs: Tensor) -> Tensor:
        values: list[Tensor | None] = list(inputs)
        rectified: dict[int, Tensor] = {}
        for node in self.plan.nodes:
            operands: list[Tensor] = [values[each] for each in node.sources]  # type: ignore[misc]  # not spent yet
            if node.kind == "edges":
                flowing = []
                for source, operand, (edge, index) in zip(node.sources, operands, node.edges, strict=True):
                    alternative = self.alternatives[edge][index]
                    if alternative.relu is None:
                        flowing.append(alternative.rest(operand))
                        continue
                    if source not in rectified:
                        rectified[source] = alternative.relu.module(operand)
                    flowing.append(alternative.rest(operand, rectified[source]))
                values.append(_joined("sum", flowing, node.shape))
            else:
                values.append(_joined(node.kind, operands, node.shape))
            for spent in node.spent:
                values[spent] = None
                rectified.pop(spent, None)
        result = values[self.plan.output]
        assert result is not None
        return result

    def modules(self) -> Iterator[nn.Module]:
        rectified = set()
        for node in self.plan.nodes:
            for source, (edge, index) in zip(node.sources, node.edges, strict=False):
                alternative = self.alternatives[edge][index]
                if alternative.relu is not None and source not in rectified:
                    rectified.add(source)
                    yield alternative.relu.module
                yield from alternative.rest.modules()


@dataclass(eq=False, slots=True)
class Chain:
    """Programs one after the other."""

    parts: tuple[Program, ...]

    def __call__(self, *inputs: Tensor) -> Tensor:
        value = inputs[0]
        for part in self.parts:
            value = part(value)
        return value

    def modules(self) -> Iterator[nn.Module]:
        for part in self.parts:
            yield from part.modules()


@dataclass(eq=False, slots=True)
class Sum:
    """Programs side by side."""

    parts: tuple[Program, ...]

    def __call__(self, *inputs: Tensor) -> Tensor:
        return reduce(operator.add, (part(*inputs) for part in self.parts))

    def modules(self) -> Iterator[nn.Module]:
        for part in self.parts:
            yield from part.modules()


def _joined(kind: str, operands: Sequence[Tensor], shape: Shape) -> Tensor:
    """A value that no module computes."""
    match kind:
        case "sum":
            first, *others = operands
            if not others:
                return first
            total = first + others[0]
            for each in others[1:]:
                total = add_into(total, each)
            return total
        case "mul":
            return reduce(operator.mul, operands)
        case "concat":
            return torch.cat(list(operands), 1) if len(operands) > 1 else operands[0]
    return zeros(operands[0], shape)


class Writer:
    """Writes the program of a stage that has something to pick.

    Args:
        root: the stage's module, under which all modules of its operations are.

    Attributes:
        cells: the open cells met so far, in the order of `robdsl.graph.operations.picked`, each with its program.
    """

    def __init__(self, root: nn.Module) -> None:
        self._root = root
        self.cells: list[tuple[Cell, OpenCell]] = []

    def write(self, operation: Operation, key: str = "") -> Program:
        """The program of an operation whose modules are under ``key``."""
        if not any(True for _ in picked(operation)):
            return self._closed(operation, key)
        match operation:
            case CellOperation(cell=cell):
                return self._open(cell, key)
            case ChainOperation():
                return Chain(self._parts(operation.parts, key))
            case SumOperation():
                return Sum(self._parts(operation.parts, key))
        raise AssertionError(f"an operation of an unknown kind: {operation}")

    def _parts(self, parts: Sequence[Operation], key: str) -> tuple[Program, ...]:
        return tuple(
            self.write(part, _below(key, part_name(part, index))) for index, part in enumerate(parts)
        )

    def _open(self, cell: Cell, key: str) -> OpenCell:
        live = cell.live(cell.everything)
        alternatives = tuple(
            tuple(
                # What no choice needs has no program, and of its modules only those that learn are there.
                Alternative(None, Straight(()))
                if each is None or edge.target not in live
                else _led_by_relu(self._closed(each, _below(key, _below(edge.key, label))))
                for each, label in zip(edge.alternatives, edge.labels, strict=True)
            )
            for edge in cell.edges
        )
        made = OpenCell(alternatives, plan_cell(cell, cell.everything))
        self.cells.append((cell, made))
        return made

    def _closed(self, operation: Operation, key: str) -> Straight | Branching:
        flat = flatten(operation, [operation.in_shape])
        steps = [(step.kind, step.inputs, step.shape, self._place(step, key)) for step in flat.steps[1:]]
        straight = all(
            place is not None and inputs == (before,) for before, (_, inputs, _, place) in enumerate(steps)
        )
        if straight and flat.output == len(steps):
            return Straight(tuple(place for *_, place in steps if place is not None))
        return Branching(tuple(steps), flat.output)

    def _place(self, step: Step, key: str) -> Place | None:
        """Where the module of a step is; None for one that has none."""
        if step.primitive is None or step.primitive.name == "zero":
            return None
        place = place_of(self._root, module_path(_below(key, step.key)))
        assert place is not None, f"the supernet has no module for {step.key}"
        return place


def _led_by_relu(program: Straight | Branching) -> Alternative:
    """The program with the ReLU at its beginning, if there is one, taken off."""
    if isinstance(program, Straight):
        if program.places and _is_relu(program.places[0]):
            return Alternative(program.places[0], Straight(program.places[1:]))
    elif program.steps and _is_relu(program.steps[0][3]):
        # Called with what enters and with what the ReLU makes of it, the first two values of its steps.
        return Alternative(program.steps[0][3], Branching(program.steps[1:], program.output))
    return Alternative(None, program)


def _is_relu(place: Place | None) -> bool:
    return place is not None and type(place.module) is nn.ReLU


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key and name else key or name
