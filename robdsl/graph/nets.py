"""Elaborating nets and spaces: stages, repeats, picks and rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from robdsl.diagnostics import codes
from robdsl.diagnostics.source import Span
from robdsl.graph.choices import Pick
from robdsl.graph.deferred import Deferred
from robdsl.graph.edges import open_edges
from robdsl.graph.elaborate import Elaborator, check_size
from robdsl.graph.layout import Layout, MetaValue, Stage
from robdsl.graph.names import inputs_of
from robdsl.graph.operations import CellOperation, ChainOperation, Cost, Operation, SumOperation
from robdsl.graph.parameters import sound_chain, values_of
from robdsl.graph.program import Bound
from robdsl.graph.reporter import Arguments
from robdsl.graph.rules import Rule
from robdsl.graph.shapes import Shape, volume
from robdsl.graph.stage_names import StageNames
from robdsl.graph.values import Fault, Poisoned, Scope, Value, boolean, evaluate, integer, spoken_values
from robdsl.syntax import nodes

#: How many stages a net may have, how many statements its repeats may run through, how large its image is.
MAX_STAGES = 10_000
MAX_STATEMENTS = 50_000
MAX_IMAGE = 10**8


def elaborate_net(elaborator: Elaborator, bound: Bound, given: Mapping[str, Value]) -> Layout:
    """The layout of a net or space with ``given`` parameters (by name, from outside).

    Raises:
        Poisoned: something was wrong and has been reported.
    """
    chain = sound_chain(elaborator, bound)
    with elaborator.reporting():
        parameters = values_of(chain, given)
    return _NetBuilder(elaborator, chain, parameters).build()


class _NetBuilder:
    def __init__(self, elaborator: Elaborator, chain: tuple[Bound, ...], parameters: Arguments) -> None:
        self._elaborator, self._chain, self._root = elaborator, chain, chain[-1]
        definition = self._root.definition
        assert isinstance(definition, nodes.NetDefinition)
        self._definition = definition
        self._parameters = parameters
        self._values: dict[str, Value] = dict(parameters)
        self._unknown: set[str] = set()
        self._deferred = Deferred(self._values)
        self._image: Shape | None = None
        self._stages: list[Stage] = []
        self._names = StageNames(definition)
        self._picks: list[Pick] = []
        self._numbered = 0
        #: The cells of named picks, and the numbers of those that have begun.
        self._cells: dict[str, Bound] = {}
        self._begun: dict[str, int] = {}
        self._rules: dict[int, tuple[nodes.Require, nodes.Expr, str]] = {}
        self._run = 0
        self._total = Cost()
        self._failed = False
        #: Whether a stage was wrong, so that nobody knows what enters those behind it.
        self._adrift = False

    def build(self) -> Layout:
        """The layout; raises `Poisoned` when something was wrong and has been reported."""
        scope = self._root.file.scope
        for each in self._definition.body:
            if isinstance(each, nodes.PickDeclaration):
                self._cells[each.name.name] = scope[each.cell.name]
        self._statements(self._definition.body)
        for space in reversed(self._chain[:-1]):
            assert isinstance(space.definition, nodes.NetDefinition)
            self._statements(
                tuple(each for each in space.definition.body if isinstance(each, nodes.Require)), space.name
            )
        with self._elaborator.reporting():
            if not self._stages and not self._failed:
                raise Fault(codes.NO_STAGE.at(self._definition.name.span, name=self._definition.name))
        rules = tuple(self._checked_rules())
        if self._failed or self._image is None:
            raise Poisoned
        innermost = self._chain[0].definition
        closes = isinstance(innermost, nodes.NetDefinition) and innermost.kind == "net"
        return Layout(
            self._root,
            self._parameters,
            self._image,
            tuple(self._stages),
            tuple(self._picks),
            rules,
            dict(metas(self._definition)),
            tuple(reversed(self._chain[1:] if closes else self._chain)),
            self._elaborator.report.warnings,
        )

    def _scope(self, entering: Shape | None = None) -> Scope:
        return Scope(self._values, self._unknown, entering=entering)

    def _checked_rules(self) -> Iterator[Rule]:
        if self._adrift:
            return  # the picks that they speak of may be missing
        cells = frozenset(_picked_cells(self._definition.body))
        for written, condition, space in self._rules.values():
            rule = Rule(written, condition, space, self._values, tuple(self._picks), cells)
            try:
                with self._elaborator.reporting():
                    rule.check()
            except Poisoned:
                self._failed = True
            yield rule

    # --- statements

    def _statements(self, body: tuple[nodes.NetStatement, ...], space: str | None = None) -> None:
        """Runs through statements; a mistake in one does not hide those in the next."""
        for each in body:
            if self._elaborator.report.full:
                self._failed = True
                return
            try:
                with self._elaborator.reporting():
                    self._count(each)
                    self._statement(each, space or self._root.name)
            except Poisoned:
                self._failed = True
                if isinstance(each, nodes.Let):
                    self._unknown.add(each.name.name)
                elif not isinstance(each, nodes.Require):
                    self._adrift = True

    def _count(self, statement: nodes.NetStatement) -> None:
        """Counts what is run through; raises `Fault` when it is too much."""
        if self._adrift:
            return  # nothing runs twice from here on
        self._run += 1
        if self._run > MAX_STATEMENTS:
            bound = f"{MAX_STATEMENTS:,} statements in all turns"
            raise Fault(codes.TOO_MANY_STAGES.at(statement.span, bound=bound))

    def _statement(self, statement: nodes.NetStatement, space: str) -> None:
        match statement:
            case nodes.Image():
                self._image = self._image_of(statement)
            case nodes.Stage() if self._adrift:
                operation = self._deferred.inline(statement.operation)
                self._elaborator.adrift(operation, self._scope(), self._root.file)
            case nodes.PickStage() if self._adrift:
                call = self._deferred.inline(statement.cell)
                self._elaborator.adrift(call, self._scope(), self._root.file)
            case nodes.Stage():
                self._stage(statement)
            case nodes.PickStage():
                cell = self._root.file.scope[statement.cell.callee.name]
                self._cell_stage(statement, statement.cell, cell, None)
            case nodes.PickDeclaration():
                self._begin(statement.name.name)
            case nodes.Repeat():
                self._repeat(statement)
            case nodes.Let():
                self._let(statement)
            case nodes.Require():
                self._require(statement, space)

    def _image_of(self, image: nodes.Image) -> Shape:
        shape = tuple(self._size(each) for each in (image.channels, image.height, image.width))
        if volume(shape) > MAX_IMAGE:
            raise Fault(codes.LARGE_NUMBER.at(image.span, bound=f"{MAX_IMAGE:,} numbers in an image"))
        return shape

    def _size(self, expression: nodes.Expr) -> int:
        what = "a size of the image"
        size = integer(self._deferred.inline(expression), self._scope(), what)
        if not 1 <= size <= 10**6:
            wanted = "an integer from 1 to 1000000"
            raise Fault(codes.OUT_OF_RANGE.at(expression.span, what=what, wanted=wanted, got=size))
        return size

    def _let(self, let: nodes.Let) -> None:
        if self._deferred.speaks_of_choices(let.value):
            self._deferred.define(let)
        else:
            self._values[let.name.name] = evaluate(let.value, self._scope())

    def _require(self, require: nodes.Require, space: str) -> None:
        if self._deferred.speaks_of_choices(require.condition):
            condition = self._deferred.inline(require.condition)
            self._rules.setdefault(id(require), (require, condition, space))
        elif not boolean(require.condition, self._scope(), "a requirement"):
            label = spoken_values(require.condition, self._scope())
            raise Fault(codes.REQUIRE_BROKEN.at(require.span, label))

    def _repeat(self, repeat: nodes.Repeat) -> None:
        try:
            with self._elaborator.reporting():
                count = self._turns(repeat)
        except Poisoned:
            self._failed = self._adrift = True
            count = 1
        for turn in range(count):
            if self._adrift and turn > 0:
                break  # the next turn would say the same
            self._count(repeat)
            with self._names.turn(repeat):
                self._statements(repeat.body)

    def _turns(self, repeat: nodes.Repeat) -> int:
        count = integer(self._deferred.inline(repeat.count), self._scope(), "the number of turns")
        if count < 0:
            label = spoken_values(repeat.count, self._scope())
            raise Fault(codes.NEGATIVE_REPEAT.at(repeat.count.span, label, count=count))
        if count > MAX_STAGES:
            raise Fault(codes.TOO_MANY_STAGES.at(repeat.count.span, bound=f"{MAX_STAGES:,} stages"))
        return count

    # --- stages

    def _recent(self, count: int) -> tuple[int, ...]:
        """The stages that feed the next one: the most recent; the earliest again where there are too few."""
        done = len(self._stages)
        if done == 0:
            return (-1,) * count
        return tuple(max(0, index) for index in range(done - count, done))

    def _shape(self, index: int, span: Span) -> Shape:
        if index >= 0:
            return self._stages[index].shape
        if self._image is None:
            help = "put `input C x H x W` before the stages"
            raise Fault(codes.NO_IMAGE.at(span, name=self._definition.name, help=help))
        return self._image

    def _stage(self, stage: nodes.Stage) -> None:
        operation = self._deferred.inline(stage.operation)
        if isinstance(operation, nodes.Call):
            name = operation.callee.name
            if name in self._cells:
                self._cell_stage(stage, operation, self._cells[name], name)
                return
            bound = self._root.file.scope.get(name)
            if bound is not None and isinstance(bound.definition, nodes.CellDefinition):
                self._cell_stage(stage, operation, bound, "")
                return
        inputs = self._recent(1)
        made = self._operation(operation, self._shape(inputs[0], stage.span))
        self._add(Stage(self._names.name(stage.label, "stage"), made, inputs, stage.span))

    def _operation(self, operation: nodes.Op, entering: Shape) -> Operation:
        """An operation of a stage; named picks of cells with one input may stand anywhere in it."""
        if not any(
            isinstance(each, nodes.Call) and each.callee.name in self._cells for each in nodes.walk(operation)
        ):
            return self._elaborator.some(operation, self._scope(), self._root.file, entering)
        match operation:
            case nodes.Chain():
                parts = self._elaborator.in_turn(
                    operation, self._scope(), self._root.file, entering, self._operation
                )
                return ChainOperation(entering, parts[-1].out_shape, operation.span, parts=parts)
            case nodes.Sum():
                summed = self._elaborator.each(
                    partial(self._operation, part, entering) for part in operation.parts
                )
                self._elaborator.same_shapes(operation, summed)
                return SumOperation(entering, summed[0].out_shape, operation.span, parts=summed)
            case nodes.If():
                condition = boolean(operation.condition, self._scope(entering), "the condition of an `if`")
                return self._operation(operation.then if condition else operation.otherwise, entering)
        assert isinstance(operation, nodes.Call)  # there is nothing else that a pick can stand in
        name = operation.callee.name
        return self._picked(operation, self._cells[name], name, (entering,))

    def _cell_stage(
        self, stage: nodes.Stage | nodes.PickStage, call: nodes.Call, bound: Bound, pick: str | None
    ) -> None:
        """A stage that is a cell: closed (pick ""), closed by a named pick, or by one of its own (None)."""
        inputs = self._recent(len(inputs_of(bound)))
        shapes = tuple(self._shape(index, stage.span) for index in inputs)
        made = self._picked(self._deferred.inline(call), bound, pick, shapes)
        self._add(Stage(self._names.name(stage.label, bound.name), made, inputs, stage.span))

    def _picked(
        self, call: nodes.Call, bound: Bound, pick: str | None, shapes: tuple[Shape, ...]
    ) -> CellOperation:
        if not self._elaborator.sound(bound):
            raise Poisoned
        self._elaborator.work(call.span)
        arguments = self._elaborator.bind(call, bound.definition.parameters, self._scope(shapes[-1]))
        cell = self._elaborator.called_cell(call, bound, arguments, shapes)
        number = None
        if pick is None:
            number = self._new_pick(str(self._numbered), bound)
            self._numbered += 1
        elif pick:
            number = self._begin(pick)
        return CellOperation(
            shapes[-1], cell.out_shape, call.span, bound.name, arguments, cell=cell, pick=number
        )

    def _begin(self, name: str) -> int:
        """The number of a named pick, which begins where it is declared or first used."""
        if name not in self._begun:
            self._begun[name] = self._new_pick(name, self._cells[name])
        return self._begun[name]

    def _new_pick(self, name: str, cell: Bound) -> int:
        if not self._elaborator.sound(cell):
            raise Poisoned
        self._picks.append(Pick(name, cell.name, open_edges(cell)))
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


def _picked_cells(body: tuple[nodes.NetStatement, ...]) -> Iterator[str]:
    """The names of the cells for which a space has picks, or would have if a `repeat` had turns."""
    for each in body:
        match each:
            case nodes.PickDeclaration():
                yield each.cell.name
            case nodes.PickStage():
                yield each.cell.callee.name
            case nodes.Repeat():
                yield from _picked_cells(each.body)


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
