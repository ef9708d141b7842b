"""What can be said of operations and expressions without computing anything: names, arguments, and where forms may stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, did_you_mean
from robdsl.graph.primitives import signatures
from robdsl.graph.program import Bound, ProgramFile
from robdsl.graph.values import ATTRIBUTES, PICK_MEASURES
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_operation

#: How many alternatives an open edge may have.
MAX_ALTERNATIVES = 16


class Place(Enum):
    """Where an operation stands."""

    EDGE = auto()  # the whole right side of an edge
    OP = auto()  # the whole body of an `op`
    BRANCH = auto()  # a whole branch of an `if` that is the whole of an edge or an `op`
    PART = auto()  # inside a chain or a sum
    ANY = auto()  # an alternative of `any`
    ONE = auto()  # an alternative of `one`
    STAGE = auto()  # a whole stage of a net


def parameters_of(bound: Bound) -> tuple[nodes.Parameter, ...]:
    return bound.definition.parameters


def inputs_of(cell: nodes.CellDefinition) -> tuple[str, ...]:
    """The names of a cell's inputs, oldest first."""
    return tuple(name.name for each in cell.body if isinstance(each, nodes.Inputs) for name in each.names)


def is_open(operation: nodes.Op | None, file: ProgramFile) -> nodes.Choice | None:
    """The choice that an operation is, itself or through `op`s that stand for it; None for a closed one."""
    seen: set[int] = set()
    while isinstance(operation, nodes.Call):
        bound = file.scope.get(operation.callee.name)
        if bound is None or not isinstance(bound.definition, nodes.OpDefinition) or id(bound) in seen:
            return None
        seen.add(id(bound))
        operation, file = bound.definition.body, bound.file
    return operation if isinstance(operation, nodes.Choice) else None


def is_open_cell(bound: Bound) -> bool:
    """Whether a cell has edges to choose."""
    return isinstance(bound.definition, nodes.CellDefinition) and any(
        isinstance(each, nodes.Edge) and is_open(each.operation, bound.file) is not None
        for each in bound.definition.body
    )


@dataclass
class NameChecker:
    """Checks the operations and expressions of one definition.

    Args:
        file: where the definition stands.
        values: its parameters and `let`s.
        nodes: the inputs and nodes of a cell.
        picks: the named picks of a space, with the cell that each picks.
    """

    file: ProgramFile
    values: set[str] = field(default_factory=set)
    nodes: frozenset[str] = frozenset()
    picks: Mapping[str, Bound] = field(default_factory=dict)
    found: list[Diagnostic] = field(default_factory=list)

    # --- operations

    def operation(self, operation: nodes.Op, place: Place) -> None:
        match operation:
            case nodes.Call():
                self._call(operation, place)
            case nodes.Chain(parts=parts) | nodes.Sum(parts=parts):
                for part in parts:
                    self.operation(part, Place.PART)
            case nodes.If():
                self.expression(operation.condition, inside=True)
                inner = Place.BRANCH if place in (Place.EDGE, Place.OP, Place.BRANCH) else Place.PART
                self.operation(operation.then, inner)
                self.operation(operation.otherwise, inner)
            case nodes.Nothing():
                if place not in (Place.BRANCH, Place.ONE):
                    help = "leave it out: an `any` edge may stay empty" if place is Place.ANY else None
                    self.found.append(codes.MISPLACED_NONE.at(operation.span, help=help))
            case nodes.Choice():
                self._choice(operation, place)

    def _choice(self, choice: nodes.Choice, place: Place) -> None:
        if place not in (Place.EDGE, Place.OP):
            self.found.append(
                codes.MISPLACED_CHOICE.at(
                    choice.span, "an open edge is the whole right side of an edge", kind=choice.kind
                )
            )
        if len(choice.alternatives) > MAX_ALTERNATIVES:
            self.found.append(codes.TOO_MANY_ALTERNATIVES.at(choice.span, bound=MAX_ALTERNATIVES))
        empty = [each for each in choice.alternatives if isinstance(each, nodes.Nothing)]
        if choice.kind == "one" and len(empty) == len(choice.alternatives):
            self.found.append(codes.MISPLACED_NONE.at(empty[0].span, "there is nothing else to choose"))
        elif len(empty) > 1 and choice.kind == "one":
            self.found.append(codes.MISPLACED_NONE.at(empty[1].span, "`none` is offered once"))
        for alternative in choice.alternatives:
            self.operation(alternative, Place.ANY if choice.kind == "any" else Place.ONE)

    def _call(self, call: nodes.Call, place: Place) -> None:
        name = call.callee.name
        if name in signatures():
            self.arguments(call, signatures()[name])
        elif name in self.picks:
            picked = self.picks[name]
            self._cell(call, picked, place)
            self.arguments(call, parameters_of(picked))
        elif name in self.file.scope:
            self._defined(call, self.file.scope[name], place)
        elif name in self.values or name in self.nodes:
            what = f"the {'parameter or `let`' if name in self.values else 'node'} `{name}`"
            self.found.append(
                codes.NOT_AN_OPERATION.at(
                    call.callee.span, what=what, help="operations are called by their own names"
                )
            )
        else:
            known = [
                *signatures(),
                *self.picks,
                *(b.name for b in self.file.scope.values() if b.kind in ("operation", "cell")),
            ]
            self.found.append(
                codes.UNKNOWN_OPERATION.at(
                    call.callee.span, name=name, help=did_you_mean(name, known) or _elsewhere(name)
                )
            )

    def _defined(self, call: nodes.Call, bound: Bound, place: Place) -> None:
        if bound.kind in ("net", "space"):
            self.found.append(
                codes.NOT_AN_OPERATION.at(call.callee.span, what=f"the {bound.kind} `{bound.name}`")
            )
            return
        if isinstance(bound.definition, nodes.CellDefinition):
            if is_open_cell(bound):
                help = f"write `pick {show_operation(call)}`" if place is Place.STAGE else None
                self.found.append(codes.OPEN_CELL.at(call.callee.span, name=bound.name, help=help))
            else:
                self._cell(call, bound, place)
        elif is_open(call, self.file) is not None and place not in (Place.EDGE, Place.OP):
            self.found.append(codes.OPEN_OPERATION.at(call.callee.span, name=bound.name))
        self.arguments(call, parameters_of(bound))

    def _cell(self, call: nodes.Call, bound: Bound, place: Place) -> None:
        assert isinstance(bound.definition, nodes.CellDefinition)
        count = len(inputs_of(bound.definition))
        if count > 1 and place is not Place.STAGE:
            where = "inside a chain or a sum" if place is Place.PART else "on an edge"
            self.found.append(
                codes.MANY_INPUTS.at(call.callee.span, name=call.callee, count=count, where=where)
            )

    def arguments(self, call: nodes.Call, parameters: tuple[nodes.Parameter, ...]) -> None:
        """Checks the arguments of a call against the parameters of what it calls."""
        for argument in call.arguments:
            self.expression(argument.value, inside=True)
        self.found.extend(check_arguments(call, parameters))

    # --- expressions

    def expression(self, expression: nodes.Expr, *, inside: bool, measures: bool = False) -> None:
        """Checks the names of an expression; ``inside`` where ``in`` has a meaning, ``measures`` in rules."""
        for each in nodes.walk(expression):
            match each:
                case nodes.Attribute():
                    self._attribute(each, inside)
                case nodes.Measure() if not measures:
                    self.found.append(codes.MEASURE_OUTSIDE.at(each.span, name=each.function))
                case nodes.Measure():
                    self._measure(each)

    def _attribute(self, attribute: nodes.Attribute, inside: bool) -> None:
        value = attribute.value.name
        if attribute.attribute.name not in ATTRIBUTES:
            help = did_you_mean(attribute.attribute.name, ATTRIBUTES)
            self.found.append(
                codes.UNKNOWN_ATTRIBUTE.at(attribute.attribute.span, name=attribute.attribute, help=help)
            )
        if value == "in":
            if not inside:
                known = f"name an input: {', '.join(sorted(self.nodes))}" if self.nodes else None
                self.found.append(codes.IN_OUTSIDE.at(attribute.value.span, help=known))
        elif value not in self.nodes:
            help = did_you_mean(value, [*self.nodes, "in"])
            self.found.append(codes.UNKNOWN_NODE.at(attribute.value.span, name=value, help=help))

    def _measure(self, measure: nodes.Measure) -> None:
        name = measure.function.name
        if name not in PICK_MEASURES:
            help = did_you_mean(name, PICK_MEASURES)
            self.found.append(codes.UNKNOWN_MEASURE.at(measure.function.span, name=name, help=help))
            return
        form = {"density": f"{name}(c)", "indegree": f"{name}(c.node)"}.get(name, f"{name}(c, OP)")
        fits = (measure.node is not None) == (name == "indegree") and (measure.operation is not None) == (
            name in ("count", "direct", "skips")
        )
        if not fits:
            self.found.append(
                codes.UNKNOWN_MEASURE.at(measure.span, name=name, help=f"it is written `{form}`")
            )


def check_arguments(call: nodes.Call, parameters: tuple[nodes.Parameter, ...]) -> Iterable[Diagnostic]:
    """What is wrong with the arguments of a call, whatever their values."""
    names = [each.name.name for each in parameters]
    by_place = [each for each in call.arguments if each.name is None]
    if len(by_place) > len(names):
        yield codes.TOO_MANY_ARGUMENTS.at(by_place[len(names)].span, callee=call.callee, most=len(names))
    given = set(names[: len(by_place)])
    named_before = False
    for argument in call.arguments:
        if argument.name is None:
            if named_before:
                yield codes.ARGUMENT_ORDER.at(argument.span)
            continue
        named_before = True
        name = argument.name.name
        if name not in names:
            help = did_you_mean(name, names) or (
                f"it has {', '.join(f'`{each}`' for each in names)}" if names else "it has none"
            )
            yield codes.UNKNOWN_PARAMETER.at(argument.name.span, callee=call.callee, name=name, help=help)
        elif name in given:
            yield codes.ARGUMENT_TWICE.at(argument.span, name=name)
        given.add(name)
    for parameter in parameters:
        if parameter.default is None and parameter.name.name not in given:
            yield codes.MISSING_ARGUMENT.at(call.span, callee=call.callee, name=parameter.name)


def _elsewhere(name: str) -> str | None:
    from robdsl.graph.index import (
        defined_in,
    )  # an index of shipped files, built only when an error asks for it

    dotted = defined_in(name)
    return f"`use {dotted}` defines it" if dotted else None
