"""The form of cells: inputs, nodes, joins and edges fit together; expressions speak of what is above them."""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, did_you_mean
from robdsl.graph.names import NameChecker, Place
from robdsl.syntax import nodes

#: How many edges one cell may have.
MAX_EDGES = 20_000

JOINS = ("concat", "sum", "mul")


def mentioned(statement: nodes.Node) -> Iterator[nodes.Ident]:
    """The nodes that a statement of a cell mentions, left to right; names in expressions do not count."""
    match statement:
        case nodes.Inputs():
            yield from statement.names
        case nodes.Edge():
            yield from statement.sources
            yield from statement.targets
        case nodes.Join():
            yield statement.target
            yield from statement.operands


def first_mentions(cell: nodes.CellDefinition) -> dict[str, nodes.Ident]:
    """The nodes of a cell in node order: by first mention, the inputs first."""
    inputs = [each for each in cell.body if isinstance(each, nodes.Inputs)]
    rest = [each for each in cell.body if not isinstance(each, nodes.Inputs)]
    first: dict[str, nodes.Ident] = {}
    for statement in (*inputs, *rest):
        for ident in mentioned(statement):
            first.setdefault(ident.name, ident)
    return first


class CellForm:
    """Checks one cell; names in operations and expressions are the checker's business."""

    def __init__(self, cell: nodes.CellDefinition, checker: NameChecker) -> None:
        self._cell, self._checker = cell, checker
        self._first = first_mentions(cell)
        self._inputs = {
            ident.name: ident for each in cell.body if isinstance(each, nodes.Inputs) for ident in each.names
        }

    def check(self) -> Iterator[Diagnostic]:
        """What is wrong."""
        yield from self._names()
        self._checker.node_names = self._first.keys()
        self._checker.values |= {each.name.name for each in self._cell.body if isinstance(each, nodes.Let)}
        yield from self._input_statements()
        yield from self._targets()
        yield from self._too_early()
        for statement in self._cell.body:
            match statement:
                case nodes.Edge(operation=operation) if operation is not None:
                    self._checker.operation(operation, Place.EDGE)
                case nodes.Join(kind=kind) if kind.name not in JOINS:
                    help = did_you_mean(kind.name, JOINS) or "joins are `concat`, `sum` and `mul`"
                    yield codes.UNKNOWN_JOIN.at(kind.span, name=kind, help=help)
                case nodes.Let(value=expression) | nodes.Require(condition=expression):
                    self._checker.expression(expression, inside=False)
        yield from self._graph()

    # --- names

    def _names(self) -> Iterator[Diagnostic]:
        """Parameters, nodes and `let`s have names of their own."""
        taken = {each.name.name: (each.name, "a parameter") for each in self._cell.parameters}
        named = [(ident, "a node") for ident in self._first.values()]
        named += [(each.name, "a `let`") for each in self._cell.body if isinstance(each, nodes.Let)]
        for ident, what in named:
            if ident.name in taken:
                first, kind = taken[ident.name]
                yield codes.NAME_TAKEN.at(
                    ident.span, related=[Label(first.span, kind)], name=ident, what=kind
                )
            taken.setdefault(ident.name, (ident, what))

    def _too_early(self) -> Iterator[Diagnostic]:
        """What an expression speaks of is settled above it."""
        last: dict[str, tuple[int, nodes.Ident]] = {}
        for index, statement in enumerate(self._cell.body):
            match statement:
                case nodes.Edge(targets=targets):
                    last.update((target.name, (index, target)) for target in targets)
                case nodes.Join(target=target):
                    last[target.name] = (index, target)
                case nodes.Let(name=ident):
                    last[ident.name] = (index, ident)
        for index, statement in enumerate(self._cell.body):
            for each in nodes.walk(statement):
                match each:
                    case nodes.Attribute(value=nodes.Ident(name=name)) | nodes.Name(name=name):
                        pass
                    case _:
                        continue
                if name in last and last[name][0] >= index and name not in self._inputs:
                    what = "an edge goes there" if isinstance(each, nodes.Attribute) else "it is named here"
                    related = [Label(last[name][1].span, what)]
                    yield codes.TOO_EARLY.at(each.span, related=related, name=name)

    # --- inputs, joins and edges

    def _input_statements(self) -> Iterator[Diagnostic]:
        statements = [each for each in self._cell.body if isinstance(each, nodes.Inputs)]
        if not statements:
            yield codes.NO_INPUTS.at(self._cell.name.span, name=self._cell.name, help="begin it with `in x`")
        for second in statements[1:]:
            related = [Label(statements[0].span, "the first is here")]
            yield codes.SECOND_INPUTS.at(second.span, related=related, name=self._cell.name)
        seen: dict[str, nodes.Ident] = {}
        for ident in (ident for each in statements for ident in each.names):
            if ident.name in seen:
                related = [Label(seen[ident.name].span, "an input")]
                yield codes.NAME_TAKEN.at(ident.span, related=related, name=ident, what="an input")
            seen.setdefault(ident.name, ident)

    def _targets(self) -> Iterator[Diagnostic]:
        """An input takes no edge; a joined node takes no edge and is joined once."""
        joined: dict[str, nodes.Ident] = {}
        for statement in self._cell.body:
            if isinstance(statement, nodes.Join):
                joined.setdefault(statement.target.name, statement.target)
        for statement in self._cell.body:
            match statement:
                case nodes.Edge(targets=targets):
                    pass
                case nodes.Join(target=target):
                    targets = (target,)
                case _:
                    continue
            for target in targets:
                if target.name in self._inputs:
                    related = [Label(self._inputs[target.name].span, "the input")]
                    yield codes.INPUT_TAKES_EDGE.at(target.span, related=related, name=target)
                elif target.name in joined and target is not joined[target.name]:
                    related = [Label(joined[target.name].span, "joined here")]
                    yield codes.JOINED_NODE.at(target.span, related=related, name=target)

    def _graph(self) -> Iterator[Diagnostic]:
        """Every node has a value, ``out`` is there and reached, and there is no cycle."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self._first)
        edges = 0
        for statement in self._cell.body:
            if isinstance(statement, nodes.Edge):
                edges += len(statement.sources) * len(statement.targets)
                if edges > MAX_EDGES:
                    bound = f"{MAX_EDGES:,}"
                    yield codes.TOO_MANY_EDGES.at(statement.span, name=self._cell.name, bound=bound)
                    return
                targets = [each for each in statement.targets if each.name not in self._inputs]
                graph.add_edges_from((s.name, t.name) for s in statement.sources for t in targets)
            elif isinstance(statement, nodes.Join) and statement.target.name not in self._inputs:
                graph.add_edges_from((each.name, statement.target.name) for each in statement.operands)
        hanging = False
        for name, ident in self._first.items():
            if name not in self._inputs and graph.in_degree(name) == 0:
                hanging = True
                near = did_you_mean(name, [each for each in self._first if each != name])
                yield codes.NO_EDGE.at(ident.span, name=name, help=near)
        if "out" not in graph:
            help = "write `... -> out` or `out = concat(...)`"
            yield codes.NO_OUT.at(self._cell.name.span, name=self._cell.name, help=help)
            return
        try:
            yield self._cycle([each[0] for each in nx.find_cycle(graph)])
        except nx.NetworkXNoCycle:
            reaching = nx.ancestors(graph, "out") | {"out"}
            for name, ident in self._first.items():
                if name not in reaching and not hanging:  # what hangs in the air may be what should reach it
                    yield codes.DEAD_NODE.at(ident.span, name=name)

    def _cycle(self, cycle: list[str]) -> Diagnostic:
        """The cycle, as it reads from its first node on, with the statement that closes it."""
        order = {name: index for index, name in enumerate(self._first)}
        start = min(range(len(cycle)), key=lambda place: order[cycle[place]])
        path = [*cycle[start:], *cycle[:start], cycle[start]]
        closing = next(each for each in self._cell.body if _leads(each, path[-2], path[-1]))
        shown = [*path[:10], "...", path[-1]] if len(path) > 12 else path
        return codes.CYCLE.at(closing.span, name=self._cell.name, path=" -> ".join(shown))


def _leads(statement: nodes.Node, source: str, target: str) -> bool:
    """Whether a statement leads from one node to another."""
    match statement:
        case nodes.Edge(sources=sources, targets=targets):
            return source in map(str, sources) and target in map(str, targets)
        case nodes.Join(target=joined, operands=operands):
            return target == joined.name and source in map(str, operands)
    return False
