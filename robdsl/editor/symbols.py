"""Names: what each one in a text means, and where else it stands.

A symbol is named by the file that defines it, so that names of several files can be held against each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from robdsl.diagnostics.diagnostic import RobError
from robdsl.diagnostics.source import Span
from robdsl.graph.parameters import chain_of_spaces
from robdsl.graph.primitives import signatures
from robdsl.graph.program import Bound, ProgramFile
from robdsl.graph.values import Fault, Poisoned
from robdsl.syntax import nodes


@dataclass(frozen=True)
class Symbol:
    """What a name means.

    Attributes:
        file: the name of the source of the definition.
        definition: the definition that bears the name, or in which it means something.
        local: a parameter, `let`, node, pick or label of that definition; "" for the definition itself.
        sort: what it is, for people.
    """

    file: str
    definition: str
    local: str = ""
    sort: str = "definition"

    @property
    def name(self) -> str:
        return self.local or self.definition


@dataclass(frozen=True)
class Occurrence:
    """A name in a text; ``defines`` where it is introduced."""

    span: Span
    symbol: Symbol
    defines: bool = False


def occurrences(file: ProgramFile) -> list[Occurrence]:
    """Every name in a file that means something, in the order of the text."""
    found = [each for bound in file.own.values() for each in _Finder(file, bound).find()]
    return sorted(found, key=lambda each: each.span.start)


def at(found: list[Occurrence], offset: int) -> Occurrence | None:
    """The name that an offset touches."""
    return next((each for each in found if each.span.start <= offset <= each.span.end), None)


def definition_symbol(bound: Bound) -> Symbol:
    """The symbol of a definition."""
    return Symbol(bound.file.source.name, bound.name, sort=bound.kind)


@dataclass
class _Finder:
    """Finds the names of one definition."""

    file: ProgramFile
    bound: Bound

    def find(self) -> Iterator[Occurrence]:
        definition = self.bound.definition
        yield Occurrence(definition.name.span, definition_symbol(self.bound), defines=True)
        self.values = {each.name.name for each in definition.parameters}
        self.values |= {each.name.name for each in nodes.walk(definition) if isinstance(each, nodes.Let)}
        self.root = self._root()
        self.picks = {
            each.name.name
            for each in nodes.walk(self.root.definition)
            if isinstance(each, nodes.PickDeclaration)
        }
        for parameter in definition.parameters:
            yield self._local(parameter.name, "parameter", defines=True)
        yield from self._within(definition)

    def _root(self) -> Bound:
        """The space at the bottom, for nets in spaces; else the definition itself."""
        if not isinstance(self.bound.definition, nodes.NetDefinition):
            return self.bound
        try:
            return chain_of_spaces(self.bound)[-1]
        except (Fault, Poisoned, RobError):
            return self.bound

    def _local(self, ident: nodes.Ident, sort: str, *, defines: bool = False) -> Occurrence:
        symbol = Symbol(self.file.source.name, self.bound.name, ident.name, sort)
        return Occurrence(ident.span, symbol, defines)

    def _within(self, node: nodes.Node) -> Iterator[Occurrence]:
        pending = [node]
        while pending:
            current = pending.pop()
            if isinstance(current, nodes.PickEdges):
                yield from self._choice(current)
                continue
            yield from self._names(current)
            pending.extend(current.children())

    def _names(self, node: nodes.Node) -> Iterator[Occurrence]:
        match node:
            case nodes.Call():
                yield from self._call(node)
            case nodes.Name(name=name) if name in self.values:
                yield self._local(nodes.Ident(name, span=node.span), "value")
            case nodes.Attribute(value=value) if value.name != "in":
                yield self._local(value, "node")
            case nodes.Let(name=name):
                yield self._local(name, "value", defines=True)
            case nodes.Inputs(names=names):
                yield from (self._local(each, "node", defines=True) for each in names)
            case nodes.Edge(sources=sources, targets=targets):
                yield from (self._local(each, "node") for each in sources)
                yield from (self._local(each, "node", defines=True) for each in targets)
            case nodes.Join(target=target, operands=operands):
                yield self._local(target, "node", defines=True)
                yield from (self._local(each, "node") for each in operands)
            case nodes.PickDeclaration(name=name, cell=cell):
                yield self._pick(name, defines=True)
                yield from self._global(cell)
            case nodes.PickBits(target=target) if not target.name.isdecimal():
                yield self._pick(target)
            case nodes.Measure(target=target):
                if target.name in self.picks:
                    yield self._pick(target)
                else:
                    yield from self._global(target)
            case nodes.Stage(label=label) | nodes.Repeat(label=label) if label is not None:
                yield self._local(label, "stage", defines=True)

    def _pick(self, ident: nodes.Ident, *, defines: bool = False) -> Occurrence:
        symbol = Symbol(self.root.file.source.name, self.root.name, ident.name, "pick")
        return Occurrence(ident.span, symbol, defines)

    def _global(self, ident: nodes.Ident, file: ProgramFile | None = None) -> Iterator[Occurrence]:
        bound = (file or self.file).scope.get(ident.name)
        if bound is not None:
            yield Occurrence(ident.span, definition_symbol(bound))

    def _call(self, call: nodes.Call, file: ProgramFile | None = None) -> Iterator[Occurrence]:
        file = file or self.file
        name = call.callee.name
        if name in signatures():
            return
        bound = file.scope.get(name)
        if name in self.picks and file is self.file:
            yield self._pick(call.callee)
            picked = next(
                each
                for each in nodes.walk(self.root.definition)
                if isinstance(each, nodes.PickDeclaration) and each.name.name == name
            )
            bound = self.root.file.scope.get(picked.cell.name)
        elif bound is not None:
            yield Occurrence(call.callee.span, definition_symbol(bound))
        if bound is None:
            return
        if isinstance(bound.definition, nodes.NetDefinition):
            try:
                bound = chain_of_spaces(bound)[-1]  # whose parameters it has
            except (Fault, Poisoned):
                return
        for argument in call.arguments:
            if argument.name is not None:
                source = bound.file.source.name
                symbol = Symbol(source, bound.name, argument.name.name, "parameter")
                yield Occurrence(argument.name.span, symbol)

    def _choice(self, pick: nodes.PickEdges) -> Iterator[Occurrence]:
        """The long form: its nodes and alternatives are those of the cell."""
        if not pick.target.name.isdecimal():
            yield self._pick(pick.target)
        cell = picked_cell(self.root, pick.target.name)
        if cell is None:
            return
        for edge in pick.edges:
            for ident in (*edge.sources, *edge.targets):
                symbol = Symbol(cell.file.source.name, cell.name, ident.name, "node")
                yield Occurrence(ident.span, symbol)
            for call in nodes.walk(edge) if edge.operation is not None else ():
                if isinstance(call, nodes.Call):
                    yield from self._call(call, cell.file)


def picked_cell(space: Bound, pick: str) -> Bound | None:
    """The cell that a pick of a space closes; None where it has no such pick, or one of several cells."""
    numbered: dict[str, None] = {}
    for each in nodes.walk(space.definition):
        match each:
            case nodes.PickDeclaration(name=name, cell=cell) if name.name == pick:
                return space.file.scope.get(cell.name)
            case nodes.PickStage(cell=call):
                numbered[call.callee.name] = None
    if pick.isdecimal() and len(numbered) == 1:
        return space.file.scope.get(next(iter(numbered)))
    return None


def introduced(symbol: Symbol, files: dict[str, ProgramFile]) -> Span | None:
    """Where a symbol is defined."""
    file = files.get(symbol.file)
    if file is None:
        return None
    found = [each for each in occurrences(file) if each.symbol.name == symbol.name]
    same = [each for each in found if _alike(each.symbol, symbol)]
    return next((each.span for each in same if each.defines), same[0].span if same else None)


def _alike(first: Symbol, second: Symbol) -> bool:
    """Equal, whatever they are called for people (a parameter is a value where it is used)."""
    return (first.file, first.definition, first.local) == (second.file, second.definition, second.local)


def same_symbol(found: list[Occurrence], symbol: Symbol) -> list[Occurrence]:
    """The occurrences of a symbol."""
    return [each for each in found if _alike(each.symbol, symbol)]


def sources_of(files: tuple[ProgramFile, ...]) -> dict[str, ProgramFile]:
    """Files by the names of their sources."""
    return {file.source.name: file for file in files}
