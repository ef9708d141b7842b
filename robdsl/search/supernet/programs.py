"""Operations as programs over the modules of a supernet: what flows along an edge, and what an open cell makes of it.

They compute what the plain compiled operations compute, in the same order, and as the compiler's train-safe passes would
have it (docs/passes.md): one ReLU and one crop for all edges that read a value (`common`), a sum as soon as its operands
are there (`early`), ReLUs and sums written over what nothing else needs (`in-place`).
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor, nn

from robdsl.compiler.modules import Crop, add_into, zeros
from robdsl.compiler.names import module_path
from robdsl.compiler.passes.facts import FRESH
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
    """Modules one after the other, on the last value given; none for an identity.

    Attributes:
        places: where they are.
        over: for each, whether it is a ReLU whose operand nothing else needs.
        fresh: whether the result is neither what was given nor kept by autograd, so that it may be written over.
    """

    places: tuple[Place, ...]
    over: tuple[bool, ...] = field(init=False)
    fresh: bool = field(init=False)

    def __post_init__(self) -> None:
        made = [isinstance(each.module, FRESH) for each in self.places]
        self.over = tuple(
            _is_relu(place) and before for place, before in zip(self.places, [False, *made], strict=False)
        )
        self.fresh = bool(made) and made[-1]

    def __call__(self, *inputs: Tensor) -> Tensor:
        value = inputs[-1]
        for place, over in zip(self.places, self.over, strict=True):
            value = torch.relu_(value) if over else place.module(value)
        return value

    def modules(self) -> Iterator[nn.Module]:
        return (place.module for place, over in zip(self.places, self.over, strict=True) if not over)


@dataclass(eq=False, slots=True)
class Branching:
    """A closed operation whose values part and meet, such as a factorized reduction.

    Attributes:
        steps: after the values given, how each value comes from earlier ones; with the module, where there is one.
        output: the place of the result.
        given: how many values it is given.
    """

    steps: tuple[tuple[str, tuple[int, ...], Shape, Place | None], ...]
    output: int
    given: int = 1
    fresh: bool = field(default=False, init=False)

    def __call__(self, *inputs: Tensor, crops: dict[int, Tensor] | None = None) -> Tensor:
        """What comes of the values given; ``crops`` are known ones of the last of these, by size, and is added to."""
        values = list(inputs)
        for kind, sources, shape, place in self.steps:
            if place is not None:
                module = place.module
                if crops is not None and type(module) is Crop and sources == (self.given - 1,):
                    if module.n not in crops:
                        crops[module.n] = module(values[sources[0]])
                    values.append(crops[module.n])
                else:
                    values.append(module(values[sources[0]]))
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

    @property
    def rectified_only(self) -> bool:
        """Whether all that it needs of a value is its ReLU."""
        if self.relu is None or isinstance(self.rest, Straight):
            return self.relu is not None
        return self.rest.output != 0 and not any(0 in sources for _, sources, *_ in self.rest.steps)


@dataclass(eq=False, slots=True)
class OpenCell:
    """A cell whose open edges are closed again and again.

    Attributes:
        alternatives: for each edge what may flow along it.
        plan: what is chosen now.
    """

    alternatives: tuple[tuple[Alternative, ...], ...]
    plan: CellPlan
    _seen: CellPlan | None = field(default=None, init=False)
    _over: frozenset[int] = field(default=frozenset(), init=False)

    def __call__(self, *inputs: Tensor) -> Tensor:
        if self._seen is not self.plan:
            self._seen, self._over = self.plan, self._written_over()
        values: list[Tensor | None] = list(inputs)
        rectified: dict[int, Tensor] = {}
        crops: dict[int, dict[int, Tensor]] = {}
        for node in self.plan.nodes:
            operands: list[Tensor] = [values[each] for each in node.sources]  # type: ignore[misc]  # not spent yet
            if node.kind == "edges":
                total: Tensor | None = None
                fresh = False
                for source, operand, (edge, index) in zip(node.sources, operands, node.edges, strict=True):
                    alternative = self.alternatives[edge][index]
                    rest = alternative.rest
                    if alternative.relu is None:
                        flowed = rest(operand)
                    else:
                        if source not in rectified:
                            over = source in self._over
                            rectified[source] = (
                                torch.relu_(operand) if over else alternative.relu.module(operand)
                            )
                        if isinstance(rest, Straight):
                            flowed = rest(rectified[source])
                        else:
                            flowed = rest(operand, rectified[source], crops=crops.setdefault(source, {}))
                    if total is None:
                        total, fresh = flowed, rest.fresh
                    elif fresh:
                        total = add_into(total, flowed)
                    else:
                        total, fresh = add_into(flowed, total) if rest.fresh else total + flowed, True
                values.append(total)
            else:
                values.append(_joined(node.kind, operands, node.shape))
            for spent in node.spent:
                values[spent] = None
                rectified.pop(spent, None)
                crops.pop(spent, None)
        result = values[self.plan.output]
        assert result is not None
        return result

    def _written_over(self) -> frozenset[int]:
        """The places of values that nothing needs but their ReLU, and that neither autograd nor another value keeps."""
        fresh, needed = set(), {self.plan.output}
        for place, node in enumerate(self.plan.nodes, self.plan.arity):
            if node.kind != "edges":
                needed.update(node.sources)
                continue
            flowing = [self.alternatives[edge][index] for edge, index in node.edges]
            needed.update(
                source for source, each in zip(node.sources, flowing, strict=True) if not each.rectified_only
            )
            if len(flowing) > 1 or flowing[0].rest.fresh:
                fresh.add(place)
        return frozenset(fresh - needed)

    def modules(self) -> Iterator[nn.Module]:
        rectified = set(self._written_over())
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
        return Alternative(program.steps[0][3], Branching(program.steps[1:], program.output, given=2))
    return Alternative(None, program)


def _is_relu(place: Place | None) -> bool:
    return place is not None and type(place.module) is nn.ReLU


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key and name else key or name
