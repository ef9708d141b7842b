"""What can be said of operations and expressions without computing anything: names, arguments, places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from itertools import takewhile

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, Report, did_you_mean, nearest
from robdsl.graph.index import use_for
from robdsl.graph.primitives import signatures
from robdsl.graph.program import Bound, ProgramFile
from robdsl.graph.values import ATTRIBUTES, NET_MEASURES, PICK_MEASURES, subexpressions
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_operation

#: How many alternatives an open edge may have.
MAX_ALTERNATIVES = 16


class Place(Enum):
    """Where an operation stands."""

    EDGE = auto()  # the whole right side of an edge
    OP = auto()  # the whole body of an `op`
    BRANCH = auto()  # a whole branch of an `if` that is the whole of an edge or an `op`
    PART = auto()  # inside a chain, a sum or a stage
    ANY = auto()  # an alternative of `any`
    ONE = auto()  # an alternative of `one`
    STAGE = auto()  # a whole stage of a net


@lru_cache(maxsize=1024)
def inputs_of(cell: Bound) -> tuple[str, ...]:
    """The names of a cell's inputs, oldest first."""
    body = cell.definition.body if isinstance(cell.definition, nodes.CellDefinition) else ()
    return tuple(name.name for each in body if isinstance(each, nodes.Inputs) for name in each.names)


def choice_of(operation: nodes.Op | None, file: ProgramFile) -> nodes.Choice | None:
    """The choice that an operation is, itself or through `op`s that stand for it; None for a closed one."""
    seen: set[int] = set()
    while isinstance(operation, nodes.Call):
        bound = file.scope.get(operation.callee.name)
        if bound is None or not isinstance(bound.definition, nodes.OpDefinition) or id(bound) in seen:
            return None
        seen.add(id(bound))
        operation, file = bound.definition.body, bound.file
    return operation if isinstance(operation, nodes.Choice) else None


@lru_cache(maxsize=1024)
def is_open_cell(bound: Bound) -> bool:
    """Whether a cell has edges to choose."""
    return isinstance(bound.definition, nodes.CellDefinition) and any(
        isinstance(each, nodes.Edge) and choice_of(each.operation, bound.file) is not None
        for each in bound.definition.body
    )


@dataclass
class NameChecker:
    """Checks the operations and expressions of one definition.

    Attributes:
        file: where the definition stands.
        values: its parameters and `let`s.
        node_names: the inputs and nodes of a cell.
        picks: the named picks of a space, with the cell that each picks.
        excused: names that would have a meaning but for a mistake that was reported.
        found: what is wrong.
        sound: False when something is wrong, also where that was reported elsewhere.
    """

    file: ProgramFile
    values: set[str] = field(default_factory=set)
    node_names: Set[str] = frozenset()
    picks: Mapping[str, Bound] = field(default_factory=dict)
    excused: set[str] = field(default_factory=set)
    found: list[Diagnostic] = field(default_factory=list)
    sound: bool = True

    @property
    def full(self) -> bool:
        """Whether enough is wrong."""
        return len(self.found) >= Report.LIMIT

    def unknown(self, name: str) -> bool:
        """Whether to say that a name is unknown; not where its definition could perhaps not be read."""
        if name in self.excused or self.file.may_define(name):
            self.sound = False
            return False
        return True

    # --- operations

    def operation(self, operation: nodes.Op, place: Place) -> None:
        """Checks an operation and all that it is made of."""
        if self.full:
            return
        match operation:
            case nodes.Call():
                self._call(operation, place)
            case nodes.Chain(parts=parts) | nodes.Sum(parts=parts):
                for part in parts:
                    self.operation(part, Place.PART)
            case nodes.If():
                self.expression(operation.condition, inside=True)
                whole = place in (Place.EDGE, Place.OP, Place.BRANCH)
                for branch in (operation.then, operation.otherwise):
                    self.operation(branch, Place.BRANCH if whole else Place.PART)
            case nodes.Nothing():
                if place not in (Place.BRANCH, Place.ONE):
                    help = "leave it out: an `any` edge may stay empty" if place is Place.ANY else None
                    self.found.append(codes.MISPLACED_NONE.at(operation.span, help=help))
            case nodes.Choice():
                self._choice(operation, place)

    def _choice(self, choice: nodes.Choice, place: Place) -> None:
        if place not in (Place.EDGE, Place.OP):
            label = "an open edge is the whole right side of an edge"
            self.found.append(codes.MISPLACED_CHOICE.at(choice.span, label, kind=choice.kind))
        if len(choice.alternatives) > MAX_ALTERNATIVES:
            first = choice.alternatives[MAX_ALTERNATIVES]
            self.found.append(
                codes.TOO_MANY_ALTERNATIVES.at(first.span, "one too many", bound=MAX_ALTERNATIVES)
            )
            return
        empty = [each for each in choice.alternatives if isinstance(each, nodes.Nothing)]
        if choice.kind == "one" and len(empty) == len(choice.alternatives):
            self.found.append(codes.MISPLACED_NONE.at(empty[0].span, "there is nothing else to choose"))
        elif choice.kind == "one" and len(empty) > 1:
            related = [Label(empty[0].span, "offered here")]
            self.found.append(codes.MISPLACED_NONE.at(empty[1].span, "offered again", related=related))
        for alternative in choice.alternatives:
            self.operation(alternative, Place.ANY if choice.kind == "any" else Place.ONE)

    def _call(self, call: nodes.Call, place: Place) -> None:
        name, at = call.callee.name, call.callee.span
        if name in signatures():
            self.arguments(call, signatures()[name])
        elif name in self.picks:
            picked = self.picks[name]
            self._cell(call, picked, place)
            self.arguments(call, picked.definition.parameters)
        elif name in self.file.scope:
            self._defined(call, self.file.scope[name], place)
        elif name in self.values or name in self.node_names:
            what = f"the {'value' if name in self.values else 'node'} `{name}`"
            own = "a value cannot stand for an operation; call the operation by its own name"
            self.found.append(codes.NOT_AN_OPERATION.at(at, what=what, help=own))
        elif self.unknown(name):
            bounds = self.file.scope.values()
            callable_ = [each.name for each in bounds if each.kind in ("operation", "cell")]
            near = did_you_mean(name, [*signatures(), *self.picks, *callable_])
            help = use_for(name, "operation", "cell") or near
            self.found.append(codes.UNKNOWN_OPERATION.at(at, name=name, help=help))

    def _defined(self, call: nodes.Call, bound: Bound, place: Place) -> None:
        if bound.kind in ("net", "space"):
            what = f"the {bound.kind} `{bound.name}`"
            self.found.append(codes.NOT_AN_OPERATION.at(call.callee.span, what=what))
            return
        if isinstance(bound.definition, nodes.CellDefinition):
            if is_open_cell(bound):
                help = f"write `pick {show_operation(call)}`" if place is Place.STAGE else None
                self.found.append(codes.OPEN_CELL.at(call.callee.span, name=bound.name, help=help))
            else:
                self._cell(call, bound, place)
        elif choice_of(call, self.file) is not None and place not in (Place.EDGE, Place.OP):
            self.found.append(codes.OPEN_OPERATION.at(call.callee.span, name=bound.name))
        self.arguments(call, bound.definition.parameters)

    def _cell(self, call: nodes.Call, bound: Bound, place: Place) -> None:
        count = len(inputs_of(bound))
        if count > 1 and place is not Place.STAGE:
            where = "inside another operation" if place is Place.PART else "on an edge"
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
        for each in subexpressions(expression):
            if self.full:
                return
            match each:
                case nodes.Name():
                    self._name(each)
                case nodes.Attribute():
                    self._attribute(each, inside)
                case nodes.Measure():
                    self._measure(each, measures)

    def _name(self, name: nodes.Name) -> None:
        """A name that is nothing else is a word; one that is nearly something else may be a slip."""
        if name.name in self.values or name.name in self.node_names or name.name in NET_MEASURES:
            return
        near = nearest(name.name, self.values, likeness=0.8)
        if near is not None:
            help = f"did you mean `{near}`?"
            self.found.append(codes.WORD_LIKE_NAME.at(name.span, "a word", name=name.name, help=help))

    def _attribute(self, attribute: nodes.Attribute, inside: bool) -> None:
        value, known = attribute.value.name, ", ".join(sorted(self.node_names)[:8])
        if attribute.attribute.name not in ATTRIBUTES:
            help = did_you_mean(attribute.attribute.name, ATTRIBUTES)
            self.found.append(
                codes.UNKNOWN_ATTRIBUTE.at(attribute.attribute.span, name=attribute.attribute, help=help)
            )
        if value == "in" and not inside:
            help = f"name an input or a node: {known}" if known else None
            self.found.append(codes.IN_OUTSIDE.at(attribute.value.span, help=help))
        elif value != "in" and value not in self.node_names:
            help = did_you_mean(value, [*self.node_names, *(["in"] if inside else [])])
            if help is None:
                help = f"known here: {known}" if known else "only inside a cell do values have names"
            self.found.append(codes.UNKNOWN_NODE.at(attribute.value.span, name=value, help=help))

    def _measure(self, measure: nodes.Measure, known: bool) -> None:
        name = measure.function.name
        if name not in PICK_MEASURES:
            help = did_you_mean(name, PICK_MEASURES)
            self.found.append(codes.UNKNOWN_MEASURE.at(measure.function.span, name=name, help=help))
        elif not known:
            self.found.append(codes.MEASURE_OUTSIDE.at(measure.span, name=name))
        else:
            form = {"density": f"{name}(c)", "indegree": f"{name}(c.node)"}.get(name, f"{name}(c, OP)")
            has_node, has_operation = measure.node is not None, measure.operation is not None
            if has_node != (name == "indegree") or has_operation != (name in ("count", "direct", "skips")):
                help = f"it is written `{form}`"
                self.found.append(codes.MEASURE_FORM.at(measure.span, name=name, help=help))


def check_arguments(call: nodes.Call, parameters: tuple[nodes.Parameter, ...]) -> Iterator[Diagnostic]:
    """What is wrong with the arguments of a call, whatever their values."""
    names = [each.name.name for each in parameters]
    known = f"it has {', '.join(f'`{each}`' for each in names)}" if names else "it has none"
    by_place = list(takewhile(lambda each: each.name is None, call.arguments))
    if len(by_place) > len(names):
        at = by_place[len(names)].span
        yield codes.TOO_MANY_ARGUMENTS.at(at, known, callee=call.callee, most=_counted(len(names)))
    first = {name: argument.span for name, argument in zip(names, by_place, strict=False)}
    misplaced = False
    for argument in call.arguments[len(by_place) :]:
        if argument.name is None:
            misplaced = True
            yield codes.ARGUMENT_ORDER.at(argument.span)
            continue
        name = argument.name.name
        if name not in names:
            help = did_you_mean(name, names) or known
            yield codes.UNKNOWN_PARAMETER.at(argument.name.span, callee=call.callee, name=name, help=help)
        elif name in first:
            related = [Label(first[name], "given here")]
            yield codes.ARGUMENT_TWICE.at(argument.span, "given again", related=related, name=name)
        first.setdefault(name, argument.span)
    for parameter in () if misplaced else parameters:
        if parameter.default is None and parameter.name.name not in first:
            yield codes.MISSING_ARGUMENT.at(call.span, callee=call.callee, name=parameter.name)


def _counted(most: int) -> str:
    return {0: "no arguments", 1: "at most one argument"}.get(most, f"at most {most} arguments")
