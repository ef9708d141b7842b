"""What can be said of definitions without computing anything: the form of cells, nets and spaces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, did_you_mean
from robdsl.diagnostics.source import Span
from robdsl.graph.names import NameChecker, Place, is_open_cell, parameters_of
from robdsl.graph.program import Bound, ProgramFile
from robdsl.syntax import nodes

#: How many edges one cell may have.
MAX_EDGES = 20_000

JOINS = ("concat", "sum", "mul")


def check_definition(bound: Bound) -> tuple[Diagnostic, ...]:
    """What is wrong with one definition, before anything is computed from it."""
    match bound.definition:
        case nodes.OpDefinition():
            return tuple(_check_op(bound.definition, bound.file))
        case nodes.CellDefinition():
            return tuple(_CellCheck(bound.definition, bound.file).run())
        case nodes.NetDefinition():
            return tuple(_NetCheck(bound).run())


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


def node_order(cell: nodes.CellDefinition) -> tuple[str, ...]:
    """The nodes of a cell by first mention, the inputs first."""
    inputs = [each for each in cell.body if isinstance(each, nodes.Inputs)]
    rest = [each for each in cell.body if not isinstance(each, nodes.Inputs)]
    return tuple(dict.fromkeys(ident.name for each in (*inputs, *rest) for ident in mentioned(each)))


def _check_op(op: nodes.OpDefinition, file: ProgramFile) -> Iterator[Diagnostic]:
    checker = NameChecker(file)
    yield from _parameters(op.parameters, checker, inside=True)
    checker.operation(op.body, Place.OP)
    yield from checker.found


def _parameters(
    parameters: tuple[nodes.Parameter, ...], checker: NameChecker, *, inside: bool
) -> Iterator[Diagnostic]:
    first: dict[str, nodes.Parameter] = {}
    for each in parameters:
        if each.default is not None:
            checker.expression(each.default, inside=inside)
        if each.name.name in first:
            related = [Label(first[each.name.name].span, "first here")]
            yield codes.NAME_TAKEN.at(each.name.span, related=related, name=each.name, what="a parameter")
        first.setdefault(each.name.name, each)
    checker.values.update(first)


@dataclass
class _CellCheck:
    cell: nodes.CellDefinition
    file: ProgramFile

    def run(self) -> Iterator[Diagnostic]:
        names = node_order(self.cell)
        checker = NameChecker(self.file, nodes=frozenset(names))
        yield from _parameters(self.cell.parameters, checker, inside=True)
        yield from self._names(names)
        yield from self._inputs()
        yield from self._nodes(names)
        yield from self._too_early()
        for statement in self.cell.body:
            match statement:
                case nodes.Edge(operation=operation) if operation is not None:
                    checker.operation(operation, Place.EDGE)
                case nodes.Join():
                    if statement.kind.name not in JOINS:
                        help = (
                            did_you_mean(statement.kind.name, JOINS) or "joins are `concat`, `sum` and `mul`"
                        )
                        yield codes.UNKNOWN_JOIN.at(statement.kind.span, name=statement.kind, help=help)
                case nodes.Let():
                    checker.expression(statement.value, inside=False)
                case nodes.Require():
                    checker.expression(statement.condition, inside=False)
        yield from checker.found

    def _names(self, names: tuple[str, ...]) -> Iterator[Diagnostic]:
        taken: dict[str, tuple[str, Span]] = {
            each.name.name: ("a parameter", each.span) for each in self.cell.parameters
        }
        first = {}
        for statement in self.cell.body:
            for ident in mentioned(statement):
                first.setdefault(ident.name, ident)
        for name in names:
            if name in taken:
                what, span = taken[name]
                yield codes.NAME_TAKEN.at(
                    first[name].span, related=[Label(span, "it is " + what)], name=name, what=what
                )
            taken.setdefault(name, ("a node", first[name].span))
        for statement in self.cell.body:
            if isinstance(statement, nodes.Let):
                name = statement.name.name
                if name in taken:
                    what, span = taken[name]
                    yield codes.NAME_TAKEN.at(
                        statement.name.span, related=[Label(span, "it is " + what)], name=name, what=what
                    )
                taken.setdefault(name, ("a `let`", statement.name.span))

    def _too_early(self) -> Iterator[Diagnostic]:
        """What an expression speaks of is settled above it."""
        last: dict[str, int] = {}
        for index, statement in enumerate(self.cell.body):
            match statement:
                case nodes.Edge(targets=targets):
                    last.update((target.name, index) for target in targets)
                case nodes.Join(target=target):
                    last[target.name] = index
                case nodes.Let(name=name):
                    last[name.name] = index
        for index, statement in enumerate(self.cell.body):
            for each in nodes.walk(statement):
                if isinstance(each, nodes.Attribute | nodes.Name):
                    name = each.value.name if isinstance(each, nodes.Attribute) else each.name
                    if last.get(name, -1) >= index:
                        yield codes.TOO_EARLY.at(each.span, name=name)

    def _inputs(self) -> Iterator[Diagnostic]:
        statements = [each for each in self.cell.body if isinstance(each, nodes.Inputs)]
        if not statements:
            yield codes.NO_INPUTS.at(self.cell.name.span, name=self.cell.name, help="begin it with `in x`")
        for second in statements[1:]:
            related = [Label(statements[0].span, "the first is here")]
            yield codes.SECOND_INPUTS.at(second.span, related=related, name=self.cell.name)
        seen: set[str] = set()
        for ident in (ident for each in statements for ident in each.names):
            if ident.name in seen:
                yield codes.NAME_TAKEN.at(ident.span, name=ident, what="an input")
            seen.add(ident.name)

    def _nodes(self, names: tuple[str, ...]) -> Iterator[Diagnostic]:
        """Inputs, joins and edges fit together, ``out`` is there, and there is no cycle."""
        inputs = {
            ident.name: ident
            for each in self.cell.body
            if isinstance(each, nodes.Inputs)
            for ident in each.names
        }
        joined: dict[str, nodes.Join] = {}
        graph = nx.DiGraph()
        graph.add_nodes_from(names)
        spans: dict[str, Span] = {}
        edges = 0
        for statement in self.cell.body:
            for ident in mentioned(statement):
                spans.setdefault(ident.name, ident.span)
            if isinstance(statement, nodes.Edge):
                edges += len(statement.sources) * len(statement.targets)
                if edges > MAX_EDGES:
                    yield codes.TOO_MANY_EDGES.at(statement.span, name=self.cell.name, bound=f"{MAX_EDGES:,}")
                    return
                graph.add_edges_from((s.name, t.name) for s in statement.sources for t in statement.targets)
            elif isinstance(statement, nodes.Join):
                graph.add_edges_from((s.name, statement.target.name) for s in statement.operands)
                if statement.target.name in joined:
                    related = [Label(joined[statement.target.name].span, "joined here")]
                    yield codes.JOINED_NODE.at(
                        statement.target.span, "joined again", related=related, name=statement.target
                    )
                joined.setdefault(statement.target.name, statement)
        for statement in self.cell.body:
            targets: tuple[nodes.Ident, ...] = ()
            if isinstance(statement, nodes.Edge):
                targets = statement.targets
            elif isinstance(statement, nodes.Join):
                targets = (statement.target,)
            for target in targets:
                if target.name in inputs:
                    related = [Label(inputs[target.name].span, "the input")]
                    yield codes.INPUT_TAKES_EDGE.at(target.span, related=related, name=target)
                elif target.name in joined and isinstance(statement, nodes.Edge):
                    related = [Label(joined[target.name].span, "joined here")]
                    yield codes.JOINED_NODE.at(target.span, related=related, name=target)
        for name in names:
            if name not in inputs and graph.in_degree(name) == 0:
                near = did_you_mean(name, [each for each in names if each != name])
                yield codes.NO_EDGE.at(spans[name], name=name, help=near)
        if "out" not in graph:
            yield codes.NO_OUT.at(
                self.cell.name.span, name=self.cell.name, help="write `... -> out` or `out = concat(...)`"
            )
            return
        yield from self._order(graph, spans)

    def _order(self, graph: nx.DiGraph[str], spans: dict[str, Span]) -> Iterator[Diagnostic]:
        try:
            cycle = nx.find_cycle(graph)
        except nx.NetworkXNoCycle:
            reaching = nx.ancestors(graph, "out") | {"out"}
            for name in graph:
                if name not in reaching:
                    yield codes.DEAD_NODE.at(spans[name], name=name)
            return
        path = [each[0] for each in cycle] + [cycle[0][0]]
        at = next(
            (
                s.span
                for s in self.cell.body
                if isinstance(s, nodes.Edge | nodes.Join) and self._makes(s, cycle[-1])
            ),
            self.cell.name.span,
        )
        yield codes.CYCLE.at(
            at, name=self.cell.name, path=" -> ".join(path[:12] + (["..."] if len(path) > 12 else []))
        )

    @staticmethod
    def _makes(statement: nodes.Edge | nodes.Join, edge: tuple[str, ...]) -> bool:
        if isinstance(statement, nodes.Join):
            return statement.target.name == edge[1] and edge[0] in (each.name for each in statement.operands)
        return edge[0] in (s.name for s in statement.sources) and edge[1] in (
            t.name for t in statement.targets
        )


@dataclass
class _NetCheck:
    bound: Bound

    def run(self) -> Iterator[Diagnostic]:
        net = self.bound.definition
        assert isinstance(net, nodes.NetDefinition)
        self.net, self.file = net, self.bound.file
        self.checker = NameChecker(self.file)
        yield from _parameters(net.parameters, self.checker, inside=False)
        if net.base is not None:
            yield from self._inside(net.base)
        else:
            yield from self._alone()
        yield from self.checker.found

    def _inside(self, base: nodes.Call) -> Iterator[Diagnostic]:
        """A net or space in a space."""
        if self.net.parameters:
            yield codes.OWN_PARAMETERS.at(
                self.net.parameters[0].span.to(self.net.parameters[-1].span), kind=self.net.kind
            )
        space = self.file.scope.get(base.callee.name)
        if space is None or space.kind != "space":
            spaces = [each.name for each in self.file.scope.values() if each.kind == "space"]
            yield codes.UNKNOWN_SPACE.at(
                base.callee.span, name=base.callee, help=did_you_mean(base.callee.name, spaces)
            )
        for argument in base.arguments:
            self.checker.expression(argument.value, inside=False)
        allowed = (
            (nodes.PickBits, nodes.PickEdges, nodes.Meta)
            if self.net.kind == "net"
            else (nodes.Require, nodes.Meta)
        )
        where = f"a {self.net.kind} in a space"
        for statement in self.net.body:
            if not isinstance(statement, allowed):
                yield codes.MISPLACED_STATEMENT.at(statement.span, what=_what(statement), where=where)
            elif isinstance(statement, nodes.Require):
                self.checker.expression(statement.condition, inside=False, measures=True)
        yield from self._metas()

    def _alone(self) -> Iterator[Diagnostic]:
        """A net or space with stages of its own."""
        yield from self._picks()
        images = [each for each in self.net.body if isinstance(each, nodes.Image)]
        if not images:
            yield codes.NO_IMAGE.at(
                self.net.name.span, name=self.net.name, help="begin it with `input 3 x 32 x 32`"
            )
        self._seen_stage = False
        yield from self._statements(self.net.body, top=True)
        if not self._seen_stage:
            yield codes.NO_STAGE.at(self.net.name.span, name=self.net.name)
        yield from self._metas()

    def _picks(self) -> Iterator[Diagnostic]:
        picks: dict[str, Bound] = {}
        for each in _everywhere(self.net.body):
            if not isinstance(each, nodes.PickDeclaration):
                continue
            cell = self._picked(each.cell)
            if isinstance(cell, Diagnostic):
                yield cell
                continue
            if each.name.name in self.file.scope:
                related = [Label(self.file.scope[each.name.name].definition.name.span, "defined here")]
                yield codes.PICK_NAME.at(each.name.span, related=related, name=each.name)
            elif each.name.name in picks or each.name.name in self.checker.values:
                what = "a pick" if each.name.name in picks else "a parameter"
                yield codes.NAME_TAKEN.at(each.name.span, name=each.name, what=what)
            picks.setdefault(each.name.name, cell)
        self.checker.picks = picks

    def _picked(self, ident: nodes.Ident) -> Bound | Diagnostic:
        bound = self.file.scope.get(ident.name)
        if bound is None or bound.kind != "cell":
            cells = [each.name for each in self.file.scope.values() if each.kind == "cell"]
            return codes.UNKNOWN_OPERATION.at(
                ident.span, "a pick chooses for a cell", name=ident, help=did_you_mean(ident.name, cells)
            )
        if not is_open_cell(bound):
            return codes.NOTHING_TO_PICK.at(ident.span, name=ident)
        return bound

    def _statements(self, body: tuple[nodes.NetStatement, ...], *, top: bool) -> Iterator[Diagnostic]:
        seen_image = False
        for each in body:
            match each:
                case nodes.Image():
                    if not top or seen_image or self._seen_stage:
                        yield codes.SECOND_IMAGE.at(each.span)
                    seen_image = True
                    for cross in each.crosses:
                        if cross.name != "x":
                            yield codes.IMAGE_FORM.at(
                                cross.span, help="put `x` between the sizes, with spaces around it"
                            )
                    for size in (each.channels, each.height, each.width):
                        self.checker.expression(size, inside=False)
                case nodes.Stage():
                    self._seen_stage = True
                    self.checker.operation(each.operation, Place.STAGE)
                case nodes.PickStage():
                    self._seen_stage = True
                    yield from self._pick_stage(each)
                case nodes.Repeat():
                    self.checker.expression(each.count, inside=False)
                    yield from self._statements(each.body, top=False)
                case nodes.PickDeclaration():
                    if self.net.kind == "net":
                        yield codes.PICK_OUTSIDE.at(each.span)
                    elif not top:
                        yield codes.MISPLACED_STATEMENT.at(each.span, what="a named pick", where="a `repeat`")
                case nodes.Let():
                    self.checker.expression(each.value, inside=False, measures=True)
                    if each.name.name in self.checker.values or each.name.name in self.checker.picks:
                        yield codes.NAME_TAKEN.at(
                            each.name.span, name=each.name, what="a parameter, `let` or pick"
                        )
                    self.checker.values.add(each.name.name)
                case nodes.Require():
                    self.checker.expression(each.condition, inside=False, measures=True)
                case nodes.Meta() if top:
                    pass
                case _:
                    where = f"a {self.net.kind} of its own" if top else "a `repeat`"
                    yield codes.MISPLACED_STATEMENT.at(each.span, what=_what(each), where=where)

    def _pick_stage(self, stage: nodes.PickStage) -> Iterator[Diagnostic]:
        if self.net.kind == "net":
            yield codes.PICK_OUTSIDE.at(stage.span)
            return
        cell = self._picked(stage.cell.callee)
        if isinstance(cell, Diagnostic):
            yield cell
        else:
            self.checker.arguments(stage.cell, parameters_of(cell))

    def _metas(self) -> Iterator[Diagnostic]:
        first: dict[str, nodes.Meta] = {}
        for each in self.net.body:
            if isinstance(each, nodes.Meta):
                if each.key.name in first:
                    related = [Label(first[each.key.name].span, "first here")]
                    yield codes.NAME_TAKEN.at(each.key.span, related=related, name=each.key, what="a `meta`")
                first.setdefault(each.key.name, each)


def _everywhere(body: tuple[nodes.NetStatement, ...]) -> Iterator[nodes.NetStatement]:
    for each in body:
        yield each
        if isinstance(each, nodes.Repeat):
            yield from _everywhere(each.body)


def _what(statement: nodes.Node) -> str:
    match statement:
        case nodes.Stage() | nodes.Repeat() | nodes.PickStage():
            return "a stage"
        case nodes.PickBits() | nodes.PickEdges():
            return "a choice"
        case nodes.PickDeclaration():
            return "a pick of a cell"
        case nodes.Image():
            return "`input`"
        case nodes.Meta():
            return "`meta`"
        case nodes.Let():
            return "`let`"
    return "`require`"
