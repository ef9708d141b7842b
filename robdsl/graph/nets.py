"""Elaborating nets and spaces: parameters through chains of spaces, stages, repeats, picks and rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import did_you_mean
from robdsl.diagnostics.source import Span
from robdsl.graph.choices import Pick
from robdsl.graph.elaborate import Arguments, Elaborator, check_size
from robdsl.graph.layout import Layout, MetaValue, Stage
from robdsl.graph.names import inputs_of
from robdsl.graph.operations import CellOperation, ChainOperation, Cost, Operation, SumOperation
from robdsl.graph.program import Bound
from robdsl.graph.rules import Rule
from robdsl.graph.shapes import Shape, volume
from robdsl.graph.values import Fault, Poisoned, Scope, Value, boolean, evaluate, integer, is_measure, kind_of
from robdsl.syntax import nodes

#: How many stages a net may have, and how many numbers its image.
MAX_STAGES = 10_000
MAX_IMAGE = 10**8
#: How many spaces may stand in one another.
MAX_SPACES = 32

_Tree = TypeVar("_Tree", bound=nodes.Node)


def chain_of_spaces(bound: Bound) -> tuple[Bound, ...]:
    """A net or space and the spaces that it stands in, innermost first; the last one has the stages.

    Raises:
        Fault: the spaces stand in each other in a circle.
    """
    chain = [bound]
    while True:
        definition = chain[-1].definition
        assert isinstance(definition, nodes.NetDefinition)
        if definition.base is None:
            return tuple(chain)
        if len(chain) > MAX_SPACES:
            raise Fault(
                codes.CALL_DEPTH.at(definition.base.span, bound=f"{MAX_SPACES} spaces in one another")
            )
        base = chain[-1].file.scope.get(definition.base.callee.name)
        if base is None or base.kind != "space":
            raise Poisoned  # the structure check says so
        chain.append(base)


def elaborate_net(elaborator: Elaborator, bound: Bound, given: Mapping[str, Value]) -> Layout:
    """The layout of a net or space with ``given`` parameters (by name, from outside).

    Raises:
        Poisoned: something was wrong and has been reported.
    """
    with elaborator.reporting():
        chain = chain_of_spaces(bound)
    if not all([elaborator.sound(each) for each in chain]):
        raise Poisoned
    with elaborator.reporting():
        parameters = _parameters(chain, given)
        builder = _NetBuilder(elaborator, chain, parameters)
    return builder.build()


def _parameters(chain: tuple[Bound, ...], given: Mapping[str, Value]) -> Arguments:
    """The values of the root's parameters: given from outside, by the innermost space that gives one, by default."""
    root = chain[-1]
    declared = root.definition.parameters
    names = [each.name.name for each in declared]
    written: dict[str, nodes.Expr] = {}
    for each in reversed(chain[:-1]):
        assert isinstance(each.definition, nodes.NetDefinition) and each.definition.base is not None
        for diagnostic in _base_arguments(each.definition.base, declared):
            raise Fault(diagnostic)
        by_place = [a.value for a in each.definition.base.arguments if a.name is None]
        written.update(zip(names, by_place, strict=False))
        written.update({a.name.name: a.value for a in each.definition.base.arguments if a.name is not None})
    for name in given:
        if name not in names:
            help = did_you_mean(name, names) or (f"it has {', '.join(names)}" if names else "it has none")
            raise Fault(
                codes.UNKNOWN_PARAMETER.at(
                    chain[0].definition.name.span, callee=chain[0].name, name=name, help=help
                )
            )
    values: dict[str, Value] = {}
    for parameter in declared:
        name = parameter.name.name
        default = written.get(name, parameter.default)
        if name in given:
            values[name] = given[name]
        elif default is not None:
            values[name] = evaluate(default, Scope(dict(values)))
        else:
            help = f"give it with `--set {name}=...` or `load(..., {name}=...)`"
            raise Fault(
                codes.MISSING_ARGUMENT.at(
                    chain[0].definition.name.span, callee=chain[0].name, name=name, help=help
                )
            )
    return tuple(values.items())


def _base_arguments(base: nodes.Call, declared: tuple[nodes.Parameter, ...]) -> Iterator:  # type: ignore[type-arg]
    from robdsl.graph.names import check_arguments

    optional = tuple(replace(each, default=each.default or nodes.Number("0")) for each in declared)
    return iter(check_arguments(base, optional))


@dataclass(frozen=True)
class _Place:
    """Where in the text of a net a stage stands: names begin with ``prefix``; ``repeated`` inside a repeat."""

    prefix: str = ""
    repeated: bool = False
    alone: bool = False


class _NetBuilder:
    def __init__(self, elaborator: Elaborator, chain: tuple[Bound, ...], parameters: Arguments) -> None:
        self._elaborator, self._chain, self._root = elaborator, chain, chain[-1]
        definition = self._root.definition
        assert isinstance(definition, nodes.NetDefinition)
        self._definition = definition
        self._parameters = parameters
        self._values: dict[str, Value] = dict(parameters)
        self._deferred: dict[str, nodes.Expr] = {}
        self._image: Shape | None = None
        self._stages: list[Stage] = []
        self._picks: list[Pick] = []
        self._named: dict[str, tuple[int, Bound]] = {}
        self._rules: dict[int, tuple[nodes.Require, nodes.Expr, str]] = {}
        self._turns: dict[int, int] = {}
        self._names: dict[str, Span] = {}
        self._total = Cost()

    def build(self) -> Layout:
        with self._elaborator.reporting():
            for each in self._definition.body:
                if isinstance(each, nodes.PickDeclaration):
                    self._named[each.name.name] = (-1, self._root.file.scope[each.cell.name])
        self._statements(self._definition.body, _Place())
        for space in reversed(self._chain[:-1]):
            assert isinstance(space.definition, nodes.NetDefinition)
            for statement in space.definition.body:
                if isinstance(statement, nodes.Require):
                    with self._elaborator.reporting():
                        self._require(statement, space.name)
        assert self._image is not None
        spaces = self._chain if self._definition.kind == "space" else ()
        if (
            spaces
            and isinstance(spaces[0].definition, nodes.NetDefinition)
            and spaces[0].definition.kind == "net"
        ):
            spaces = spaces[1:]
        picks = tuple(self._picks)
        rules = tuple(
            Rule(written, condition, space, self._values, picks)
            for written, condition, space in self._rules.values()
        )
        with self._elaborator.reporting():
            for rule in rules:
                rule.check()
        return Layout(
            self._root,
            self._parameters,
            self._image,
            tuple(self._stages),
            picks,
            rules,
            dict(metas(self._definition)),
            tuple(reversed(spaces)),
            self._elaborator.report.warnings,
        )

    def _scope(self) -> Scope:
        return Scope(self._values)

    # --- statements

    def _statements(self, body: tuple[nodes.NetStatement, ...], place: _Place) -> None:
        for each in body:
            with self._elaborator.reporting():
                self._statement(each, place)

    def _statement(self, statement: nodes.NetStatement, place: _Place) -> None:
        match statement:
            case nodes.Image():
                sizes = (statement.channels, statement.height, statement.width)
                self._image = tuple(self._size(each) for each in sizes)
                if volume(self._image) > MAX_IMAGE:
                    raise Fault(
                        codes.LARGE_NUMBER.at(statement.span, bound=f"{MAX_IMAGE:,} numbers in an image")
                    )
            case nodes.Stage():
                self._stage(statement, place)
            case nodes.PickStage():
                cell = self._root.file.scope[statement.cell.callee.name]
                self._cell_stage(statement, statement.cell, cell, None, place)
            case nodes.Repeat():
                self._repeat(statement, place)
            case nodes.Let():
                self._let(statement)
            case nodes.Require():
                self._require(statement, self._root.name)

    def _size(self, expression: nodes.Expr) -> int:
        size = integer(self._inlined(expression), self._scope(), "a size of the image")
        if not 1 <= size <= 10**6:
            raise Fault(
                codes.OUT_OF_RANGE.at(
                    expression.span,
                    what="a size of the image",
                    wanted="an integer from 1 to 1000000",
                    got=size,
                )
            )
        return size

    def _let(self, let: nodes.Let) -> None:
        value = self._inlined(let.value)
        self._deferred.pop(let.name.name, None)
        if self._speaks_of_choices(value):
            self._deferred[let.name.name] = value
        else:
            self._values[let.name.name] = evaluate(value, self._scope())

    def _require(self, require: nodes.Require, space: str) -> None:
        condition = self._inlined(require.condition)
        if self._speaks_of_choices(condition):
            self._rules.setdefault(id(require), (require, condition, space))
        elif not boolean(condition, self._scope(), "a requirement"):
            from robdsl.graph.cells import spoken_values

            raise Fault(codes.REQUIRE_BROKEN.at(require.span, spoken_values(condition, self._scope())))

    def _inlined(self, tree: _Tree) -> _Tree:
        """An expression or operation in which `let`s that wait for choices are replaced by what they stand for."""
        return substitute(tree, self._deferred) if self._deferred else tree

    def _speaks_of_choices(self, expression: nodes.Expr) -> bool:
        return any(is_measure(each, self._values) for each in nodes.walk(expression))

    # --- stages

    def _repeat(self, repeat: nodes.Repeat, place: _Place) -> None:
        count = integer(self._inlined(repeat.count), self._scope(), "the number of turns")
        if count < 0:
            raise Fault(codes.NEGATIVE_REPEAT.at(repeat.count.span, count=count))
        stages = [each for each in repeat.body if not isinstance(each, nodes.Let | nodes.Require)]
        if count > MAX_STAGES:
            raise Fault(codes.TOO_MANY_STAGES.at(repeat.count.span, bound=f"{MAX_STAGES:,} stages"))
        alone = (
            len(stages) == 1
            and not isinstance(stages[0], nodes.Repeat)
            and getattr(stages[0], "label", None) is None
        )
        for turn in range(count):
            inner = replace(place, repeated=True, alone=False)
            if repeat.label is not None:
                name = self._labelled(repeat.label, place)
                inner = _Place(f"{name}.{turn}" if not place.repeated else f"{name}.{turn}", True, alone)
            self._statements(repeat.body, inner)

    def _labelled(self, label: nodes.Ident, place: _Place) -> str:
        known = self._names.get(label.name)
        if known is not None and known != label.span:
            raise Fault(codes.STAGE_NAME.at(label.span, name=label.name))
        self._names[label.name] = label.span
        return f"{place.prefix}.{label.name}" if place.prefix else label.name

    def _name(self, label: nodes.Ident | None, place: _Place, kind: str) -> str:
        """The name of the next stage: its label (numbered inside a repeat), else its kind and number."""
        if label is not None:
            name = self._labelled(label, place)
            if place.repeated:
                turn = self._turns.get(id(label), 0)
                self._turns[id(label)] = turn + 1
                return f"{name}.{turn}"
            return name
        if place.prefix:
            if place.alone:
                return place.prefix
            inside = sum(each.name.startswith(f"{place.prefix}.") for each in self._stages[-64:])
            return f"{place.prefix}.{inside}"
        return f"{kind}_{len(self._stages)}"

    def _recent(self, count: int) -> tuple[int, ...]:
        """The stages whose outputs feed the next one: the most recent, the earliest again where there are too few."""
        done = len(self._stages)
        if done == 0:
            return (-1,) * count
        return tuple(max(0, index) for index in range(done - count, done))

    def _shape(self, index: int, span: Span) -> Shape:
        if index >= 0:
            return self._stages[index].shape
        if self._image is None:
            raise Fault(
                codes.NO_IMAGE.at(
                    span, name=self._definition.name, help="put `input C x H x W` before the stages"
                )
            )
        return self._image

    def _stage(self, stage: nodes.Stage, place: _Place) -> None:
        operation = self._inlined(stage.operation)
        if isinstance(operation, nodes.Call):
            name = operation.callee.name
            if name in self._named:
                self._cell_stage(stage, operation, self._named[name][1], name, place)
                return
            bound = self._root.file.scope.get(name)
            if bound is not None and isinstance(bound.definition, nodes.CellDefinition):
                self._cell_stage(stage, operation, bound, "", place)
                return
        inputs = self._recent(1)
        made = self._operation(operation, self._shape(inputs[0], stage.span))
        self._add(Stage(self._name(stage.label, place, "stage"), made, inputs, stage.span))

    def _operation(self, operation: nodes.Op, entering: Shape) -> Operation:
        """An operation of a stage; picks may stand in its chains."""
        match operation:
            case nodes.Chain():
                parts: list[Operation] = []
                for part in operation.parts:
                    parts.append(self._operation(part, parts[-1].out_shape if parts else entering))
                return ChainOperation(entering, parts[-1].out_shape, operation.span, parts=tuple(parts))
            case nodes.Sum() if self._mentions_pick(operation):
                summed = tuple(self._operation(part, entering) for part in operation.parts)
                self._elaborator.same_shapes(operation, summed)
                return SumOperation(entering, summed[0].out_shape, operation.span, parts=summed)
            case nodes.Call() if operation.callee.name in self._named:
                _, bound = self._named[operation.callee.name]
                return self._picked(operation, bound, operation.callee.name, (entering,))
        return self._elaborator.some(operation, self._scope(), self._root.file, entering)

    def _mentions_pick(self, operation: nodes.Op) -> bool:
        return any(
            isinstance(each, nodes.Call) and each.callee.name in self._named for each in nodes.walk(operation)
        )

    def _cell_stage(
        self,
        stage: nodes.Stage | nodes.PickStage,
        call: nodes.Call,
        bound: Bound,
        pick: str | None,
        place: _Place,
    ) -> None:
        """A stage that is a cell: closed (pick ""), closed by a named pick, or by a pick of its own (None)."""
        assert isinstance(bound.definition, nodes.CellDefinition)
        if not self._elaborator.sound(bound):
            raise Poisoned
        inputs = self._recent(len(inputs_of(bound.definition)))
        shapes = tuple(self._shape(index, stage.span) for index in inputs)
        made = self._picked(self._inlined(call), bound, pick, shapes)
        self._add(Stage(self._name(stage.label, place, bound.name), made, inputs, stage.span))

    def _picked(
        self, call: nodes.Call, bound: Bound, pick: str | None, shapes: tuple[Shape, ...]
    ) -> CellOperation:
        if not self._elaborator.sound(bound):
            raise Poisoned
        scope = replace(self._scope(), entering=shapes[-1])
        arguments = self._elaborator.bind(call, bound.definition.parameters, scope)
        cell = self._elaborator.called_cell(call, bound, arguments, shapes)
        number = None
        if pick is None:
            number = self._new_pick(
                str(sum(each.name.isdecimal() for each in self._picks)), bound.name, cell.opens
            )
        elif pick:
            number = self._named[pick][0]
            if number < 0:
                number = self._new_pick(pick, bound.name, cell.opens)
                self._named[pick] = (number, bound)
        return CellOperation(
            shapes[-1], cell.out_shape, call.span, bound.name, arguments, cell=cell, pick=number
        )

    def _new_pick(self, name: str, cell: str, opens: tuple) -> int:  # type: ignore[type-arg]
        self._picks.append(Pick(name, cell, opens))
        return len(self._picks) - 1

    def _add(self, stage: Stage) -> None:
        if len(self._stages) >= MAX_STAGES:
            raise Fault(codes.TOO_MANY_STAGES.at(stage.span, bound=f"{MAX_STAGES:,} stages"))
        self._total = self._total.then(_most(stage.operation))
        check_size(self._total, stage.span)
        self._stages.append(stage)


def _most(operation: Operation) -> Cost:
    """The cost of an operation with everything chosen."""
    match operation:
        case CellOperation():
            return operation.cell.most
        case ChainOperation() | SumOperation():
            total = Cost()
            for part in operation.parts:
                total = total.beside(_most(part))
            return total
    return operation.cost


def metas(definition: nodes.NetDefinition) -> Iterator[tuple[str, MetaValue]]:
    """The facts that a net carries."""
    for each in definition.body:
        if isinstance(each, nodes.Meta):
            match each.value:
                case nodes.Text(value=text):
                    yield each.key.name, text
                case nodes.Number() as number:
                    yield each.key.name, number.value
                case nodes.Unary(operand=nodes.Number() as number):
                    yield each.key.name, -number.value


def substitute(tree: _Tree, values: Mapping[str, nodes.Expr]) -> _Tree:
    """The tree with names replaced by expressions."""
    if isinstance(tree, nodes.Name) and tree.name in values:
        return values[tree.name]  # type: ignore[return-value]  # an expression for an expression
    changed = {}
    for field in fields(tree):
        value = getattr(tree, field.name)
        if isinstance(value, nodes.Node):
            changed[field.name] = substitute(value, values)
        elif isinstance(value, tuple):
            changed[field.name] = tuple(
                substitute(v, values) if isinstance(v, nodes.Node) else v for v in value
            )
    return replace(tree, **changed)


def outside(name: str, value: object) -> Value:
    """A parameter's value that a program gives; a string is a word. Raises `TypeError` for anything else."""
    from robdsl.graph.values import Word

    if isinstance(value, str):
        return Word(value)
    if isinstance(value, bool | int | float):
        return value
    raise TypeError(f"the parameter {name} must be a number, a bool or a word, not {value!r}")


__all__ = ["chain_of_spaces", "elaborate_net", "kind_of", "metas", "outside", "substitute"]
