"""Values of each place where a class is used, and numbers that code already has a name for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robdsl.graph.values import ShapeValue, Value, Word

Values = tuple[Value, ...]

#: How strongly a name or a number binds, among Python's operators.
ATOM = 8


@dataclass(frozen=True)
class Amount:
    """A number of each instance, and how to write it where that is known; such as the channels of a value.

    Attributes:
        binds: how strongly the outermost operator of the text binds.
    """

    values: Values
    text: str | None = None
    binds: int = ATOM

    def at(self, places: Sequence[int]) -> Amount:
        """The number of some of the instances."""
        return Amount(tuple(self.values[place] for place in places), self.text, self.binds)


def literal(value: Value) -> str:
    """A value as Python writes it."""
    if isinstance(value, Word):
        return f'"{value.name}"'
    if isinstance(value, ShapeValue):
        return repr(value.shape)
    return repr(value)


def annotation(values: Values) -> str:
    """The type of a parameter."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int"
    return "float" if kinds <= {int, float} else "str"


def same(first: Sequence[Value], second: Sequence[Value]) -> bool:
    """Equal, and of equal types: ``1`` is not ``True``."""
    return all(type(a) is type(b) and a == b for a, b in zip(first, second, strict=True))


def constant(values: Sequence[Value]) -> bool:
    """Whether all values are the same."""
    return same(values, [values[0]] * len(values))
