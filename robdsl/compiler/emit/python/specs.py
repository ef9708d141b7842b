"""What a net is built of, as a person would see it: layers, chains, sums, and uses of named operations and cells.

The parts of the keys of weights are the names here, so that modules built from specs have the keys of compiled ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from robdsl.diagnostics.source import NOWHERE, Span
from robdsl.graph.cell import Cell, CellEdge
from robdsl.graph.flatten import part_name
from robdsl.graph.layout import Stage
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
from robdsl.graph.values import Value
from robdsl.syntax import nodes


@dataclass(frozen=True, eq=False)
class Layer:
    """A primitive; depthwise convolutions are convolutions here."""

    primitive: Primitive
    in_shape: Shape
    out_shape: Shape
    span: Span = NOWHERE

    @property
    def is_identity(self) -> bool:
        return self.primitive.name == "identity"


@dataclass(frozen=True, eq=False)
class Series:
    """Parts one after the other, under their names."""

    parts: tuple[tuple[str, Spec], ...]
    in_shape: Shape
    out_shape: Shape


@dataclass(frozen=True, eq=False)
class Parallel:
    """Parts summed, under their names."""

    parts: tuple[tuple[str, Spec], ...]
    in_shape: Shape
    out_shape: Shape


@dataclass(frozen=True, eq=False)
class Use:
    """An operation or cell that the text defines; ``span`` is where it is called."""

    instance: Instance
    span: Span = NOWHERE

    @property
    def in_shape(self) -> Shape:
        return self.instance.in_shapes[-1]

    @property
    def out_shape(self) -> Shape:
        return self.instance.out_shape


Spec = Layer | Series | Parallel | Use


@dataclass(frozen=True)
class GroupKey:
    """Which instances may become one class.

    Attributes:
        kind: ``op`` or ``cell``.
        form: for cells, what instances of one class have in common.
        definition: the identity of the definition, for files may define one name differently.
    """

    kind: str
    name: str
    definition: int
    form: object = None


@dataclass(eq=False)
class Instance:
    """A definition with its arguments, for inputs of given shapes."""

    key: GroupKey
    arguments: tuple[tuple[str, Value], ...]
    in_shapes: tuple[Shape, ...]
    out_shape: Shape

    @property
    def specs(self) -> Iterator[Spec]:
        """What it is built of."""
        raise AssertionError("every kind of instance knows")

    @cached_property
    def uses(self) -> tuple[Instance, ...]:
        """The definitions that it uses, not counting what they use."""
        return tuple(dict.fromkeys(each for spec in self.specs for each in used_by(spec)))

    @cached_property
    def height(self) -> int:
        """How deep definitions nest below it."""
        return 1 + max((each.height for each in self.uses), default=-1)


@dataclass(eq=False)
class OpInstance(Instance):
    """An `op`; ``text`` is how its body is written."""

    body: Spec = field(kw_only=True)
    text: str = field(kw_only=True)
    definition: nodes.OpDefinition = field(kw_only=True)

    @property
    def specs(self) -> Iterator[Spec]:
        yield self.body


@dataclass(eq=False)
class CellInstance(Instance):
    """A cell with a choice made.

    Attributes:
        closed: the operations of closed edges, by the edge's key.
        offered: what each open edge offers, by the edge's key: labels and specs (None for ``none``) in the order of the
            text. Only what is chosen has a spec where all cells of the group choose the same.
    """

    cell: Cell = field(kw_only=True)
    choice: Choice = field(kw_only=True)
    live: frozenset[str] = field(kw_only=True)
    closed: dict[str, Spec] = field(default_factory=dict)
    offered: dict[str, list[tuple[str, Spec | None]]] = field(default_factory=dict)

    @property
    def specs(self) -> Iterator[Spec]:
        yield from self.closed.values()
        for offers in self.offered.values():
            yield from (spec for _, spec in offers if spec is not None)

    def taken(self, edge: CellEdge) -> list[tuple[str, Spec]]:
        """What flows along an open edge: labels and specs."""
        assert edge.opens is not None
        offers = self.offered[edge.key]
        chosen = [offers[index] for index in self.choice[edge.opens]]
        return [(label, spec) for label, spec in chosen if spec is not None]


class Catalog:
    """Turns the operations of a net into specs and collects the definitions they use.

    Attributes:
        groups: the instances of each definition, in the order met.
        varied: the groups of cells that make more than one choice.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.groups: dict[GroupKey, list[Instance]] = {}
        self.varied = _varied(stages)
        self._specs: dict[int, Spec] = {}
        self._cells: dict[tuple[int, Choice], CellInstance] = {}
        self._kept: list[Operation] = []  # ids are keys only while what they stand for is there

    def spec(self, operation: Operation) -> Spec:
        """The spec of an operation; the same one for the same operation."""
        known = self._specs.get(id(operation))
        if known is None:
            known = self._specs[id(operation)] = self._spec(operation)
            self._kept.append(operation)
        return known

    def _spec(self, operation: Operation) -> Spec:
        if operation.name and not _is_cell(operation):
            where = NOWHERE if operation.call is None else operation.call.span
            return Use(self._operation(operation), where)
        match operation:
            case PrimitiveOperation():
                primitive = operation.primitive.normal(operation.in_shape)
                return Layer(primitive, operation.in_shape, operation.out_shape, operation.span)
            case ChainOperation():
                return Series(self._parts(operation.parts), operation.in_shape, operation.out_shape)
            case SumOperation():
                return Parallel(self._parts(operation.parts), operation.in_shape, operation.out_shape)
            case CellOperation():
                return Use(self._cell(operation.cell, operation.choice), operation.span)
        raise AssertionError(f"an operation of an unknown kind: {operation}")

    def _parts(self, parts: Sequence[Operation]) -> tuple[tuple[str, Spec], ...]:
        return tuple((part_name(part, index), self.spec(part)) for index, part in enumerate(parts))

    def _operation(self, operation: Operation) -> OpInstance:
        assert operation.definition is not None  # as of every operation with a name that is no cell's
        key = GroupKey("op", operation.name, id(operation.definition))
        unnamed = replace(operation, name=operation.cell.name if isinstance(operation, CellOperation) else "")
        body, text = self.spec(unnamed), operation.span.text
        instance = OpInstance(
            key,
            operation.arguments,
            (operation.in_shape,),
            operation.out_shape,
            body=body,
            text=text,
            definition=operation.definition,
        )
        self.groups.setdefault(key, []).append(instance)
        return instance

    def _cell(self, cell: Cell, choice: Choice) -> CellInstance:
        identity = (id(cell), choice)
        if identity not in self._cells:
            live = cell.live(choice)
            key = _cell_key(cell, live)
            instance = CellInstance(
                key, cell.arguments, cell.in_shapes, cell.out_shape, cell=cell, choice=choice, live=live
            )
            self._edges(instance)
            self.groups.setdefault(key, []).append(instance)
            self._cells[identity] = instance
        return self._cells[identity]

    def _edges(self, instance: CellInstance) -> None:
        for edge in instance.cell.edges:
            if edge.opens is None:
                operation = edge.alternatives[0]
                assert operation is not None
                instance.closed[edge.key] = self.spec(operation)
                continue
            chosen = instance.choice[edge.opens]
            instance.offered[edge.key] = [
                (
                    label,
                    self.spec(each) if each and (index in chosen or instance.key in self.varied) else None,
                )
                for index, (label, each) in enumerate(zip(edge.labels, edge.alternatives, strict=True))
            ]


def _is_cell(operation: Operation) -> bool:
    """Whether the name of an operation is that of its cell, and not of an `op` that stands for the cell."""
    return isinstance(operation, CellOperation) and operation.name == operation.cell.name


def used_by(spec: Spec) -> Iterator[Instance]:
    """The definitions that a spec uses, not counting what they use."""
    match spec:
        case Use():
            yield spec.instance
        case Series() | Parallel():
            for _, part in spec.parts:
                yield from used_by(part)


def _cell_key(cell: Cell, live: frozenset[str]) -> GroupKey:
    return GroupKey("cell", cell.name, id(cell.definition), _form(cell, live))


def _form(cell: Cell, live: frozenset[str]) -> object:
    """What the cells of one class have in common: nodes, joins, what is open, and which nodes the result needs."""
    joined = tuple((name, node.join, node.operands) for name, node in cell.nodes.items())
    opened = tuple(edge.key for edge in cell.edges if edge.opens is not None)
    return cell.inputs, joined, cell.order, opened, cell.opens, live


def _varied(stages: Sequence[Stage]) -> frozenset[GroupKey]:
    choices: dict[GroupKey, set[Choice]] = {}
    seen: set[tuple[int, Choice]] = set()
    for operation in _open_cells(stages):
        cell, choice = operation.cell, operation.choice
        if (id(cell), choice) not in seen:
            seen.add((id(cell), choice))
            key = _cell_key(cell, cell.live(choice))
            choices.setdefault(key, set()).add(choice)
    return frozenset(key for key, made in choices.items() if len(made) > 1)


def _open_cells(stages: Sequence[Stage]) -> Iterator[CellOperation]:
    """The cells that a pick closes; they stand in stages, never in cells."""
    pending: list[Operation] = [stage.operation for stage in stages]
    while pending:
        match pending.pop():
            case CellOperation(pick=int()) as operation:
                yield operation
            case ChainOperation(parts=parts) | SumOperation(parts=parts):
                pending.extend(parts)
