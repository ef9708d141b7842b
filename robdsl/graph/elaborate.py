"""Tree to operations: calls are bound, conditions decided, shapes worked out.

Everything here happens for given argument values and input shapes. What is elaborated once for the same values is
not elaborated again, so twenty cells of three sizes cost three.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

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
from robdsl.graph.shapes import Shape, show
from robdsl.graph.structure import check_definition
from robdsl.graph.values import Fault, Poisoned, Scope, Value, boolean, evaluate, kind_of, show_value
from robdsl.syntax import nodes

#: How deep operations may nest while they are elaborated.
MAX_DEPTH = 100
#: How many operations elaboration may make.
MAX_WORK = 500_000
#: How many primitives a net may have, and how many numbers it may learn.
MAX_PRIMITIVES = 2_000_000
MAX_PARAMS = 4_000_000_000

Arguments = tuple[tuple[str, Value], ...]


class Elaborator:
    """Elaborates operations and cells, and reports what is wrong with them."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._checked: dict[int, bool] = {}
        self._bodies: dict[tuple[object, ...], Operation | Poisoned | None] = {}
        self._cells: dict[tuple[object, ...], Cell | Poisoned] = {}
        self._trace: list[Label] = []
        self._depth = 0
        self._work = 0

    # --- reporting

    def add(self, diagnostic: Diagnostic) -> None:
        """Reports a mistake, with the calls that led to it."""
        self.report.add(
            replace(diagnostic, trace=tuple(reversed(self._trace[-8:]))) if self._trace else diagnostic
        )

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Turns a `Fault` into a report; what depends on it is `Poisoned`."""
        try:
            yield
        except Fault as fault:
            self.add(fault.diagnostic)
            raise Poisoned from None

    @contextmanager
    def _inside(self, span: Span, what: str) -> Iterator[None]:
        self._trace.append(Label(span, what))
        try:
            yield
        finally:
            self._trace.pop()

    def sound(self, bound: Bound) -> bool:
        """Whether a definition has the right form; says what is wrong with it the first time."""
        key = id(bound.definition)
        if key not in self._checked:
            found = check_definition(bound)
            self.report.extend(found)
            self._checked[key] = all(each.severity == "warning" for each in found)
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
            return self._operation(operation, replace(scope, entering=entering), file, entering)
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
        parts: list[Operation] = []
        for part in chain.parts:
            parts.append(self.some(part, scope, file, parts[-1].out_shape if parts else entering))
        return self._bounded(ChainOperation(entering, parts[-1].out_shape, chain.span, parts=tuple(parts)))

    def _sum(self, sum_: nodes.Sum, scope: Scope, file: ProgramFile, entering: Shape) -> Operation:
        parts = tuple(self.some(part, scope, file, entering) for part in sum_.parts)
        self.same_shapes(sum_, parts)
        return self._bounded(SumOperation(entering, parts[0].out_shape, sum_.span, parts=parts))

    def same_shapes(self, sum_: nodes.Sum, parts: tuple[Operation, ...]) -> None:
        """Raises `Fault` when what is summed has different shapes."""
        for node, part in zip(sum_.parts, parts, strict=True):
            if part.out_shape != parts[0].out_shape:
                first = sum_.parts[0].span
                raise Fault(
                    codes.SHAPES_DIFFER.at(
                        node.span, f"this gives {show(part.out_shape)}", what="a sum of values", first=show(parts[0].out_shape),
                        second=show(part.out_shape), related=[Label(first, f"this gives {show(parts[0].out_shape)}")],
                    )
                )  # fmt: skip

    def _bounded(self, operation: Operation) -> Operation:
        self._work += 1
        if self._work > MAX_WORK:
            raise Fault(codes.TOO_MANY_OPERATIONS.at(operation.span, bound=f"{MAX_WORK:,}"))
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
        with self._inside(call.span, f"in `{shown_call(name, arguments)}`"):
            return self._body(bound, arguments, entering)

    def _body(self, bound: Bound, arguments: Arguments, entering: Shape) -> Operation | None:
        """The body of an `op`, made once for the same arguments and shape."""
        key = (id(bound.definition), _identity(arguments), entering)
        if key not in self._bodies:
            assert isinstance(bound.definition, nodes.OpDefinition)
            try:
                with self.reporting():
                    made = self.operation(bound.definition.body, Scope(dict(arguments)), bound.file, entering)
                self._bodies[key] = made and replace(made, name=bound.name, arguments=arguments)
            except Poisoned as poisoned:
                self._bodies[key] = poisoned
        body = self._bodies[key]
        if isinstance(body, Poisoned):
            raise body
        return body

    def _primitive(self, call: nodes.Call, scope: Scope, entering: Shape) -> Operation:
        name = call.callee.name
        arguments = self.bind(call, signatures()[name], scope)
        for parameter, value in arguments:
            domain = DOMAINS[parameter]
            if type(value) in domain.types and domain.admits(value):
                continue
            code = codes.OUT_OF_RANGE if type(value) in domain.types else codes.WRONG_TYPE
            given = next(
                (a.span for a in call.arguments if a.name is not None and a.name.name == parameter), call.span
            )
            raise Fault(
                code.at(given, what=f"`{parameter}` of `{name}`", wanted=domain.wanted, got=kind_of(value))
            )
        primitive = Primitive(name, arguments)
        try:
            output = primitive.output(entering)
        except Misfit as misfit:
            raise Fault(
                codes.BAD_SHAPE.at(
                    call.span, operation=shown_call(name, arguments), shape=show(entering), reason=misfit
                )
            ) from None
        if max(output) > 10**9:
            raise Fault(codes.LARGE_NUMBER.at(call.span, bound="10^9"))
        return self._bounded(PrimitiveOperation(entering, output, call.span, primitive=primitive))

    def bind(self, call: nodes.Call, parameters: tuple[nodes.Parameter, ...], scope: Scope) -> Arguments:
        """The values of all parameters; the call's form was checked before."""
        given: dict[str, nodes.Expr] = {}
        for parameter, argument in zip(parameters, call.arguments, strict=False):
            if argument.name is None:
                given[parameter.name.name] = argument.value
        given.update((each.name.name, each.value) for each in call.arguments if each.name is not None)
        return self.bind_values(
            parameters, {name: evaluate(each, scope) for name, each in given.items()}, scope.entering
        )

    def bind_values(
        self, parameters: tuple[nodes.Parameter, ...], given: Mapping[str, Value], entering: Shape | None
    ) -> Arguments:
        """As `bind`, for values; defaults see the parameters before them and the value that enters."""
        values: dict[str, Value] = {}
        for parameter in parameters:
            name = parameter.name.name
            if name in given:
                values[name] = given[name]
            elif parameter.default is not None:
                values[name] = evaluate(parameter.default, Scope(dict(values), entering=entering))
        return tuple(values.items())

    # --- cells

    def called_cell(
        self, call: nodes.Call, bound: Bound, arguments: Arguments, in_shapes: tuple[Shape, ...]
    ) -> Cell:
        """The cell that a call means; its mistakes are reported with the call."""
        with self._inside(call.span, f"in `{shown_call(bound.name, arguments)}`"):
            return self.cell(bound, arguments, in_shapes)

    def cell(self, bound: Bound, arguments: Arguments, in_shapes: tuple[Shape, ...]) -> Cell:
        """A cell for given arguments and input shapes, made once for the same ones; raises `Poisoned` when it is wrong."""
        from robdsl.graph.cells import CellBuilder  # cells elaborate operations, and operations may be cells

        key = (id(bound.definition), _identity(arguments), in_shapes)
        if key not in self._cells:
            try:
                self._cells[key] = CellBuilder(self, bound, arguments, in_shapes).build()
            except Poisoned as poisoned:
                self._cells[key] = poisoned
        cell = self._cells[key]
        if isinstance(cell, Poisoned):
            raise cell
        return cell


def _identity(arguments: Arguments) -> tuple[object, ...]:
    """Arguments as a key: ``1``, ``1.0`` and ``true`` are equal to Python but not here."""
    return tuple((name, type(value), value) for name, value in arguments)


def shown_call(name: str, arguments: Arguments) -> str:
    """``conv(3, width=8)`` with the values that were bound."""
    shown = ", ".join(f"{parameter}={show_value(value)}" for parameter, value in arguments)
    return f"{name}({shown})" if shown else name


def check_size(cost: Cost, span: Span) -> None:
    """Raises `Fault` when something has grown past the bounds."""
    if cost.primitives > MAX_PRIMITIVES:
        raise Fault(codes.TOO_LARGE.at(span, what="operations", bound=f"{MAX_PRIMITIVES:,}"))
    if cost.params > MAX_PARAMS:
        raise Fault(codes.TOO_LARGE.at(span, what="parameters", bound=f"{MAX_PARAMS:,}"))
