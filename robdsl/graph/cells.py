"""Elaborating a cell: from its statements to a DAG with shapes.

Nodes are worked out sources first, whatever the order of the statements; an expression that speaks of a node's
shape makes what it stands on wait for that node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, cast

import networkx as nx

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label
from robdsl.diagnostics.source import Span
from robdsl.graph.cell import Cell, CellEdge, CellNode, OpenEdge
from robdsl.graph.elaborate import Arguments, Elaborator, check_size
from robdsl.graph.names import is_open
from robdsl.graph.operations import Operation, PrimitiveOperation
from robdsl.graph.primitives import Primitive
from robdsl.graph.program import Bound, ProgramFile
from robdsl.graph.shapes import Shape, is_map, show
from robdsl.graph.structure import mentioned, node_order
from robdsl.graph.values import Fault, Poisoned, Scope, Value, boolean, evaluate, kind_of
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_expression, show_operation


@dataclass(frozen=True, eq=False)
class _Written:
    """One source and target of an edge statement."""

    source: str
    target: str
    statement: nodes.Edge


class CellBuilder:
    """Builds one `Cell`; mistakes are reported to the elaborator, as many as can be told apart."""

    def __init__(
        self, elaborator: Elaborator, bound: Bound, arguments: Arguments, in_shapes: tuple[Shape, ...]
    ) -> None:
        definition = bound.definition
        assert isinstance(definition, nodes.CellDefinition)
        self._elaborator, self._definition, self._file, self._arguments = (
            elaborator,
            definition,
            bound.file,
            arguments,
        )
        self._names = node_order(definition)
        self._index = {name: index for index, name in enumerate(self._names)}
        self._written = [
            _Written(source.name, target.name, each)
            for each in definition.body
            if isinstance(each, nodes.Edge)
            for source in each.sources
            for target in each.targets
        ]
        self._joins = {each.target.name: each for each in definition.body if isinstance(each, nodes.Join)}
        self._lets = {each.name.name: each for each in definition.body if isinstance(each, nodes.Let)}
        self._spans = dict(_first_mentions(definition))
        self._in_shapes = in_shapes
        self._shapes: dict[str, Shape] = {}
        self._values: dict[str, Value] = dict(arguments)
        self._edges: dict[int, CellEdge] = {}
        self._choices: dict[int, nodes.Choice] = {}

    def build(self) -> Cell:
        """The cell; raises `Poisoned` when something was wrong and has been reported."""
        inputs = next(each.names for each in self._definition.body if isinstance(each, nodes.Inputs))
        for ident, shape in zip(inputs, self._in_shapes, strict=True):
            self._shapes[ident.name] = shape
        order = self._order()
        poisoned = False
        for name in order:
            try:
                with self._elaborator.reporting():
                    self._settle(name)
            except Poisoned:
                poisoned = True
        for statement in self._definition.body:
            if isinstance(statement, nodes.Require):
                try:
                    with self._elaborator.reporting():
                        self._require(statement)
                except Poisoned:
                    poisoned = True
        if poisoned:
            raise Poisoned
        with self._elaborator.reporting():
            return self._cell(
                tuple(each.name for each in inputs), tuple(name for name in order if name in self._index)
            )

    # --- what waits for what

    def _order(self) -> list[str]:
        """Nodes and `let`s in an order in which each can be worked out."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self._names)
        for written in self._written:
            graph.add_edge(written.source, written.target)
        spoken: dict[str, nodes.Node] = {}
        for written in self._written:
            for name, at in self._spoken_of(written.statement.operation):
                graph.add_edge(name, written.target)
                spoken.setdefault(name, at)
        for target, join in self._joins.items():
            graph.add_edges_from((each.name, target) for each in join.operands)
        for name, let in self._lets.items():
            graph.add_node(name)
            for other, at in self._spoken_of(let.value):
                graph.add_edge(other, name)
                spoken.setdefault(other, at)
        try:
            place = {**{name: i for i, name in enumerate(self._lets)}, **self._index}
            return list(nx.lexicographical_topological_sort(graph, key=lambda name: (place[name], name)))
        except nx.NetworkXUnfeasible:
            circle = [each[0] for each in nx.find_cycle(graph)]
            name = next((each for each in circle if each in spoken), circle[0])
            at = spoken[name].span if name in spoken else self._definition.name.span
            self._elaborator.add(codes.CIRCULAR_VALUE.at(at, name=name))
            raise Poisoned from None

    def _spoken_of(self, node: nodes.Node | None) -> Iterator[tuple[str, nodes.Node]]:
        """The nodes and `let`s that the expressions below a tree speak of."""
        for each in () if node is None else nodes.walk(node):
            if isinstance(each, nodes.Attribute) and each.value.name != "in":
                yield each.value.name, each
            elif isinstance(each, nodes.Name) and each.name in self._lets:
                yield each.name, each

    # --- one node

    def _settle(self, name: str) -> None:
        """Works out a `let`, or the shape of a node and the edges into it."""
        if name in self._lets:
            self._values[name] = evaluate(self._lets[name].value, self._scope())
        elif name in self._joins:
            self._shapes[name] = self._join(self._joins[name])
        elif name not in self._shapes:
            self._shapes[name] = self._sum(name)

    def _scope(self) -> Scope:
        return Scope(self._values, self._shape_of, frozenset(self._names))

    def _shape_of(self, ident: nodes.Ident) -> Shape:
        return self._known(ident.name)

    def _known(self, name: str) -> Shape:
        if name not in self._shapes:
            raise Poisoned
        return self._shapes[name]

    def _sum(self, name: str) -> Shape:
        """The shape of a node that is the sum of its edges."""
        first: tuple[Shape, Span] | None = None
        failed = False
        into = [(place, each) for place, each in enumerate(self._written) if each.target == name]
        for place, written in into:
            try:
                with self._elaborator.reporting():
                    edge = self._edge(place, written)
                    if edge is None:
                        continue
                    span = self._operation_span(written.statement)
                    first = first or (edge.shape, span)
                    if edge.shape != first[0]:
                        raise Fault(
                            self._differ(f"the edges into `{name}` have values", first, (edge.shape, span))
                        )
            except Poisoned:
                failed = True
        if failed:
            raise Poisoned
        if first is None:
            raise Fault(codes.NO_EDGE_LEFT.at(into[0][1].statement.span, name=name))
        return first[0]

    @staticmethod
    def _operation_span(statement: nodes.Edge) -> Span:
        return statement.span if statement.operation is None else statement.operation.span

    def _differ(self, what: str, first: tuple[Shape, Span], second: tuple[Shape, Span]) -> Diagnostic:
        related = [] if first[1] == second[1] else [Label(first[1], f"this gives {show(first[0])}")]
        return codes.SHAPES_DIFFER.at(
            second[1],
            f"this gives {show(second[0])}",
            what=what,
            first=show(first[0]),
            second=show(second[0]),
            related=related,
        )

    def _edge(self, place: int, written: _Written) -> CellEdge | None:
        entering = self._known(written.source)
        operation = written.statement.operation
        alternatives: tuple[Operation | None, ...]
        if operation is None:
            identity = PrimitiveOperation(
                entering, entering, written.statement.span, primitive=Primitive("identity")
            )
            alternatives = (identity,)
        elif is_open(operation, self._file) is not None:
            alternatives = self._alternatives(place, operation, entering)
        else:
            alternatives = (self._elaborator.operation(operation, self._scope(), self._file, entering),)
            if alternatives[0] is None:
                return None
        shape = next(each.out_shape for each in alternatives if each is not None)
        edge = CellEdge(written.source, written.target, alternatives, shape, written.statement.span, "")
        self._edges[place] = edge
        return edge

    def _alternatives(self, place: int, operation: nodes.Op, entering: Shape) -> tuple[Operation | None, ...]:
        """What an open edge offers, all of one shape."""
        choice, scope, file = self._choice(operation, entering)
        self._choices[place] = choice
        made: list[Operation | None] = []
        first: tuple[Shape, Span] | None = None
        for alternative in choice.alternatives:
            each = self._elaborator.operation(alternative, scope, file, entering)
            made.append(each)
            if each is None:
                continue
            first = first or (each.out_shape, alternative.span)
            if each.out_shape != first[0]:
                raise Fault(
                    codes.ALTERNATIVES_DIFFER.at(
                        alternative.span, f"this gives {show(each.out_shape)}", first=show(first[0]), second=show(each.out_shape),
                        related=[Label(first[1], f"this gives {show(first[0])}")],
                    )
                )  # fmt: skip
        return tuple(made)

    def _choice(self, operation: nodes.Op, entering: Shape) -> tuple[nodes.Choice, Scope, ProgramFile]:
        """The choice that an edge is, through the `op`s that stand for it, and what names mean in it."""
        scope, file = replace(self._scope(), entering=entering), self._file
        while isinstance(operation, nodes.Call):
            bound = file.scope[operation.callee.name]
            assert isinstance(bound.definition, nodes.OpDefinition)
            if not self._elaborator.sound(bound):
                raise Poisoned
            arguments = self._elaborator.bind(operation, bound.definition.parameters, scope)
            operation, scope, file = (
                bound.definition.body,
                Scope(dict(arguments), entering=entering),
                bound.file,
            )
        assert isinstance(operation, nodes.Choice)
        return operation, scope, file

    # --- joins

    def _join(self, join: nodes.Join) -> Shape:
        shapes = [self._known(each.name) for each in join.operands]
        match join.kind.name:
            case "concat":
                for ident, shape in zip(join.operands, shapes, strict=True):
                    if shape[1:] != shapes[0][1:] or is_map(shape) != is_map(shapes[0]):
                        raise Fault(self._joined("`concat` of values", join, shapes, ident, shape))
                return (sum(shape[0] for shape in shapes), *shapes[0][1:])
            case "mul":
                whole = max(shapes, key=lambda shape: (len(shape), shape[1:]))
                for ident, shape in zip(join.operands, shapes, strict=True):
                    if shape != whole and shape != (whole[0], 1, 1):
                        raise Fault(self._joined("`mul` of values", join, [whole], ident, shape))
                return whole
            case _:
                for ident, shape in zip(join.operands, shapes, strict=True):
                    if shape != shapes[0]:
                        raise Fault(self._joined("`sum` of values", join, shapes, ident, shape))
                return shapes[0]

    def _joined(
        self, what: str, join: nodes.Join, shapes: list[Shape], ident: nodes.Ident, shape: Shape
    ) -> Diagnostic:
        return codes.SHAPES_DIFFER.at(
            ident.span, f"`{ident}` is {show(shape)}", what=what, first=show(shapes[0]), second=show(shape),
            help=f"`{join.operands[0]}` is {show(self._known(join.operands[0].name))}",
        )  # fmt: skip

    # --- rules

    def _require(self, require: nodes.Require) -> None:
        scope = self._scope()
        if not boolean(require.condition, scope, "a requirement"):
            raise Fault(codes.REQUIRE_BROKEN.at(require.span, spoken_values(require.condition, scope)))

    # --- the whole

    def _cell(self, inputs: tuple[str, ...], order: tuple[str, ...]) -> Cell:
        cell_nodes = {}
        for index, name in enumerate(self._names):
            join = self._joins.get(name)
            cell_nodes[name] = CellNode(
                name,
                index,
                self._shapes[name],
                self._spans[name],
                name in inputs,
                cast(Literal["concat", "sum", "mul"], join.kind.name) if join else None,
                tuple(each.name for each in join.operands) if join else (),
            )
        edges, opens = self._keyed()
        cell = Cell(
            self._definition.name.name,
            self._arguments,
            self._definition.span,
            inputs,
            cell_nodes,
            edges,
            order,
            opens,
        )
        check_size(cell.most, self._definition.name.span)
        return cell

    def _keyed(self) -> tuple[tuple[CellEdge, ...], tuple[OpenEdge, ...]]:
        """The edges with their names, and the open ones in the order of alpha."""
        alpha = sorted(
            self._choices,
            key=lambda place: (
                self._index[self._written[place].target],
                self._index[self._written[place].source],
                place,
            ),
        )
        position = {place: index for index, place in enumerate(alpha)}
        seen: Counter[str] = Counter()
        edges = []
        for place in range(len(self._written)):
            written = self._written[place]
            key = f"{written.source}_to_{written.target}"
            seen[key] += 1
            if place not in self._edges:
                continue  # a closed `none`
            key = key if seen[key] == 1 else f"{key}_{seen[key]}"
            labels = labels_of(self._choices[place]) if place in self._choices else ("",)
            edges.append(replace(self._edges[place], key=key, labels=labels, opens=position.get(place)))
        return tuple(edges), tuple(self._open(place) for place in alpha)

    def _open(self, place: int) -> OpenEdge:
        written, choice = self._written[place], self._choices[place]
        empty = next(
            (i for i, each in enumerate(choice.alternatives) if isinstance(each, nodes.Nothing)), None
        )
        direct = self._index[written.target] == self._index[written.source] + 1
        return OpenEdge(written.source, written.target, choice.kind, names_of(choice), empty, direct)


def names_of(choice: nodes.Choice) -> tuple[str, ...]:
    """What the alternatives are called in a long-form choice: by name, else token for token."""
    called = Counter(each.callee.name for each in choice.alternatives if isinstance(each, nodes.Call))
    return tuple(
        each.callee.name
        if isinstance(each, nodes.Call) and called[each.callee.name] == 1
        else show_operation(each)
        for each in choice.alternatives
    )


def labels_of(choice: nodes.Choice) -> tuple[str, ...]:
    """Names for the alternatives in weights' keys, the same whatever is chosen."""
    called = Counter(each.callee.name for each in choice.alternatives if isinstance(each, nodes.Call))
    return tuple(
        each.callee.name
        if isinstance(each, nodes.Call) and called[each.callee.name] == 1
        else f"alternative_{index}"
        for index, each in enumerate(choice.alternatives)
    )


def spoken_values(condition: nodes.Expr, scope: Scope) -> str:
    """``width = 35, x.channels = 3``: the values of all that a condition speaks of."""
    said: dict[str, str] = {}
    for each in nodes.walk(condition):
        if isinstance(each, nodes.Attribute | nodes.Measure) or (isinstance(each, nodes.Name)):
            try:
                value = evaluate(each, scope)
            except (Fault, Poisoned):
                continue
            text = show_expression(each)
            if kind_of(value) != f"the word `{text}`":
                said.setdefault(
                    text, f"{text} = {value}" if not isinstance(value, float) else f"{text} = {value:.6g}"
                )
    return ", ".join(said.values())


def _first_mentions(definition: nodes.CellDefinition) -> Iterator[tuple[str, Span]]:
    seen = set()
    for statement in definition.body:
        for ident in mentioned(statement):
            if ident.name not in seen:
                seen.add(ident.name)
                yield ident.name, ident.span
