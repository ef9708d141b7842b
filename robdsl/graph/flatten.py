"""Stages as straight lists of primitives: what a compiler lowers, a hash reads and a drawing counts.

One list a stage, inputs before users. Operations are inlined down to primitives; a node that sums several edges
becomes one ``sum``; what ``out`` does not need is not there, an empty edge costs nothing, and a node whose edges
were all left empty becomes ``zeros``. Keys are the names of modules: ``x0_to_n0.sep_conv_3x3.depthwise_1``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

from robdsl.diagnostics.source import Span
from robdsl.graph.cell import Cell
from robdsl.graph.operations import (
    CellOperation,
    ChainOperation,
    Choice,
    Operation,
    PrimitiveOperation,
    SumOperation,
)
from robdsl.graph.primitives import Primitive
from robdsl.graph.shapes import Shape

Kind = Literal["input", "primitive", "sum", "concat", "mul", "zeros"]


@dataclass(frozen=True, eq=False)
class Step:
    """One value of a stage and how it is made.

    Attributes:
        key: unique in its stage; for a primitive, the path of its module below the stage ("" when the stage is it).
        kind: how `inputs` become this value; ``zeros`` takes its first input's batch size only.
        inputs: places of earlier steps in the list.
        primitive: for ``primitive``, what is applied to the one input.
        shape: of the value, without the batch.
        span: the text that asks for it.
        in_shape: for ``primitive``, the shape of what it is applied to.
    """

    key: str
    kind: Kind
    inputs: tuple[int, ...]
    shape: Shape
    span: Span
    primitive: Primitive | None = None
    in_shape: Shape = ()


@dataclass(frozen=True, eq=False)
class FlatStage:
    """The steps of one stage.

    Attributes:
        arity: how many of the first steps are its inputs, oldest first.
        output: the place of its result.
        places: for a stage that is a cell, where the value of each of its nodes is made.
        idle: primitives that were chosen but that the result does not need: nothing computes them, but they have modules, so
            that the keys of weights do not depend on what is dead. Their `inputs` mean nothing.
    """

    arity: int
    steps: tuple[Step, ...]
    output: int
    places: Mapping[str, int] = field(default_factory=dict)
    idle: tuple[Step, ...] = ()


def flatten(operation: Operation, inputs: Sequence[Shape]) -> FlatStage:
    """The steps of a stage whose inputs have the given shapes.

    Cells of the same template and choice share one `FlatStage` (the same object), which is how a compiler knows that
    they can share code.
    """
    if isinstance(operation, CellOperation):
        return _flat_cell(operation.cell, operation.choice)
    writer = _Writer()
    entering = writer.add("input", "input", (), inputs[0], operation.span)
    output = writer.operation(operation, entering, "")
    return _needed(1, writer.steps, output, {})


@lru_cache(maxsize=4096)
def _flat_cell(cell: Cell, choice: Choice) -> FlatStage:
    writer = _Writer()
    places = [
        writer.add(name, "input", (), cell.nodes[name].shape, cell.nodes[name].span) for name in cell.inputs
    ]
    values = writer.cell(cell, choice, places, "")
    return _needed(len(places), writer.steps, values["out"], values)


def _needed(arity: int, steps: Sequence[Step], output: int, places: Mapping[str, int]) -> FlatStage:
    """The stage with what its output needs, and beside it what was written in vain."""
    steps = _told_apart(steps)
    needed = {*range(arity), output}
    for index in range(len(steps) - 1, -1, -1):
        if index in needed:
            needed.update(steps[index].inputs)
    new = {old: place for place, old in enumerate(sorted(needed))}
    kept = tuple(replace(steps[old], inputs=tuple(new[each] for each in steps[old].inputs)) for old in new)
    idle = tuple(step for old, step in enumerate(steps) if old not in needed and step.primitive is not None)
    return FlatStage(
        arity, kept, new[output], {name: new[old] for name, old in places.items() if old in new}, idle
    )


def _told_apart(steps: Sequence[Step]) -> list[Step]:
    """The steps with a key for each: those of primitives are paths of modules and stay, other values give way."""
    taken = {step.key for step in steps if step.primitive is not None}
    apart = []
    for step in steps:
        key, number = step.key, 1
        while step.primitive is None and key in taken:
            number += 1
            key = f"{step.key}_{number}"
        taken.add(key)
        apart.append(step if key == step.key else replace(step, key=key))
    return apart


@dataclass
class _Writer:
    steps: list[Step] = field(default_factory=list)

    def add(
        self,
        key: str,
        kind: Kind,
        inputs: tuple[int, ...],
        shape: Shape,
        span: Span,
        primitive: Primitive | None = None,
        in_shape: Shape = (),
    ) -> int:
        self.steps.append(Step(key, kind, inputs, shape, span, primitive, in_shape))
        return len(self.steps) - 1

    def operation(self, operation: Operation, entering: int, key: str) -> int:
        """Writes an operation on the value at ``entering``; the place of its result."""
        match operation:
            case PrimitiveOperation():
                if operation.primitive.name == "identity":
                    return entering
                made = operation.primitive
                shapes = operation.out_shape, operation.in_shape
                return self.add(key, "primitive", (entering,), shapes[0], operation.span, made, shapes[1])
            case ChainOperation():
                for index, part in enumerate(operation.parts):
                    entering = self.operation(part, entering, _join(key, part_name(part, index)))
                return entering
            case SumOperation():
                parts = tuple(
                    self.operation(part, entering, _join(key, part_name(part, index)))
                    for index, part in enumerate(operation.parts)
                )
                return self.add(_join(key, "sum"), "sum", parts, operation.out_shape, operation.span)
            case CellOperation():
                return self.cell(operation.cell, operation.choice, [entering], key)["out"]
        raise AssertionError(f"an operation of an unknown kind: {operation}")

    def cell(self, cell: Cell, choice: Choice, inputs: Sequence[int], prefix: str) -> dict[str, int]:
        """Writes a cell on the values at ``inputs``; where the value of each of its nodes is made."""
        place = dict(zip(cell.inputs, inputs, strict=True))
        for name in cell.order:
            if name in place:
                continue
            node = cell.nodes[name]
            if node.join is not None:
                operands = tuple(place[each] for each in node.operands)
                place[name] = self.add(_join(prefix, name), node.join, operands, node.shape, node.span)
                continue
            parts = []
            for edge in cell.entering[name]:
                for label, operation in cell.chosen(edge, choice):
                    key = _join(prefix, _join(edge.key, label))
                    parts.append(self.operation(operation, place[edge.source], key))
            if not parts:
                anything = place[cell.inputs[0]]
                place[name] = self.add(_join(prefix, name), "zeros", (anything,), node.shape, node.span)
            elif len(parts) == 1:
                place[name] = parts[0]
            else:
                place[name] = self.add(_join(prefix, name), "sum", tuple(parts), node.shape, node.span)
        return place


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name


def part_name(part: Operation, index: int) -> str:
    """The name of a part of a chain or sum: what it is and where it stands."""
    match part:
        case Operation(name=name) if name:
            pass
        case PrimitiveOperation():
            name = part.primitive.name
        case ChainOperation():
            name = "chain"
        case SumOperation():
            name = "sum"
        case _:
            name = "part"
    return f"{name}_{index}"
