"""Tree to operations: calls are bound, conditions decided, shapes worked out.

Everything here happens for given argument values and input shapes. What is elaborated once for the same
values is not elaborated again, so twenty cells of three sizes cost three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from typing import TypeVar

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, Report
from robdsl.diagnostics.source import Span
from robdsl.graph.cell import Cell
from robdsl.graph.operations import (
    CellOperation,
    ChainOperation,
    Cost,
    Operation,
    PrimitiveOperation,
    SumOperation,
)
from robdsl.graph.primitives import DOMAINS, Misfit, Primitive, signatures
from robdsl.graph.program import Bound, ProgramFile
from robdsl.graph.reporter import Arguments, Reporter
from robdsl.graph.shapes import Shape, show
from robdsl.graph.structure import check_definition
from robdsl.graph.values import (
    Fault,
    Poisoned,
    Scope,
    Value,
    boolean,
    evaluate,
    kind_of,
    wrong_type,
)
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_operation

#: How deep operations may nest while they are elaborated (well within Python's own bound on recursion), and for how
#: many operations a cell counts.
MAX_DEPTH = 100
CELL_DEPTH = 2
#: How many primitives a net may have, and how many numbers it may learn.
MAX_PRIMITIVES = 500_000
MAX_PARAMS = 4_000_000_000
#: How many channels, rows or columns a value may have.
MAX_SIZE = 10**9

_Some = TypeVar("_Some")


class Elaborator(Reporter):
    """Elaborates operations and cells, and reports what is wrong with them."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self._checked: dict[int, bool] = {}
        self._bodies: dict[tuple[object, ...], Operation | _State | None] = {}
        self._cells: dict[tuple[object, ...], Cell | _State] = {}
        self._depth = 0

    def sound(self, bound: Bound) -> bool:
        """Whether a definition has the right form; says what is wrong with it the first time."""
        key = id(bound.definition)
        if key not in self._checked:
            verdict = check_definition(bound)
            self.report.extend(verdict.found)
            self._checked[key] = verdict.sound
        return self._checked[key]

    # --- operations

    def operation(
        self, operation: nodes.Op, scope: Scope, file: ProgramFile, entering: Shape
    ) -> Operation | None:
        """The operation for a value of shape ``entering``; None for ``none``.

        Raises:
            Fault: something is wrong with it.
            Poisoned: something that it uses is wrong and was reported.
        """
        self._depth += 1
        try:
            if self._depth > MAX_DEPTH:
                raise Fault(codes.CALL_DEPTH.at(operation.span, bound=f"{MAX_DEPTH} levels"))
            return self._operation(operation, scope.entered_by(entering), file, entering)
        finally:
            self._depth -= 1

    def _operation(
        self, operation: nodes.Op, scope: Scope, file: ProgramFile, entering: Shape
    ) -> Operation | None:
        match operation:
            case nodes.Call():
                return self._call(operation, scope, file, entering)
            case nodes.If():
                condition = boolean(operation.condition, scope, "the condition of an `if`")
                branch = operation.then if condition else operation.otherwise
                return self.operation(branch, scope, file, entering)
            case nodes.Chain():
                return self._chain(operation, scope, file, entering)
            case nodes.Sum():
                return self._sum(operation, scope, file, entering)
            case nodes.Nothing():
                return None
            case nodes.Choice():
                raise AssertionError("choices are taken apart where they stand")

    def some(self, operation: nodes.Op, scope: Scope, file: ProgramFile, entering: Shape) -> Operation:
        """As `operation`, where ``none`` cannot stand."""
        made = self.operation(operation, scope, file, entering)
        if made is None:
            raise Fault(codes.MISPLACED_NONE.at(operation.span, "this turns out to be `none`"))
        return made

    def _chain(self, chain: nodes.Chain, scope: Scope, file: ProgramFile, entering: Shape) -> Operation:
        parts = self.in_turn(
            chain, scope, file, entering, lambda part, shape: self.some(part, scope, file, shape)
        )
        return self._bounded(ChainOperation(entering, parts[-1].out_shape, chain.span, parts=parts))

    def in_turn(
        self,
        chain: nodes.Chain,
        scope: Scope,
        file: ProgramFile,
        entering: Shape,
        make: Callable[[nodes.Op, Shape], Operation],
    ) -> tuple[Operation, ...]:
        """The parts of a chain, each made for what leaves the one before it.

        Raises:
            Poisoned: one of them is wrong; what can be told of those behind it was reported too.
        """
        parts: list[Operation] = []
        for place, part in enumerate(chain.parts):
            try:
                with self.reporting():
                    parts.append(make(part, parts[-1].out_shape if parts else entering))
            except Poisoned:
                for rest in chain.parts[place + 1 :]:
                    self.adrift(rest, scope, file)
                raise
        return tuple(parts)

    def adrift(self, operation: nodes.Op, scope: Scope, file: ProgramFile) -> None:
        """Reports what is wrong with the arguments in an operation that is entered by nobody knows what."""
        self.failed()
        if self.spent:
            return
        scope = scope.cast_off()
        with suppress(Poisoned), self.reporting():
            match operation:
                case nodes.Call(callee=nodes.Ident(name=name)) if name in signatures():
                    self._settings(operation, scope)
                case nodes.Call(callee=nodes.Ident(name=name)) if name in file.scope:
                    if self.sound(file.scope[name]):
                        self.bind(operation, file.scope[name].definition.parameters, scope)
                case nodes.Chain(parts=parts) | nodes.Sum(parts=parts):
                    for part in parts:
                        self.adrift(part, scope, file)
                case nodes.If():
                    taken = boolean(operation.condition, scope, "the condition of an `if`")
                    self.adrift(operation.then if taken else operation.otherwise, scope, file)

    def _sum(self, sum_: nodes.Sum, scope: Scope, file: ProgramFile, entering: Shape) -> Operation:
        parts = self.each(partial(self.some, part, scope, file, entering) for part in sum_.parts)
        self.same_shapes(sum_, parts)
        return self._bounded(SumOperation(entering, parts[0].out_shape, sum_.span, parts=parts))

    def same_shapes(self, sum_: nodes.Sum, parts: tuple[Operation, ...]) -> None:
        """Raises `Fault` when what is summed has different shapes."""
        for node, part in zip(sum_.parts, parts, strict=True):
            if part.out_shape != parts[0].out_shape:
                raise Fault(
                    differing(
                        "a sum of values", sum_.parts[0].span, parts[0].out_shape, node.span, part.out_shape
                    )
                )

    def _bounded(self, operation: Operation) -> Operation:
        self.work(operation.span)
        check_size(operation.cost, operation.span)
        return operation

    # --- calls

    def _call(self, call: nodes.Call, scope: Scope, file: ProgramFile, entering: Shape) -> Operation | None:
        name = call.callee.name
        if name in signatures():
            return self._primitive(call, scope, entering)
        bound = file.scope[name]
        if not self.sound(bound):
            raise Poisoned
        arguments = self.bind(call, bound.definition.parameters, scope)
        if isinstance(bound.definition, nodes.CellDefinition):
            cell = self.called_cell(call, bound, arguments, (entering,))
            return CellOperation(entering, cell.out_shape, call.span, name, arguments, cell=cell)
        with self.inside(call.span, name, arguments):
            made = self._body(bound, arguments, entering)
            return made and replace(made, call=call)

    def _body(self, bound: Bound, arguments: Arguments, entering: Shape) -> Operation | None:
        """The body of an `op`, made once for the same arguments and shape."""
        key = (id(bound.definition), _identity(arguments), entering)
        if key not in self._bodies:
            assert isinstance(bound.definition, nodes.OpDefinition)
            self._bodies[key] = _State.RUNNING
            try:
                with self.reporting():
                    made = self.operation(bound.definition.body, Scope(dict(arguments)), bound.file, entering)
                self._bodies[key] = made and replace(
                    made, name=bound.name, arguments=arguments, definition=bound.definition
                )
            except Poisoned:
                self._bodies[key] = _State.WRONG
        return self._made(self._bodies[key])

    def _made(self, found: _Some | _State) -> _Some:
        """What was made of a definition; not where it was wrong, or is still being made: it calls itself."""
        if found is _State.RUNNING:
            label = "it calls itself with the same arguments, and so without end"
            raise Fault(codes.CALL_DEPTH.at(self.latest_call, label, bound=f"{MAX_DEPTH} levels"))
        if isinstance(found, _State):
            raise Poisoned
        return found

    def _primitive(self, call: nodes.Call, scope: Scope, entering: Shape) -> Operation:
        name, values = call.callee.name, self._settings(call, scope)
        primitive = Primitive(name, self.bind_values(signatures()[name], values, entering))
        try:
            output = primitive.output(entering)
        except Misfit as misfit:
            shown = show_operation(call)
            raise Fault(
                codes.BAD_SHAPE.at(call.span, operation=shown, shape=show(entering), reason=misfit)
            ) from None
        if max(output) > MAX_SIZE:
            raise Fault(codes.LARGE_NUMBER.at(call.span, f"this gives {show(output)}", bound=f"{MAX_SIZE:,}"))
        return self._bounded(PrimitiveOperation(entering, output, call.span, primitive=primitive))

    def _settings(self, call: nodes.Call, scope: Scope) -> dict[str, Value]:
        """What a call gives to a primitive, all of it of the right type and in its range."""
        given = arguments_by_name(call, signatures()[call.callee.name])
        values = self.each(partial(_setting, call.callee.name, *each, scope) for each in given.items())
        return dict(zip(given, values, strict=True))

    def bind(self, call: nodes.Call, parameters: tuple[nodes.Parameter, ...], scope: Scope) -> Arguments:
        """The values of all parameters; the call's form was checked before."""
        given = arguments_by_name(call, parameters)
        values = self.each(partial(evaluate, each, scope) for each in given.values())
        with self.reporting():
            return self.bind_values(
                parameters, dict(zip(given, values, strict=True)), scope.entering, adrift=scope.adrift
            )

    def bind_values(
        self,
        parameters: tuple[nodes.Parameter, ...],
        given: Mapping[str, Value],
        entering: Shape | None,
        *,
        adrift: bool = False,
    ) -> Arguments:
        """As `bind`, for values; defaults see the parameters before them and the value that enters."""
        values: dict[str, Value] = {}
        scope = Scope(values, entering=entering, adrift=adrift)  # which grows with the values
        for parameter in parameters:
            name = parameter.name.name
            if name in given:
                values[name] = given[name]
            elif parameter.default is not None:
                values[name] = evaluate(parameter.default, scope)
        return tuple(values.items())

    # --- cells

    def called_cell(
        self, call: nodes.Call, bound: Bound, arguments: Arguments, in_shapes: tuple[Shape, ...]
    ) -> Cell:
        """The cell that a call means; its mistakes are reported with the call."""
        with self.inside(call.span, bound.name, arguments):
            return self.cell(bound, arguments, in_shapes)

    def cell(self, bound: Bound, arguments: Arguments, in_shapes: tuple[Shape, ...]) -> Cell:
        """A cell for given arguments and input shapes, made once for the same ones.

        Raises:
            Poisoned: it is wrong, which was reported.
        """
        from robdsl.graph.cells import CellBuilder  # cells elaborate operations, and operations may be cells

        key = (id(bound.definition), _identity(arguments), in_shapes)
        if key not in self._cells:
            self._cells[key] = _State.RUNNING
            self._depth += CELL_DEPTH
            try:
                self._cells[key] = CellBuilder(self, bound, arguments, in_shapes).build()
            except Poisoned:
                self._cells[key] = _State.WRONG
            finally:
                self._depth -= CELL_DEPTH
        return self._made(self._cells[key])


class _State(Enum):
    """What stands for something that is not there."""

    RUNNING = auto()  # it is being made
    WRONG = auto()  # it could not be made, and that was reported


def arguments_by_name(call: nodes.Call, parameters: tuple[nodes.Parameter, ...]) -> dict[str, nodes.Expr]:
    """The arguments of a call by the names of their parameters."""
    by_place = (each for each in call.arguments if each.name is None)
    given = {parameter.name.name: each.value for parameter, each in zip(parameters, by_place, strict=False)}
    return given | {each.name.name: each.value for each in call.arguments if each.name is not None}


def _setting(primitive: str, parameter: str, written: nodes.Expr, scope: Scope) -> Value:
    """An argument of a primitive; raises `Fault` when its type or range is wrong."""
    domain, value = DOMAINS[parameter], evaluate(written, scope)
    what = f"`{parameter}` of `{primitive}`"
    if type(value) not in domain.types:
        raise Fault(wrong_type(written, value, what, domain.wanted, scope))
    if not domain.admits(value):
        got = kind_of(value)
        raise Fault(codes.OUT_OF_RANGE.at(written.span, what=what, wanted=domain.wanted, got=got))
    return value


def differing(what: str, first: Span, first_shape: Shape, second: Span, second_shape: Shape) -> Diagnostic:
    """The mistake of two places that should have one shape."""
    return codes.SHAPES_DIFFER.at(
        second,
        f"this gives {show(second_shape)}",
        related=[] if first == second else [Label(first, f"this gives {show(first_shape)}")],
        what=what,
        first=show(first_shape),
        second=show(second_shape),
    )


def _identity(arguments: Arguments) -> tuple[object, ...]:
    """Arguments as a key: ``1``, ``1.0`` and ``true`` are equal to Python but not here."""
    return tuple((name, type(value), value) for name, value in arguments)


def check_size(cost: Cost, span: Span) -> None:
    """Raises `Fault` when something has grown past the bounds."""
    if cost.primitives > MAX_PRIMITIVES:
        raise Fault(codes.TOO_LARGE.at(span, what="operations", bound=f"{MAX_PRIMITIVES:,}"))
    if cost.params > MAX_PARAMS:
        raise Fault(codes.TOO_LARGE.at(span, what="parameters", bound=f"{MAX_PARAMS:,}"))
