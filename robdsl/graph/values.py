"""Values and the expressions that give them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from decimal import Decimal

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, did_you_mean
from robdsl.diagnostics.source import Span
from robdsl.graph.shapes import Shape, is_map, show
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_expression
from robdsl.syntax.lexer import keywords

#: The largest absolute value of a number.
MAX_NUMBER = 10**18

ATTRIBUTES = ("channels", "height", "width", "shape")
NET_MEASURES = ("params", "macs", "depth")
PICK_MEASURES = ("density", "count", "direct", "skips", "indegree")


@dataclass(frozen=True, slots=True)
class Word:
    """A name that stands for itself, such as ``dot``."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ShapeValue:
    """``x.shape``; can only be compared."""

    shape: Shape

    def __str__(self) -> str:
        return show(self.shape)


Value = int | float | bool | Word | ShapeValue


class Fault(Exception):
    """One thing is wrong; whoever collects diagnostics catches it."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic


class Poisoned(Exception):
    """A value depends on something that was already reported."""


def show_value(value: Value) -> str:
    """A value as it is written in a .rob file (infinities and not-a-number have no digits there)."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        digits = format(Decimal(repr(value)), "f")
        return digits if "." in digits else f"{digits}.0"
    return str(value)


def is_name(text: str) -> bool:
    """Whether a text can be a name (and so a word)."""
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) is not None and text not in keywords()


def kind_of(value: Value) -> str:
    """What a value is, for messages: ``the word `dot` ``, ``36``."""
    if isinstance(value, Word):
        return f"the word `{value}`"
    if isinstance(value, ShapeValue):
        return f"the shape {value}"
    return show_value(value)


@dataclass(frozen=True)
class Scope:
    """What the names in an expression mean.

    Args:
        values: parameters and lets.
        unknown: lets whose values are unknown because of an earlier error.
        node_shape: the shape of an input or node; raises `Fault` when it cannot be spoken of.
        node_names: the names that `node_shape` knows.
        entering: the shape of ``in``, where there is one.
        adrift: whether the shape of ``in`` is unknown because of an earlier error.
        measure: the value of ``density(c)``, ``params``, ...; None where no measures are known.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    unknown: Set[str] = frozenset()
    node_shape: Callable[[nodes.Ident], Shape] | None = None
    node_names: Set[str] = frozenset()
    entering: Shape | None = None
    measure: Callable[[nodes.Measure | nodes.Name], Value] | None = None
    adrift: bool = False

    def entered_by(self, shape: Shape) -> Scope:
        """The scope inside a call or `if` that a value of this shape enters."""
        return self if shape == self.entering else replace(self, entering=shape, adrift=False)

    def cast_off(self) -> Scope:
        """The scope inside a call or `if` that a value of unknown shape enters."""
        return replace(self, entering=None, adrift=True)


def subexpressions(expression: nodes.Node) -> Iterator[nodes.Node]:
    """An expression and all below it, but not the alternative that a measure names: that is not evaluated."""
    pending = [expression]
    while pending:
        current = pending.pop()
        yield current
        if not isinstance(current, nodes.Measure):
            pending.extend(reversed(list(current.children())))


def is_measure(node: nodes.Node, values: Mapping[str, object]) -> bool:
    """Whether an expression node is a measure; a parameter or `let` called ``depth`` hides the measure."""
    if isinstance(node, nodes.Measure):
        return True
    return isinstance(node, nodes.Name) and node.name in NET_MEASURES and node.name not in values


def evaluate(expression: nodes.Expr, scope: Scope) -> Value:
    """The value of an expression.

    Raises:
        Fault: a type, range or name is wrong; the fault points at the culprit.
        Poisoned: a value or shape that it speaks of is unknown because of an earlier error.
    """
    match expression:
        case nodes.Number():
            return _bounded(expression.value, expression.span)
        case nodes.Boolean():
            return expression.value
        case nodes.Name():
            return _name(expression, scope)
        case nodes.Attribute():
            return _attribute(expression, scope)
        case nodes.Measure():
            if scope.measure is None:
                raise Fault(codes.MEASURE_OUTSIDE.at(expression.span, name=expression.function))
            return scope.measure(expression)
        case nodes.Unary(operator="not"):
            return not boolean(expression.operand, scope, "the operand of `not`")
        case nodes.Unary():
            return -_number(expression.operand, scope, "-")
        case nodes.Within():
            value, low, high = (
                _number(each, scope, "in") for each in (expression.value, expression.low, expression.high)
            )
            return low <= value <= high
        case nodes.Binary(operator="and"):
            left = boolean(expression.left, scope, "the left side of `and`")
            return left and boolean(expression.right, scope, "the right side of `and`")
        case nodes.Binary(operator="or"):
            left = boolean(expression.left, scope, "the left side of `or`")
            return left or boolean(expression.right, scope, "the right side of `or`")
        case nodes.Binary(operator="==" | "!="):
            return _equal(expression, scope) == (expression.operator == "==")
        case nodes.Binary():
            return _binary(expression, scope)


def boolean(expression: nodes.Expr, scope: Scope, what: str) -> bool:
    """The value of a condition; raises `Fault` when it is not true or false."""
    value = evaluate(expression, scope)
    if not isinstance(value, bool):
        raise Fault(wrong_type(expression, value, what, "`true` or `false`", scope))
    return value


def integer(expression: nodes.Expr, scope: Scope, what: str) -> int:
    """The value of an expression that must be an integer."""
    value = evaluate(expression, scope)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Fault(wrong_type(expression, value, what, "an integer", scope))
    return value


def wrong_type(expression: nodes.Expr, value: Value, what: str, wanted: str, scope: Scope) -> Diagnostic:
    """The diagnostic for a value of the wrong type; a word is perhaps a measure, or a mistyped name."""
    if isinstance(expression, nodes.Name) and isinstance(value, Word) and value.name in NET_MEASURES:
        return codes.MEASURE_OUTSIDE.at(expression.span, name=value.name)
    help = did_you_mean(value.name, [*scope.values]) if isinstance(value, Word) else None
    return codes.WRONG_TYPE.at(expression.span, what=what, wanted=wanted, got=kind_of(value), help=help)


def _name(name: nodes.Name, scope: Scope) -> Value:
    if name.name in scope.values:
        return scope.values[name.name]
    if name.name in scope.unknown:
        raise Poisoned
    if name.name in scope.node_names:
        raise Fault(
            codes.WRONG_TYPE.at(
                name.span, what=f"`{name.name}`", wanted="a value", got="a node",
                help=f"a node has `{name.name}.channels`, `.height`, `.width` and `.shape`",
            )
        )  # fmt: skip
    if name.name in NET_MEASURES and scope.measure is not None:
        return scope.measure(name)
    return Word(name.name)


def _attribute(attribute: nodes.Attribute, scope: Scope) -> Value:
    if attribute.attribute.name not in ATTRIBUTES:
        raise Fault(
            codes.UNKNOWN_ATTRIBUTE.at(
                attribute.attribute.span,
                name=attribute.attribute,
                help=did_you_mean(attribute.attribute.name, ATTRIBUTES),
            )
        )
    shape = _shape(attribute.value, scope)
    match attribute.attribute.name:
        case "channels":
            return shape[0]
        case "shape":
            return ShapeValue(shape)
        case name:
            if not is_map(shape):
                raise Fault(
                    codes.UNKNOWN_ATTRIBUTE.at(
                        attribute.span, f"`{attribute.value}` is flattened: {show(shape)} features", name=name
                    )
                )
            return shape[1 if name == "height" else 2]


def _shape(value: nodes.Ident, scope: Scope) -> Shape:
    if value.name == "in":
        if scope.adrift:
            raise Poisoned
        if scope.entering is None:
            known = f"name an input: {', '.join(sorted(scope.node_names))}" if scope.node_names else None
            raise Fault(codes.IN_OUTSIDE.at(value.span, help=known))
        return scope.entering
    if scope.node_shape is None or value.name not in scope.node_names:
        raise Fault(
            codes.UNKNOWN_NODE.at(
                value.span, name=value, help=did_you_mean(value.name, [*scope.node_names, "in"])
            )
        )
    return scope.node_shape(value)


def _number(expression: nodes.Expr, scope: Scope, operator: str) -> int | float:
    value = evaluate(expression, scope)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Fault(wrong_type(expression, value, f"an operand of `{operator}`", "a number", scope))
    return value


def _binary(expression: nodes.Binary, scope: Scope) -> Value:
    left = _number(expression.left, scope, expression.operator)
    right = _number(expression.right, scope, expression.operator)
    match expression.operator:
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right
        case "+":
            result = left + right
        case "-":
            result = left - right
        case "*":
            result = left * right
        case operator:
            if right == 0:
                raise Fault(codes.DIVISION_BY_ZERO.at(expression.right.span))
            result = left // right if operator == "//" else left % right
    return _bounded(result, expression.span)


def _equal(expression: nodes.Binary, scope: Scope) -> bool:
    """Whether two values are the same; those of two types are not. A shape is compared with shapes only."""
    left, right = evaluate(expression.left, scope), evaluate(expression.right, scope)
    for value, other, at in ((left, right, expression.right), (right, left, expression.left)):
        if isinstance(value, ShapeValue) and not isinstance(other, ShapeValue):
            raise Fault(wrong_type(at, other, "what a shape is compared with", "a shape", scope))
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return left == right


def _bounded(value: int | float, span: Span) -> int | float:
    if (isinstance(value, float) and not math.isfinite(value)) or abs(value) > MAX_NUMBER:
        raise Fault(codes.LARGE_NUMBER.at(span, bound="10^18"))
    return value


def spoken_values(condition: nodes.Expr, scope: Scope) -> str:
    """``width = 35, x.channels = 3``: the values of all that a condition speaks of."""
    said: dict[str, str] = {}
    for each in subexpressions(condition):
        if not isinstance(each, nodes.Attribute | nodes.Measure | nodes.Name):
            continue
        try:
            value = evaluate(each, scope)
        except (Fault, Poisoned):
            continue
        text = show_expression(each)
        if value != Word(text):
            shown = float(f"{value:.6g}") if isinstance(value, float) else value
            said.setdefault(text, f"{text} = {show_value(shown)}")
    return ", ".join(said.values())
