"""Constructor parameters, found by comparing all the places where a class is used.

A number that is the same everywhere is written as it is. One that varies is written as a parameter of the text that has
this value everywhere, or as a small expression of one; where there is none it becomes a parameter of its own. Whatever is
written therefore holds for every place where the class is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from robdsl.compiler.emit.python.names import Names
from robdsl.graph.values import ShapeValue, Value, Word

Values = tuple[Value, ...]

#: Numbers are looked for among multiples and parts by up to this factor.
LARGEST_FACTOR = 16


@dataclass(frozen=True)
class Amount:
    """A number of each instance, and how to write it where that is known; such as the channels of a value."""

    values: Values
    text: str | None = None

    def at(self, places: Sequence[int]) -> Amount:
        """The number of some of the instances."""
        return Amount(tuple(self.values[place] for place in places), self.text)


@dataclass
class Environment:
    """What can be spoken of inside a constructor, or in a branch of it that only some instances take.

    Attributes:
        names: what means something already.
        count: how many instances there are.
        places: those that take this branch.
        values: by parameter, its value in each instance of all. Only those in `used` become parameters.
        words: the parameters that are arguments in the text, as opposed to sizes of inputs.
        heights: by input, the height of its maps in each instance, where all are maps.
    """

    names: Names
    count: int
    places: Sequence[int] = ()
    values: dict[str, Values] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)
    heights: Mapping[str, Sequence[int]] = field(default_factory=dict)
    used: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places = self.places or range(self.count)

    def at(self, places: Sequence[int]) -> Environment:
        """The environment in a branch that only these instances take."""
        return replace(self, places=places)

    def add(self, name: str, values: Sequence[Value], *, word: bool = False) -> str:
        """Makes values known under a name like the given one; they become a parameter when they are used.

        Args:
            name: the parameter's, or nearly so.
            values: one for each instance that gets here; what the others are given does not matter.
            word: whether it is a parameter of the text.
        """
        parameter = self.names.variable(name)
        whole = [values[0]] * self.count
        for place, value in zip(self.places, values, strict=True):
            whole[place] = value
        self.values[parameter] = tuple(whole)
        if word:
            self.words.add(parameter)
        return parameter

    def use(self, name: str) -> str:
        """Says that code speaks of a parameter."""
        self.used[name] = None
        return name

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that were used, in the order in which they became known."""
        return tuple(name for name in self.values if name in self.used)

    @property
    def known(self) -> dict[str, Values]:
        """The values of the instances that get here, those of the text first."""
        ordered = sorted(self.values, key=lambda name: name not in self.words)
        return {name: tuple(self.values[name][place] for place in self.places) for name in ordered}

    def numbers(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """What is known of whole numbers that vary."""
        for name, values in self.known.items():
            whole = tuple(each for each in values if type(each) is int)
            if len(whole) == len(values) and not constant(values):
                yield name, whole

    def write(
        self, values: Sequence[Value], name: str, hint: Amount | None = None, *, derived: bool = False
    ) -> str:
        """Code for a number that has these values.

        Args:
            values: one for each instance that gets here.
            name: what a parameter of its own would be called.
            hint: tried first.
            derived: whether it may be written as ``2 * width``.
        """
        wanted = tuple(values)
        if constant(wanted):
            return literal(wanted[0])
        if hint is not None and hint.text is not None and same(hint.values, wanted):
            return hint.text
        for known, value in sorted(self.known.items(), key=lambda each: each[0] != name):
            if same(value, wanted):
                return self.use(known)
        expression = (
            self._expression(wanted) if derived and all(type(each) is int for each in wanted) else None
        )
        return expression or self.use(self.add(name, wanted))

    def _expression(self, wanted: Values) -> str | None:
        """``2 * width``, ``width // 2``, ``channels + 32``, ``kernel - 1`` or ``a + b``."""
        numbers = list(self.numbers())
        for name, values in numbers:
            for factor in range(2, LARGEST_FACTOR + 1):
                if tuple(factor * each for each in values) == wanted:
                    return f"{factor} * {self.use(name)}"
                if tuple(each // factor for each in values) == wanted:
                    return f"{self.use(name)} // {factor}"
        for name, values in numbers:
            apart = {more - each for more, each in zip(wanted, values, strict=True) if type(more) is int}
            if len(apart) == 1:
                difference = apart.pop()
                return f"{self.use(name)} {'+' if difference > 0 else '-'} {abs(difference)}"
        for place, (name, values) in enumerate(numbers):
            for other, others in numbers[place + 1 :]:
                if tuple(map(sum, zip(values, others, strict=True))) == wanted:
                    return f"{self.use(name)} + {self.use(other)}"
        return None


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
