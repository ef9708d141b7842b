"""Conditions that tell the instances of a class apart where they are built of different things.

The conditions of the text are gone when a net is elaborated. What is looked for instead are the simplest ones that hold
for exactly the instances in question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from robdsl.compiler.emit.python.environment import Environment, constant, literal, same


@dataclass(frozen=True)
class Condition:
    """Code that is true for some of the instances that get here.

    Attributes:
        names: the parameters that it speaks of.
        new: whether it is the name of a parameter that is still to be made.
    """

    code: str
    holds: tuple[bool, ...]
    names: tuple[str, ...]
    new: bool = False


def split(environment: Environment, variants: Sequence[int]) -> list[tuple[int, str]] | None:
    """Conditions for variants, to be tried in order; that of the last one is "".

    Args:
        environment: what a condition can speak of.
        variants: which one each instance that gets here is.

    Returns:
        Variants with conditions, or None when no simple conditions tell them apart.
    """
    left = list(dict.fromkeys(variants))
    found: list[tuple[int, str]] = []
    while len(left) > 1:
        places = [place for place, each in enumerate(variants) if each in left]
        for variant in left:
            condition = _condition(environment, [variants[place] == variant for place in places], places)
            if condition is not None:
                found.append((variant, condition))
                left.remove(variant)
                break
        else:
            return None
    return [*found, (left[0], "")]


def _condition(environment: Environment, wanted: Sequence[bool], places: Sequence[int]) -> str | None:
    """Code that is true, of the instances at ``places``, exactly for the wanted ones."""
    inside = [place for place, each in zip(places, wanted, strict=True) if each]
    simple = list(_simple(environment, inside))
    for condition in (*_flags(environment), *simple, *_sizes(environment), *_pairs(simple)):
        if [condition.holds[place] for place in places] == list(wanted):
            if condition.new:
                return environment.use(environment.add(condition.code, condition.holds))
            for name in condition.names:
                environment.use(name)
            return condition.code
    return None


def _flags(environment: Environment) -> Iterator[Condition]:
    """Parameters that are true or false."""
    for name, values in environment.known.items():
        flags = tuple(value for value in values if isinstance(value, bool))
        if len(flags) == len(values):
            yield Condition(name, flags, (name,))


def _simple(environment: Environment, inside: Sequence[int]) -> Iterator[Condition]:
    """Comparisons that hold for all of the instances inside: ``stride == 1``, ``channels == 4 * width``."""
    for name, values in environment.known.items():
        first = values[inside[0]]
        if name not in environment.words or isinstance(first, bool):
            continue
        if constant([values[place] for place in inside]):
            holds = tuple(same([value], [first]) for value in values)
            yield Condition(f"{name} == {literal(first)}", holds, (name,))
    numbers = list(environment.numbers())
    for name, amounts in numbers:
        for other, others in numbers:
            # A parameter of the text against anything; that one input is as wide as another only happens to hold.
            if name == other or other not in environment.words or not others[inside[0]]:
                continue
            factor = amounts[inside[0]] // others[inside[0]]
            holds = tuple(amount == factor * each for amount, each in zip(amounts, others, strict=True))
            if factor > 0 and all(holds[place] for place in inside):
                times = f"{factor} * " if factor > 1 else ""
                yield Condition(f"{name} == {times}{other}", holds, (name, other))


def _sizes(environment: Environment) -> Iterator[Condition]:
    """Flags of our own that say whether the maps of one input are larger than those of another."""
    for name, heights in environment.heights.items():
        for others in environment.heights.values():
            larger = tuple(heights[place] > others[place] for place in environment.places)
            known = [each for each, values in environment.known.items() if same(values, larger)]
            if known:
                yield Condition(known[0], larger, (known[0],))
            else:
                yield Condition(f"{name}_larger", larger, (), new=True)


def _pairs(simple: Sequence[Condition]) -> Iterator[Condition]:
    """Two comparisons at once."""
    for place, first in enumerate(simple):
        for second in simple[place + 1 :]:
            holds = tuple(a and b for a, b in zip(first.holds, second.holds, strict=True))
            yield Condition(f"{first.code} and {second.code}", holds, (*first.names, *second.names))
