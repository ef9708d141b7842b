"""The expressions of a definition, as the constructor of its class says them.

What the text writes as ``4*width`` becomes ``4 * width`` in Python, with the parameters that the text has. Nothing else
is ever computed there: what a constructor cannot say (of heights, for instance) becomes a parameter of its own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from robdsl.compiler.emit.python.amounts import Amount, Values, literal
from robdsl.diagnostics.source import Span
from robdsl.graph.values import NET_MEASURES, Word
from robdsl.syntax import nodes

#: Python's precedence, which is the language's.
_BINDS = {
    "or": 1, "and": 2, "not": 3, "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4,
    "+": 5, "-": 5, "*": 6, "//": 6, "%": 6, "unary": 7, "atom": 8,
}  # fmt: skip
_COMPUTE: Mapping[str, Callable[[Any, Any], int | float | bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod,
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """Python code for an expression of the text.

    Attributes:
        values: what it gives in each instance that was asked about.
        binds: how strongly its outermost operator binds.
    """

    code: str
    values: Values
    binds: int = _BINDS["atom"]

    def inside(self, binds: int) -> str:
        """The code as an operand of an operator."""
        return self.code if self.binds >= binds else f"({self.code})"


class _Unsayable(Exception):
    """A constructor cannot say this expression."""


@dataclass
class SourceText:
    """What a definition says, and what its names mean in the constructor of its class.

    Attributes:
        definition: the cell or operation.
        parameters: the constructor's parameters by the names that the text has for them.
        values: by constructor parameter, its value in each instance.
        channels: the channels of an input or node, in each instance; None where they are not known yet.
    """

    definition: nodes.Definition
    parameters: Mapping[str, str]
    values: Mapping[str, Values]
    channels: Callable[[str], Amount | None] = field(default=lambda name: None)

    @cached_property
    def _calls(self) -> dict[tuple[int, int], nodes.Call]:
        calls = (each for each in nodes.walk(self.definition) if isinstance(each, nodes.Call))
        return {(each.span.start, each.span.end): each for each in calls}

    @cached_property
    def _lets(self) -> dict[str, nodes.Expr]:
        lets = (each for each in nodes.walk(self.definition) if isinstance(each, nodes.Let))
        return {each.name.name: each.value for each in lets}

    @cached_property
    def conditions(self) -> tuple[nodes.Expr, ...]:
        """The conditions of its `if`s, each once."""
        found = (each.condition for each in nodes.walk(self.definition) if isinstance(each, nodes.If))
        return tuple(dict.fromkeys(found))

    def call(self, spans: Sequence[Span]) -> nodes.Call | None:
        """The call that stands at all of these places; None where they differ or lie in another definition."""
        whole = self.definition.span
        if any(span.source is not whole.source for span in spans):
            return None
        found = [self._calls.get((span.start, span.end)) for span in spans]
        return found[0] if all(each == found[0] for each in found) else None

    def say(
        self, expression: nodes.Expr, places: Sequence[int], entering: Amount | None = None
    ) -> Said | None:
        """Code for an expression.

        Args:
            expression: of this definition.
            places: the instances that get there.
            entering: the channels of ``in`` in these.

        Returns:
            None when a constructor cannot say it, or when it has no value in one of the instances.
        """
        try:
            return _Speaker(self, places, entering).say(expression)
        except (_Unsayable, ZeroDivisionError):
            return None

    def let(self, name: str) -> nodes.Expr | None:
        """What a `let` stands for."""
        return self._lets.get(name)


@dataclass(frozen=True)
class _Speaker:
    """Says expressions for some of the instances."""

    text: SourceText
    places: Sequence[int]
    entering: Amount | None

    def say(self, expression: nodes.Expr) -> Said:
        match expression:
            case nodes.Number(value=value) | nodes.Boolean(value=value):
                return Said(literal(value), (value,) * len(self.places))
            case nodes.Name(name=name):
                return self._name(name)
            case nodes.Attribute(value=nodes.Ident(name=name), attribute=nodes.Ident(name="channels")):
                return self._channels(name)
            case nodes.Unary(operator="-", operand=operand):
                said = self.say(operand)
                values = tuple(-value for value in _numbers(said))
                return Said(f"-{said.inside(_BINDS['unary'])}", values, _BINDS["unary"])
            case nodes.Unary(operand=operand):
                said = self.say(operand)
                values = tuple(not value for value in _flags(said))
                return Said(f"not {said.inside(_BINDS['not'])}", values, _BINDS["not"])
            case nodes.Within(value=value, low=low, high=high):
                first, middle, last = self.say(low), self.say(value), self.say(high)
                numbers = zip(_numbers(first), _numbers(middle), _numbers(last), strict=True)
                inner = _BINDS["+"]
                code = f"{first.inside(inner)} <= {middle.inside(inner)} <= {last.inside(inner)}"
                return Said(code, tuple(low <= each <= high for low, each, high in numbers), _BINDS["<="])
            case nodes.Binary():
                return self._binary(expression)
        raise _Unsayable

    def _name(self, name: str) -> Said:
        if name in self.text.parameters:
            parameter = self.text.parameters[name]
            values = self.text.values[parameter]
            return Said(parameter, tuple(values[place] for place in self.places))
        value = self.text.let(name)
        if value is not None:
            return self.say(value)
        if name in NET_MEASURES:
            raise _Unsayable
        return Said(literal(Word(name)), (Word(name),) * len(self.places))

    def _channels(self, name: str) -> Said:
        if name == "in":
            amount = self.entering
        else:
            found = self.text.channels(name)
            amount = found and found.at(self.places)
        if amount is None or amount.text is None:
            raise _Unsayable
        return Said(amount.text, amount.values, amount.binds)

    def _binary(self, expression: nodes.Binary) -> Said:
        sign = expression.operator
        left = self.say(expression.left)
        binds = _BINDS[sign]
        if sign in ("and", "or"):
            # What stands on the right may have no value where the left side decides; then the whole is not said.
            right = self.say(expression.right)
            pairs = list(zip(_flags(left), _flags(right), strict=True))
            holds = tuple((a and b) if sign == "and" else (a or b) for a, b in pairs)
            return Said(f"{left.inside(binds)} {sign} {right.inside(binds + 1)}", holds, binds)
        right = self.say(expression.right)
        if sign in ("==", "!="):
            operands = list(zip(left.values, right.values, strict=True))
            if any(isinstance(a, bool) is not isinstance(b, bool) for a, b in operands):
                raise _Unsayable  # Python takes true for 1
        else:
            operands = list(zip(_numbers(left), _numbers(right), strict=True))
        values = tuple(_COMPUTE[sign](a, b) for a, b in operands)
        comparing = binds == _BINDS["=="]
        code = f"{left.inside(binds + comparing)} {sign} {right.inside(binds + 1)}"
        return Said(code, values, binds)


def _numbers(said: Said) -> tuple[int | float, ...]:
    numbers = tuple(
        value for value in said.values if isinstance(value, int | float) and not isinstance(value, bool)
    )
    if len(numbers) != len(said.values):
        raise _Unsayable
    return numbers


def _flags(said: Said) -> tuple[bool, ...]:
    flags = tuple(value for value in said.values if isinstance(value, bool))
    if len(flags) != len(said.values):
        raise _Unsayable
    return flags


def terms_of(amounts: Sequence[Amount]) -> Iterator[str]:
    """The terms of a sum of amounts, equal ones counted: ``2 * width``."""
    counted: dict[str, int] = {}
    inner = {}
    for each in amounts:
        assert each.text is not None
        counted[each.text] = counted.get(each.text, 0) + 1
        inner[each.text] = each.text if each.binds >= _BINDS["unary"] else f"({each.text})"
    for text, count in counted.items():
        yield f"{count} * {inner[text]}" if count > 1 else text


def sum_of(amounts: Sequence[Amount], values: Values) -> Amount:
    """Several amounts together; their sum has no text where one of them has none."""
    if any(each.text is None for each in amounts):
        return Amount(values)
    text = " + ".join(terms_of(amounts))
    strong = len(amounts) == 1
    return Amount(values, text, amounts[0].binds if strong else _BINDS["+"])
