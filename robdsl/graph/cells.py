"""Elaborating a cell: from its statements to a DAG with shapes.

Nodes are worked out sources first, whatever the order of the statements; an expression that speaks of a
node's shape makes what it stands on wait for that node.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal, cast

import networkx as nx

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label
from robdsl.diagnostics.source import Span
from robdsl.graph.cell import Cell, CellEdge, CellNode
from robdsl.graph.cell_form import first_mentions
from robdsl.graph.edges import WrittenEdge, open_edges, written_edges
from robdsl.graph.elaborate import Elaborator, check_size, differing
from robdsl.graph.names import inputs_of
from robdsl.graph.operations import Operation, PrimitiveOperation
from robdsl.graph.primitives import Primitive
from robdsl.graph.program import Bound, ProgramFile
from robdsl.graph.reporter import Arguments
from robdsl.graph.shapes import Shape, is_map, show
from robdsl.graph.values import Fault, Poisoned, Scope, Value, boolean, evaluate, spoken_values
from robdsl.syntax import nodes


class CellBuilder:
    """Builds one `Cell`; mistakes are reported to the elaborator, as many as can be told apart."""

    def __init__(
        self, elaborator: Elaborator, bound: Bound, arguments: Arguments, in_shapes: tuple[Shape, ...]
    ) -> None:
        definition = bound.definition
        assert isinstance(definition, nodes.CellDefinition)
        self._elaborator, self._bound, self._definition = elaborator, bound, definition
        self._arguments = arguments
        self._first = first_mentions(definition)
        self._written = written_edges(bound)
        self._into: dict[str, list[WrittenEdge]] = {name: [] for name in self._first}
        for each in self._written:
            self._into[each.target].append(each)
        self._joins = {each.target.name: each for each in definition.body if isinstance(each, nodes.Join)}
        self._lets = {each.name.name: each for each in definition.body if isinstance(each, nodes.Let)}
        self._shapes: dict[str, Shape] = dict(zip(inputs_of(bound), in_shapes, strict=True))
        self._values: dict[str, Value] = dict(arguments)
        self._unknown: set[str] = set()
        self._edges: dict[WrittenEdge, CellEdge] = {}

    def build(self) -> Cell:
        """The cell; raises `Poisoned` when something was wrong and has been reported."""
        with self._elaborator.reporting():
            self._elaborator.work(self._definition.name.span, len(self._first) + len(self._written))
        order = self._order()
        poisoned = False
        for name in order:
            try:
                with self._elaborator.reporting():
                    self._settle(name)
            except Poisoned:
                self._unknown.add(name)
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
            return self._cell(tuple(name for name in order if name in self._first))

    # --- what waits for what

    def _order(self) -> list[str]:
        """Nodes and `let`s in an order in which each can be worked out."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self._first)
        graph.add_nodes_from(self._lets)
        spoken: dict[str, Span] = {}
        for statement in self._definition.body:
            match statement:
                case nodes.Edge(sources=sources, targets=targets, operation=operation):
                    graph.add_edges_from((s.name, t.name) for s in sources for t in targets)
                    for name, span in self._spoken_of(operation):
                        graph.add_edges_from((name, target.name) for target in targets)
                        spoken.setdefault(name, span)
                case nodes.Join(target=target, operands=operands):
                    graph.add_edges_from((each.name, target.name) for each in operands)
                case nodes.Let(name=ident, value=value):
                    for name, span in self._spoken_of(value):
                        graph.add_edge(name, ident.name)
                        spoken.setdefault(name, span)
        place = {name: index for index, name in enumerate([*self._lets, *self._first])}
        try:
            return list(nx.lexicographical_topological_sort(graph, key=lambda name: place[name]))
        except nx.NetworkXUnfeasible:
            circle = [each[0] for each in nx.find_cycle(graph)]
            name = next((each for each in circle if each in spoken), circle[0])
            self._elaborator.add(
                codes.CIRCULAR_VALUE.at(spoken.get(name, self._definition.name.span), name=name)
            )
            raise Poisoned from None

    def _spoken_of(self, node: nodes.Node | None) -> Iterator[tuple[str, Span]]:
        """The nodes and `let`s that the expressions below a tree speak of, each once."""
        seen: set[str] = set()
        for each in () if node is None else nodes.walk(node):
            match each:
                case nodes.Attribute(value=nodes.Ident(name=name)) if name in self._first:
                    pass
                case nodes.Name(name=name) if name in self._lets:
                    pass
                case _:
                    continue
            if name not in seen:
                seen.add(name)
                yield name, each.span

    # --- one node

    def _settle(self, name: str) -> None:
        """Works out a `let`, or the shape of a node and the edges into it."""
        if name in self._lets:
            self._values[name] = evaluate(self._lets[name].value, self._scope())
        elif name in self._joins:
            self._shapes[name] = self._join(self._joins[name])
        elif name not in self._shapes:
            self._shapes[name] = self._sum(name)

    def _scope(self, entering: Shape | None = None) -> Scope:
        return Scope(self._values, self._unknown, self._shape_of, self._first.keys(), entering)

    def _shape_of(self, ident: nodes.Ident) -> Shape:
        return self._known(ident.name)

    def _known(self, name: str) -> Shape:
        if name not in self._shapes:
            raise Poisoned
        return self._shapes[name]

    def _sum(self, name: str) -> Shape:
        """The shape of a node that is the sum of its edges."""
        first: tuple[Span, Shape] | None = None
        failed = False
        for written in self._into[name]:
            if self._elaborator.spent:
                raise Poisoned
            try:
                with self._elaborator.reporting():
                    edge = self._edge(written)
                    if edge is None:
                        continue
                    statement = written.statement
                    span = statement.span if statement.operation is None else statement.operation.span
                    first = first or (span, edge.shape)
                    if edge.shape != first[1]:
                        raise Fault(
                            differing(f"the edges into `{name}` have values", *first, span, edge.shape)
                        )
            except Poisoned:
                failed = True
        if failed:
            raise Poisoned
        if first is None:
            raise Fault(codes.NO_EDGE_LEFT.at(self._into[name][0].statement.span, name=name))
        return first[1]

    def _edge(self, written: WrittenEdge) -> CellEdge | None:
        """The edge with its operations; None for a closed `none`."""
        entering, statement = self._known(written.source), written.statement
        alternatives: tuple[Operation | None, ...]
        if written.choice is not None:
            alternatives = self._alternatives(written, entering)
        elif statement.operation is None:
            identity = Primitive("identity")
            alternatives = (PrimitiveOperation(entering, entering, statement.span, primitive=identity),)
        else:
            scope, file = self._scope(entering), self._bound.file
            alternatives = (self._elaborator.operation(statement.operation, scope, file, entering),)
            if alternatives[0] is None:
                return None
        shape = next(each.out_shape for each in alternatives if each is not None)
        edge = CellEdge(
            written.source,
            written.target,
            alternatives,
            shape,
            statement.span,
            written.key,
            written.opens,
            written.labels,
        )
        self._edges[written] = edge
        return edge

    def _alternatives(self, written: WrittenEdge, entering: Shape) -> tuple[Operation | None, ...]:
        """What an open edge offers, all of one shape."""
        assert written.choice is not None and written.statement.operation is not None
        scope, file = self._inside_choice(written.statement.operation, entering)
        alternatives = written.choice.alternatives
        made = self._elaborator.each(
            partial(self._elaborator.operation, each, scope, file, entering) for each in alternatives
        )
        first: tuple[Shape, Span] | None = None
        for alternative, each in zip(alternatives, made, strict=True):
            if each is None:
                if not isinstance(alternative, nodes.Nothing):
                    raise Fault(codes.MISPLACED_NONE.at(alternative.span, "this turns out to be `none`"))
                continue
            first = first or (each.out_shape, alternative.span)
            if each.out_shape != first[0]:
                raise Fault(
                    codes.ALTERNATIVES_DIFFER.at(
                        alternative.span,
                        f"this gives {show(each.out_shape)}",
                        related=[Label(first[1], f"this gives {show(first[0])}")],
                        first=show(first[0]),
                        second=show(each.out_shape),
                    )
                )
        return made

    def _inside_choice(self, operation: nodes.Op, entering: Shape) -> tuple[Scope, ProgramFile]:
        """What names mean in the choice that an edge is, itself or through the `op`s that stand for it."""
        scope, file = self._scope(entering), self._bound.file
        while isinstance(operation, nodes.Call):
            bound = file.scope[operation.callee.name]
            assert isinstance(bound.definition, nodes.OpDefinition)
            if not self._elaborator.sound(bound):
                raise Poisoned
            arguments = self._elaborator.bind(operation, bound.definition.parameters, scope)
            operation, file = bound.definition.body, bound.file
            scope = Scope(dict(arguments), entering=entering)
        return scope, file

    # --- joins

    def _join(self, join: nodes.Join) -> Shape:
        shapes = [self._known(each.name) for each in join.operands]
        match join.kind.name:
            case "concat":
                for ident, shape in zip(join.operands, shapes, strict=True):
                    if shape[1:] != shapes[0][1:] or is_map(shape) != is_map(shapes[0]):
                        raise Fault(_joined(join, join.operands[0], shapes[0], ident, shape))
                return (sum(shape[0] for shape in shapes), *shapes[0][1:])
            case "mul":
                place = max(range(len(shapes)), key=lambda each: (len(shapes[each]), shapes[each][1:]))
                whole = shapes[place]
                for ident, shape in zip(join.operands, shapes, strict=True):
                    if shape != whole and shape != (whole[0], 1, 1):
                        raise Fault(_joined(join, join.operands[place], whole, ident, shape))
                return whole
        for ident, shape in zip(join.operands, shapes, strict=True):
            if shape != shapes[0]:
                raise Fault(_joined(join, join.operands[0], shapes[0], ident, shape))
        return shapes[0]

    # --- rules

    def _require(self, require: nodes.Require) -> None:
        scope = self._scope()
        if not boolean(require.condition, scope, "a requirement"):
            raise Fault(codes.REQUIRE_BROKEN.at(require.span, spoken_values(require.condition, scope)))

    # --- the whole

    def _cell(self, order: tuple[str, ...]) -> Cell:
        inputs = inputs_of(self._bound)
        cell_nodes = {}
        for index, (name, ident) in enumerate(self._first.items()):
            join = self._joins.get(name)
            cell_nodes[name] = CellNode(
                name,
                index,
                self._shapes[name],
                ident.span,
                name in inputs,
                cast(Literal["concat", "sum", "mul"], join.kind.name) if join else None,
                tuple(each.name for each in join.operands) if join else (),
            )
        cell = Cell(
            self._definition.name.name,
            self._arguments,
            self._definition,
            inputs,
            cell_nodes,
            tuple(self._edges[each] for each in self._written if each in self._edges),
            order,
            open_edges(self._bound),
        )
        check_size(cell.most, self._definition.name.span)
        return cell


def _joined(
    join: nodes.Join, first: nodes.Ident, first_shape: Shape, ident: nodes.Ident, shape: Shape
) -> Diagnostic:
    """The mistake of an operand that does not go with another."""
    return codes.SHAPES_DIFFER.at(
        ident.span,
        f"`{ident}` is {show(shape)}",
        related=[Label(first.span, f"`{first}` is {show(first_shape)}")],
        what=f"a `{join.kind}` of values",
        first=show(first_shape),
        second=show(shape),
    )
